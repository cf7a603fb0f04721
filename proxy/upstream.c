#include "proxy/upstream.h"

#include <assert.h>
#include <event2/dns.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/clock.h"
#include "proxy/http.h"
#include "proxy/log.h"
#include "proxy/login_table.h"
#include "proxy/timeval.h"
#include "proxy/upstream_service.h"

enum {
	RESOLVE_MS = 60 * 1000,      /* names are looked up again so often */
	RESOLVE_RETRY_MS = 5 * 1000, /* while there is no address at all */
	RETRY_DOWN_US = 10 * 1000 * 1000,
	REUSE_LOOKS = 32, /* at idle links, for the best one */
	PROBE_ANSWER_MAX = 8 * 1024
};

static void endpoint_log(const struct endpoint *endpoint, enum config_log_level level,
	const char *what, const char *reason)
{
	struct log_line line;

	log_begin(&line, level, what);
	log_text(&line, "endpoint", endpoint->config->text);
	log_text(&line, "reason", reason);
	log_end(&line);
}

void endpoint_count_busy(struct endpoint *endpoint, int change)
{
	endpoint->busy_count += (uint32_t)change;
	atomic_store_explicit(&endpoint->shared->busy, endpoint->busy_count, memory_order_relaxed);
}

static void endpoint_set_up(struct endpoint *endpoint, bool is_up)
{
	endpoint->is_up = is_up;
	endpoint->retry_at_us = clock_us() + RETRY_DOWN_US;
	atomic_store_explicit(&endpoint->shared->is_down, is_up ? 0 : 1, memory_order_relaxed);
}

void endpoint_succeeded(struct endpoint *endpoint)
{
	endpoint->failures = 0;
	if (endpoint->is_up)
		return;
	endpoint_set_up(endpoint, true);
	endpoint_log(endpoint, CONFIG_LOG_WARNING, "endpoint-up", NULL);
}

void endpoint_failed(struct endpoint *endpoint, const char *reason)
{
	shared_add(&endpoint->upstream->counters->upstream_failures, 1);
	shared_add(&endpoint->shared->failures, 1);
	if (endpoint->failures < UINT32_MAX)
		endpoint->failures++;
	if (endpoint->failures < endpoint->upstream->config->health_failures)
		return;
	if (!endpoint->is_up) {
		endpoint->retry_at_us = clock_us() + RETRY_DOWN_US;
		return;
	}
	endpoint_set_up(endpoint, false);
	endpoint_log(endpoint, CONFIG_LOG_ERROR, "endpoint-down", reason);
}

/* Addresses */

static void endpoint_use_addresses(struct endpoint *endpoint, const struct addrinfo *found)
{
	unsigned int count = 0;

	for (; found != NULL && count < ENDPOINT_ADDRESSES; found = found->ai_next) {
		struct sockaddr_storage *address = &endpoint->addresses[count].address;

		if (found->ai_addrlen > sizeof(*address))
			continue;
		memcpy(address, found->ai_addr, found->ai_addrlen);
		endpoint->addresses[count].len = found->ai_addrlen;
		count++;
	}
	if (count > 0)
		endpoint->address_count = count;
}

static void endpoint_resolve_later(struct endpoint *endpoint)
{
	struct timeval delay =
		timeval_of_ms(endpoint->address_count > 0 ? RESOLVE_MS : RESOLVE_RETRY_MS);

	event_add(endpoint->resolve_timer, &delay);
}

static void on_resolved(int result, struct evutil_addrinfo *found, void *arg)
{
	struct endpoint *endpoint = arg;

	endpoint->resolving = NULL;
	if (result == EVUTIL_EAI_CANCEL)
		return;
	if (result != 0)
		endpoint_log(endpoint, CONFIG_LOG_WARNING, "endpoint-resolve",
			evutil_gai_strerror(result));
	endpoint_use_addresses(endpoint, result == 0 ? found : NULL);
	if (found != NULL)
		evutil_freeaddrinfo(found);
	endpoint_resolve_later(endpoint);
}

static const struct addrinfo resolve_hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

