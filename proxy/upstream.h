/*
 * The endpoints of a worker: their addresses, health, and connections. For workers.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <event2/event.h>
#include <event2/util.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/error.h"
#include "config/model.h"
#include "config/span.h"
#include "proxy/link.h"
#include "proxy/shared.h"

struct evdns_base;
struct evdns_getaddrinfo_request;

enum {
	ENDPOINT_ADDRESSES = 8,
	ENDPOINT_NAME_MAX = 300 /* a host name, with port and brackets */
};

TAILQ_HEAD(link_list, link);

struct endpoint {
	struct upstream *upstream;
	const struct config_endpoint *config;
	/* In Host: upstream/host, or its own name, with a port that is not the scheme's and with an
	 * IPv6 address in brackets. */
	char host[ENDPOINT_NAME_MAX];
	struct shared_endpoint *shared;
	struct {
		struct sockaddr_storage address;
		socklen_t len;
	} addresses[ENDPOINT_ADDRESSES];
	unsigned int address_count, next_address;
	struct link_list busy, idle; /* idle: the one used last comes first */
	uint32_t busy_count, idle_count;
	struct link_list line;  /* of the busy ones, those that wait to be connected */
	uint32_t dialing_count; /* and those that are being connected; health checks are neither */
	struct event *next_dial;
	bool is_up;
	bool keeps_links;     /* seen: an idle link stays open for LINK_PROOF_MS */
	bool logs_in_each;    /* seen: it wants a login with each request of a connection */
	uint32_t failures;    /* in a row */
	uint64_t retry_at_us; /* while it is down and nobody checks its health: tried again then */
	struct link *probe;   /* the health check under way */
	struct event *health_timer;
	struct event *resolve_timer;
	struct evdns_getaddrinfo_request *resolving;
};

struct upstream {
	const struct config_upstream *config;
	struct event_base *base;
	struct watcher *watcher;
	struct wheel *wheel;
	struct evdns_base *dns; /* NULL: no endpoint has a name */
	struct tls_client *tls; /* NULL: no endpoint wants TLS */
	struct shared_worker *counters;
	struct endpoint *endpoints;
	uint32_t turn,
		turn_steps; /* of the loop, and how many steps of TLS handshakes were begun in it */
	size_t next_source; /* of config->sources, for the next connection */
	size_t next;        /* where the search for the least busy one starts */
	bool is_closing;    /* links are not kept any more */
	bool sleeps_deep;
};

/* Resolves all names once, blocking, and starts health checks. sleeps_deep: as tls_client_new() has it.
 * Called before the sandbox is entered. NULL with err filled. */
struct upstream *upstream_new(struct event_base *base, struct watcher *watcher, struct wheel *wheel,
	const struct config_upstream *config, bool sleeps_deep, struct shared_worker *counters,
	struct error *err);
void upstream_free(struct upstream *upstream);

/* From now on no link is kept idle, and none is probed. */
void upstream_close(struct upstream *upstream);

/* A link to the healthy endpoint with the fewest in use; with a login, one of its own that is idle, if
 * there is one, and else one that will never be anybody else's. NULL: none is healthy, or all are full. */
struct link *upstream_open(struct upstream *upstream, struct login *login,
	const struct link_calls *calls, void *owner);

/* The same to this endpoint; to any, where it is not healthy or full. */
struct link *upstream_open_at(struct upstream *upstream, struct endpoint *endpoint,
	struct login *login, const struct link_calls *calls, void *owner);

/* The endpoint that a URL leads to, whatever its path behind the endpoint's; NULL: to none. */
struct endpoint *upstream_find(struct upstream *upstream, struct span url);
size_t upstream_index(const struct endpoint *endpoint);

/* For link_connect.c. The next endpoint to try after `failed`, or NULL. */
struct endpoint *upstream_other(struct upstream *upstream, const struct endpoint *failed);
/* What the endpoint is called in SNI and in its certificate: upstream/host, or its own name. */
void endpoint_tls_name(const struct endpoint *endpoint, char name[ENDPOINT_NAME_MAX]);

/* For links that connect. Those that stand for users cannot be shared: where the endpoint has as many as it
 * may, those that have been idle longest are closed for another one. */
void endpoint_make_room(struct endpoint *endpoint);
/* For links. One connection more or less is in use. */
void endpoint_count_busy(struct endpoint *endpoint, int change);
/* For links. What became of a connection. reason is for the log. */
void endpoint_succeeded(struct endpoint *endpoint);
void endpoint_failed(struct endpoint *endpoint, const char *reason);

#endif
