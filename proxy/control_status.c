#include "proxy/control_status.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/hex.h"
#include "proxy/control_devices.h"
#include "proxy/control_logins.h"
#include "proxy/control_process.h"
#include "proxy/control_upstream.h"
#include "proxy/control_users.h"

/* json_int_t is signed; no counter gets there. */
static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static json_t *worker_counters(const struct shared_worker *worker)
{
	json_t *object = json_object();

#define COUNTER(name, help) json_object_set_new(object, #name, number(load(&worker->name)));
	SHARED_COUNTERS(COUNTER)
#undef COUNTER
	return object;
}

static json_t *workers(const struct shared *shared)
{
	json_t *array = json_array();

	for (unsigned int slot = 0; slot < WORKER_MAX; slot++) {
		const struct shared_worker *worker = &shared->workers[slot];
		uint64_t pid = load(&worker->pid);
		json_t *object;

		if (pid == 0)
			continue;
		object = json_object();
		json_object_set_new(object, "slot", number(slot));
		json_object_set_new(object, "pid", number(pid));
		json_object_set_new(object, "counters", worker_counters(worker));
		json_array_append_new(array, object);
	}
	return array;
}

/* Of all slots: those whose worker has gone still hold what it counted. */
static json_t *totals(const struct shared *shared)
{
	json_t *object = json_object();

#define COUNTER(name, help)                                                                        \
	{                                                                                          \
		uint64_t sum = 0;                                                                  \
                                                                                                   \
		for (unsigned int slot = 0; slot < WORKER_MAX; slot++)                             \
			sum += load(&shared->workers[slot].name);                                  \
		json_object_set_new(object, #name, number(sum));                                   \
	}
	SHARED_COUNTERS(COUNTER)
#undef COUNTER
	return object;
}

static json_t *refusals(const struct shared *shared)
{
	json_t *object = json_object();

	for (unsigned int code = REFUSAL_NONE + 1; code < REFUSAL_COUNT; code++) {
		uint64_t sum = 0;

		for (unsigned int slot = 0; slot < WORKER_MAX; slot++)
			sum += load(&shared->workers[slot].refusals[code]);
		if (sum > 0)
			json_object_set_new(
				object, refusal_row((enum refusal)code)->name, number(sum));
	}
	return object;
}

static json_t *restarts(const struct shared *shared)
{
	json_t *object = json_object();

	for (unsigned int role = ROLE_WORKER; role < ROLE_COUNT; role++)
		json_object_set_new(
			object, role_name((enum role)role), number(load(&shared->restarts[role])));
	return object;
}

/* The first location stands for the authority; crl-list shows all. */
static json_t *authority_status(const struct authority *authority,
	const struct control_authority *known, size_t place, int64_t now)
{
	const struct control_crl *crl = &known->crls[0];
	const char *error = control_authority_error(authority, known);
	json_t *object = json_object();
	char crl_number[41];

	json_object_set_new(object, "number", number(place));
	json_object_set_new(object, "issuer", json_string(authority->issuer));
	json_object_set_new(object, "root", json_boolean(authority->is_root));
	json_object_set_new(object, "crl", json_string(authority->crls[0].url));
	json_object_set_new(object, "state",
		json_string(control_crl_word(control_authority_state(authority, known, now))));
	if (crl->has_index) {
		const struct revocation_facts *facts = &crl->index.facts;

		hex_write_number(span_of(facts->crl_number, sizeof(facts->crl_number)), crl_number);
		json_object_set_new(object, "crl_number", json_string(crl_number));
		json_object_set_new(object, "this_update", json_integer(facts->this_update));
		json_object_set_new(object, "next_update", json_integer(facts->next_update));
		json_object_set_new(object, "entries", number(facts->entry_count));
	}
	if (error[0] != '\0')
		json_object_set_new(object, "error", json_string(error));
	return object;
}

static json_t *authorities_status(
	const struct trust_store *trust, const struct control_authority *authorities, int64_t now)
{
	json_t *array = json_array();

	for (size_t i = 0; i < trust->count; i++)
		json_array_append_new(
			array, authority_status(&trust->authorities[i], &authorities[i], i, now));
	return array;
}

char *control_status(struct control *control)
{
	const struct child *child = control->child;
	const struct shared *shared = child->shared;
	int64_t now = (int64_t)time(NULL);
	json_t *object = json_object();
	char *text;

	json_object_set_new(object, "ok", json_true());
	json_object_set_new(object, "version", json_string(EASPROXY_VERSION));
	json_object_set_new(object, "pid", json_integer(getppid()));
	json_object_set_new(
		object, "uptime_s", json_integer(now - (int64_t)load(&shared->started_at)));
	json_object_set_new(object, "generation", number(load(&shared->generation)));
	json_object_set_new(object, "config", json_string(child->config->path));
	json_object_set_new(object, "sandbox", json_boolean(child->has_sandbox));
	json_object_set_new(object, "connections_limit", number(child->config->limits.connections));
	json_object_set_new(object, "workers", workers(shared));
	json_object_set_new(object, "totals", totals(shared));
	json_object_set_new(object, "refusals", refusals(shared));
	json_object_set_new(object, "restarts", restarts(shared));
	json_object_set_new(
		object, "endpoints", control_endpoints_status(shared, &child->config->upstream));
	json_object_set_new(object, "logins", control_logins_status(control));
	json_object_set_new(object, "directory", control_directory_status(control));
	json_object_set_new(
		object, "authorities", authorities_status(child->trust, control->authorities, now));
	json_object_set_new(object, "state_store", control_users_status(control));
	json_object_set_new(object, "devices", control_devices_status(control));
	text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}