static void on_resolve_timer(evutil_socket_t fd, short what, void *arg)
{
	struct endpoint *endpoint = arg;
	char port[8];

	(void)fd;
	(void)what;
	snprintf(port, sizeof(port), "%u", (unsigned int)endpoint->config->port);
	endpoint->resolving = evdns_getaddrinfo(endpoint->upstream->dns, endpoint->config->host,
		port, &resolve_hints, on_resolved, endpoint);
}

/* At start, where blocking is allowed. Names are looked up again on the loop afterwards. */
static int endpoint_resolve_first(struct endpoint *endpoint, struct error *err)
{
	struct addrinfo hints = resolve_hints;
	struct addrinfo *found = NULL;
	char port[8];
	int result;

	snprintf(port, sizeof(port), "%u", (unsigned int)endpoint->config->port);
	hints.ai_flags = AI_NUMERICHOST;
	result = getaddrinfo(endpoint->config->host, port, &hints, &found);
	if (result == 0) {
		endpoint_use_addresses(endpoint, found);
		freeaddrinfo(found);
		return 0;
	}
	if (endpoint->upstream->dns == NULL)
		endpoint->upstream->dns = evdns_base_new(endpoint->upstream->base,
			EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	hints.ai_flags = 0;
	result = getaddrinfo(endpoint->config->host, port, &hints, &found);
	if (result == 0) {
		endpoint_use_addresses(endpoint, found);
		freeaddrinfo(found);
	} else {
		endpoint_log(
			endpoint, CONFIG_LOG_WARNING, "endpoint-resolve", gai_strerror(result));
	}
	if (endpoint->upstream->dns == NULL)
		return 0; /* no name server is configured: what was found stays */
	endpoint->resolve_timer = evtimer_new(endpoint->upstream->base, on_resolve_timer, endpoint);
	if (endpoint->resolve_timer == NULL)
		return error_set(err, "endpoint %s: out of memory", endpoint->config->text);
	endpoint_resolve_later(endpoint);
	return 0;
}

/* Names */

static void endpoint_set_host(struct endpoint *endpoint)
{
	const struct config_endpoint *config = endpoint->config;
	bool is_ipv6 = strchr(config->host, ':') != NULL;

	if (endpoint->upstream->config->host[0] != '\0')
		snprintf(endpoint->host, sizeof(endpoint->host), "%s",
			endpoint->upstream->config->host);
	else if (config->port == (config->is_tls ? 443 : 80))
		snprintf(endpoint->host, sizeof(endpoint->host), is_ipv6 ? "[%s]" : "%s",
			config->host);
	else
		snprintf(endpoint->host, sizeof(endpoint->host), is_ipv6 ? "[%s]:%u" : "%s:%u",
			config->host, (unsigned int)config->port);
}

void endpoint_tls_name(const struct endpoint *endpoint, char name[ENDPOINT_NAME_MAX])
{
	upstream_name(endpoint->upstream->config, endpoint->config, name, ENDPOINT_NAME_MAX);
}

/* Health */

static void probe_end(struct endpoint *endpoint, bool is_reusable)
{
	struct link *probe = endpoint->probe;

	endpoint->probe = NULL;
	link_release(probe, is_reusable);
}

static void probe_ready(void *owner)
{
	struct endpoint *endpoint = owner;
	const struct config_upstream *config = endpoint->upstream->config;
	char data[1024];
	struct http_writer writer = {.data = data, .capacity = sizeof(data)};

	if (config->health_path[0] == '\0') {
		/* One that stays open proves that links may be kept; more of them would only pile up. */
		probe_end(endpoint, endpoint->idle_count == 0 && !endpoint->probe->is_bare);
		return;
	}
	http_write_request_line(&writer, HTTP_GET, span_of_string(""),
		span_of_string(config->health_path), (struct span){0});
	http_write_field_text(&writer, "Host", endpoint->host);
	http_write_field_text(&writer, "Connection", "close");
	http_write_end(&writer);
	if (writer.has_failed || link_write(endpoint->probe, data, writer.len) != 0) {
		endpoint_failed(endpoint, "health check: not writable");
		probe_end(endpoint, false);
	}
}

static void probe_failed(void *owner, enum refusal refusal, const char *reason)
{
	struct endpoint *endpoint = owner;

	(void)refusal;
	(void)reason; /* endpoint_failed() has it already */
	endpoint->probe = NULL;
}

/* Only the status line counts; a server that splits it over two reads is asked again later. */
static void probe_readable(void *owner)
{
	struct endpoint *endpoint = owner;
	char data[PROBE_ANSWER_MAX];
	size_t len = 0;
	unsigned int status = 0;
	enum tls_result result = link_read(endpoint->probe, data, sizeof(data) - 1, &len);

	if (result == TLS_WANTS_READ || result == TLS_WANTS_WRITE)
		return;
	data[len] = '\0';
	if (result == TLS_DONE && sscanf(data, "HTTP/1.%*1[01] %3u", &status) == 1 && status < 500)
		endpoint_succeeded(endpoint);
	else
		endpoint_failed(endpoint, "health check: no good answer");
	probe_end(endpoint, false);
}

static void probe_drained(void *owner)
{
	(void)owner;
}

static const struct link_calls probe_calls = {
	probe_ready, probe_failed, probe_readable, probe_drained};

static void on_health_timer(evutil_socket_t fd, short what, void *arg)
{
	struct endpoint *endpoint = arg;
	const struct config_upstream *config = endpoint->upstream->config;

	(void)fd;
	(void)what;
	if (endpoint->probe != NULL) {
		/* The last one got no answer within a whole interval. */
		endpoint_failed(endpoint, "health check: no answer in time");
		probe_end(endpoint, false);
		return;
	}
	endpoint->probe = link_probe(endpoint, NULL, &probe_calls, endpoint);
	/* A check has no user, and so no certificate: one that is asked for in the handshake would be missed. */
	if (endpoint->probe != NULL && config->login == CONFIG_LOGIN_MINTED &&
		config->health_path[0] == '\0')
		endpoint->probe->is_bare = true;
}

/* Life */

static int endpoint_init(struct endpoint *endpoint, struct upstream *upstream,
	const struct config_endpoint *config, struct error *err)
{
	struct timeval interval = timeval_of_ms(upstream->config->health_interval_ms);

	endpoint->upstream = upstream;
	endpoint->config = config;
	endpoint_set_host(endpoint);
	endpoint->shared = &upstream->counters->endpoints[endpoint - upstream->endpoints];
	atomic_store(&endpoint->shared->failures, 0);
	endpoint_count_busy(endpoint, 0);
	endpoint_set_up(endpoint, true);
	TAILQ_INIT(&endpoint->busy);
	TAILQ_INIT(&endpoint->idle);
	TAILQ_INIT(&endpoint->line);
	endpoint->next_dial = event_new(upstream->base, -1, 0, link_dial_next, endpoint);
	if (endpoint->next_dial == NULL)
		return error_set(err, "endpoint %s: out of memory", config->text);
	if (config->is_tls && upstream->tls == NULL)
		upstream->tls = tls_client_new(&upstream->config->ca, upstream->sleeps_deep, err);
	if (config->is_tls && upstream->tls == NULL)
		return -1;
	if (endpoint_resolve_first(endpoint, err) != 0)
		return -1;
	if (upstream->config->health_interval_ms == 0)
		return 0;
	endpoint->health_timer =
		event_new(upstream->base, -1, EV_PERSIST, on_health_timer, endpoint);
	if (endpoint->health_timer == NULL || event_add(endpoint->health_timer, &interval) != 0)
		return error_set(err, "endpoint %s: out of memory", config->text);
	return 0;
}

struct upstream *upstream_new(struct event_base *base, struct watcher *watcher, struct wheel *wheel,
	const struct config_upstream *config, bool sleeps_deep, struct shared_worker *counters,
	struct error *err)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));

	static_assert(ENDPOINT_MAX >= 64, "as many as the configuration takes");
	if (upstream != NULL)
		upstream->endpoints = calloc(config->endpoint_count, sizeof(*upstream->endpoints));
	if (upstream == NULL || upstream->endpoints == NULL) {
		free(upstream);
		error_set(err, "setting up upstream %s: out of memory", config->name);
		return NULL;
	}
	upstream->base = base;
	upstream->watcher = watcher;
	upstream->wheel = wheel;
	link_prepare(upstream);
	upstream->config = config;
	upstream->counters = counters;
	upstream->sleeps_deep = sleeps_deep;
	for (size_t i = 0; i < config->endpoint_count; i++) {
		if (endpoint_init(&upstream->endpoints[i], upstream, &config->endpoints[i], err) !=
			0) {
			upstream_free(upstream);
			return NULL;
		}
	}
	return upstream;
}

