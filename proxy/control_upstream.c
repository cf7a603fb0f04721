#include "proxy/control_upstream.h"

#include <stdio.h>

#include "proxy/control_logins.h"
#include "proxy/control_process.h"
#include "proxy/upstream_service.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *endpoint_status(
	const struct shared *shared, const struct config_upstream *upstream, size_t place)
{
	json_t *object = json_object();
	uint64_t up = 0, down = 0, busy = 0, failures = 0;
	char service[LOGIN_SERVICE_MAX + 1];

	for (unsigned int slot = 0; slot < WORKER_MAX; slot++) {
		const struct shared_worker *worker = &shared->workers[slot];
		const struct shared_endpoint *endpoint = &worker->endpoints[place];

		if (load(&worker->pid) == 0)
			continue;
		up += load(&endpoint->is_down) == 0;
		down += load(&endpoint->is_down);
		busy += load(&endpoint->busy);
		failures += load(&endpoint->failures);
	}
	json_object_set_new(object, "endpoint", json_string(upstream->endpoints[place].text));
	set_number(object, "up_for_workers", up);
	set_number(object, "down_for_workers", down);
	set_number(object, "connections_in_use", busy);
	set_number(object, "failures", failures);
	if (upstream->login == CONFIG_LOGIN_KERBEROS &&
		upstream_service(upstream, &upstream->endpoints[place], service) == 0)
		json_object_set_new(object, "service", json_string(service));
	return object;
}

json_t *control_endpoints_status(
	const struct shared *shared, const struct config_upstream *upstream)
{
	json_t *array = json_array();

	for (size_t i = 0; i < upstream->endpoint_count && i < ENDPOINT_MAX; i++)
		json_array_append_new(array, endpoint_status(shared, upstream, i));
	return array;
}

const char *control_login_name(enum config_login login)
{
	switch (login) {
	case CONFIG_LOGIN_NONE: return "none";
	case CONFIG_LOGIN_HEADER: return "header";
	case CONFIG_LOGIN_CLIENT_CERT: return "client-cert";
	case CONFIG_LOGIN_BASIC: return "basic";
	case CONFIG_LOGIN_KERBEROS: return "kerberos";
	case CONFIG_LOGIN_MINTED: return "minted-certificate";
	case CONFIG_LOGIN_BEARER: break;
	}
	return "bearer";
}

void control_request_upstream_list(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	const struct config_upstream *upstream = &control->child->config->upstream;
	json_t *answer = json_object();

	(void)request;
	json_object_set_new(answer, "upstream", json_string(upstream->name));
	json_object_set_new(answer, "login", json_string(control_login_name(upstream->login)));
	if (upstream->login == CONFIG_LOGIN_KERBEROS)
		json_object_set_new(answer, "mutual", json_boolean(upstream->mutual));
	json_object_set_new(
		answer, "endpoints", control_endpoints_status(control->child->shared, upstream));
	json_object_set_new(answer, "logins", control_logins_status(control));
	json_object_set_new(answer, "directory", control_directory_status(control));
	control_answer(client, answer);
}