static void endpoint_stop(struct endpoint *endpoint)
{
	if (endpoint->probe != NULL)
		probe_end(endpoint, false);
	if (endpoint->resolving != NULL)
		evdns_getaddrinfo_cancel(endpoint->resolving);
	if (endpoint->health_timer != NULL)
		event_free(endpoint->health_timer);
	if (endpoint->resolve_timer != NULL)
		event_free(endpoint->resolve_timer);
	endpoint->resolving = NULL;
	endpoint->health_timer = NULL;
	endpoint->resolve_timer = NULL;
	while (!TAILQ_EMPTY(&endpoint->idle))
		link_free(TAILQ_FIRST(&endpoint->idle));
}

void upstream_close(struct upstream *upstream)
{
	upstream->is_closing = true;
	for (size_t i = 0; i < upstream->config->endpoint_count; i++)
		if (upstream->endpoints[i].upstream != NULL)
			endpoint_stop(&upstream->endpoints[i]);
}

void upstream_free(struct upstream *upstream)
{
	if (upstream == NULL)
		return;
	upstream_close(upstream);
	for (size_t i = 0; i < upstream->config->endpoint_count; i++)
		if (upstream->endpoints[i].next_dial != NULL)
			event_free(upstream->endpoints[i].next_dial);
	if (upstream->dns != NULL)
		evdns_base_free(upstream->dns, 0);
	tls_client_free(upstream->tls);
	free(upstream->endpoints);
	free(upstream);
}

/* Choice */

static bool endpoint_has_room(const struct endpoint *endpoint)
{
	const struct config_upstream *config = endpoint->upstream->config;
	bool may_be_tried = config->health_interval_ms == 0 && clock_us() >= endpoint->retry_at_us;

	return (endpoint->is_up || may_be_tried) && endpoint->busy_count < config->connections;
}

static struct endpoint *least_busy(struct upstream *upstream, const struct endpoint *except)
{
	struct endpoint *best = NULL;
	size_t count = upstream->config->endpoint_count;
	size_t at = upstream->next;

	for (size_t i = 0; i < count; i++) {
		struct endpoint *endpoint = &upstream->endpoints[at];

		at = at + 1 < count ? at + 1 : 0;
		if (endpoint == except || !endpoint_has_room(endpoint))
			continue;
		if (best == NULL || endpoint->busy_count < best->busy_count)
			best = endpoint;
	}
	upstream->next = upstream->next + 1 < count ? upstream->next + 1 : 0;
	return best;
}

/* Some servers (SOGo) end every connection after one answer without saying so. A request sent on
 * one that is just ending is lost, and must not be sent twice. So a link is reused at once only
 * where the endpoint is known to keep them; else only one that has stayed open for a while. */
static struct link *reusable_link(const struct endpoint *endpoint)
{
	struct link *oldest = TAILQ_LAST(&endpoint->idle, link_list);
	uint32_t turn = watcher_turn(endpoint->upstream->watcher);
	struct link *link;
	unsigned int looked_at = 0;

	if (endpoint->keeps_links) {
		/* One that was given back before this turn need not be asked whether it is still open. */
		TAILQ_FOREACH(link, &endpoint->idle, entry)
			if (link->idle_turn != turn || ++looked_at == REUSE_LOOKS)
				return link->idle_turn != turn ? link
							       : TAILQ_FIRST(&endpoint->idle);
		return TAILQ_FIRST(&endpoint->idle);
	}
	return oldest != NULL && oldest->has_stayed ? oldest : NULL;
}

/* Among those of the login, to this endpoint; NULL: to any. */
static struct link *reusable_link_of(const struct login *login, const struct endpoint *endpoint)
{
	int64_t now = login_now(login);
	struct link *link;

	LIST_FOREACH(link, &login->idle, login_entry)
		if ((endpoint == NULL || link->endpoint == endpoint) &&
			(link->endpoint->keeps_links || link->has_stayed) &&
			link->login_until > now && endpoint_has_room(link->endpoint))
			return link;
	return NULL;
}

void endpoint_make_room(struct endpoint *endpoint)
{
	while (endpoint->idle_count > 0 && endpoint->busy_count + endpoint->idle_count >=
						   endpoint->upstream->config->connections)
		link_free(TAILQ_LAST(&endpoint->idle, link_list));
}

static struct link *take_link_of(struct login *login, const struct endpoint *endpoint,
	const struct link_calls *calls, void *owner)
{
	struct link *link;

	while ((link = reusable_link_of(login, endpoint)) != NULL)
		if (link_take(link, login, calls, owner))
			return link;
	return NULL;
}

static struct link *open_link(
	struct endpoint *endpoint, struct login *login, const struct link_calls *calls, void *owner)
{
	struct link *link;

	if (login != NULL) {
		link = take_link_of(login, endpoint, calls, owner);
		if (link != NULL)
			return link;
		endpoint_make_room(endpoint);
	} else {
		while ((link = reusable_link(endpoint)) != NULL)
			if (link_take(link, NULL, calls, owner))
				return link;
	}
	return link_connect(endpoint, login, calls, owner);
}

struct link *upstream_open(
	struct upstream *upstream, struct login *login, const struct link_calls *calls, void *owner)
{
	struct link *link = login != NULL ? take_link_of(login, NULL, calls, owner) : NULL;
	struct endpoint *endpoint;

	if (link != NULL)
		return link;
	endpoint = least_busy(upstream, NULL);
	return endpoint != NULL ? open_link(endpoint, login, calls, owner) : NULL;
}

struct link *upstream_open_at(struct upstream *upstream, struct endpoint *endpoint,
	struct login *login, const struct link_calls *calls, void *owner)
{
	return endpoint_has_room(endpoint) ? open_link(endpoint, login, calls, owner)
					   : upstream_open(upstream, login, calls, owner);
}

size_t upstream_index(const struct endpoint *endpoint)
{
	return (size_t)(endpoint - endpoint->upstream->endpoints);
}

static bool span_starts(struct span text, const char *start)
{
	size_t len = strlen(start);

	return text.len >= len && strncasecmp((const char *)text.data, start, len) == 0;
}

static struct span span_behind(struct span text, size_t len)
{
	return span_of(text.data + len, text.len - len);
}

/* What stands behind "https://host:port" and the prefix of this endpoint is not looked at, as long as it
 * is a path or query: easproxyd writes its own. */
static bool leads_to(struct span url, const struct config_endpoint *endpoint)
{
	const char *scheme = endpoint->is_tls ? "https://" : "http://";
	char host[ENDPOINT_NAME_MAX], port[16];

	if (!span_starts(url, scheme))
		return false;
	url = span_behind(url, strlen(scheme));
	snprintf(host, sizeof(host), strchr(endpoint->host, ':') != NULL ? "[%s]" : "%s",
		endpoint->host);
	snprintf(port, sizeof(port), ":%u", (unsigned int)endpoint->port);
	if (!span_starts(url, host))
		return false;
	url = span_behind(url, strlen(host));
	if (span_starts(url, port))
		url = span_behind(url, strlen(port));
	else if (endpoint->port != (endpoint->is_tls ? 443 : 80))
		return false;
	if (!span_starts(url, endpoint->path_prefix))
		return false;
	url = span_behind(url, strlen(endpoint->path_prefix));
	return url.len == 0 || url.data[0] == '/' || url.data[0] == '?';
}

struct endpoint *upstream_find(struct upstream *upstream, struct span url)
{
	for (size_t i = 0; i < upstream->config->endpoint_count; i++)
		if (leads_to(url, upstream->endpoints[i].config))
			return &upstream->endpoints[i];
	return NULL;
}

struct endpoint *upstream_other(struct upstream *upstream, const struct endpoint *failed)
{
	struct endpoint *other = least_busy(upstream, failed);

	/* The same one, by its next address. */
	if (other == NULL && failed->address_count > 1)
		other = &upstream->endpoints[failed - upstream->endpoints];
	return other;
}
