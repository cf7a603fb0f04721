/*
 * The control process, as its own files know it: what it serves requests from. For proxy/control*.c
 * alone.
 */
#ifndef PROXY_CONTROL_PROCESS_H
#define PROXY_CONTROL_PROCESS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "auth/revocation_set.h"
#include "auth/verify.h"
#include "proxy/child.h"
#include "proxy/control_crl.h"
#include "proxy/control_request.h"
#include "proxy/peer_channel.h"
#include "proxy/state_store.h"

/* With what the state store can be in trouble. */
enum control_trouble {
	CONTROL_TROUBLE_USERS,   /* writing who is out */
	CONTROL_TROUBLE_TELLING, /* telling the workers */
	CONTROL_TROUBLE_SEEN,    /* writing which certificates came */
	CONTROL_TROUBLE_DEVICES, /* writing which devices may come in */
	CONTROL_TROUBLE_TELLING_DEVICES,
	CONTROL_TROUBLE_COUNT
};

struct control_devices;
struct control_logins;
struct control_seen;

LIST_HEAD(control_client_list, control_client);
LIST_HEAD(control_worker_list, control_worker);
LIST_HEAD(control_explanation_list, control_explanation);
LIST_HEAD(control_history_list, control_history);
LIST_HEAD(control_trace_list, control_trace);
LIST_HEAD(control_trace_assembly_list, control_trace_assembly);
LIST_HEAD(control_upstream_test_list, control_upstream_test);

struct control {
	const struct child *child;
	struct event_base *base;
	struct event *supervisor;
	struct event *acceptor; /* NULL: no control socket is configured */
	size_t client_count;
	bool is_draining;
	struct control_client_list clients;
	struct control_worker_list workers; /* control_workers.c */
	uint64_t last_number;               /* of control_await(), and of tests */
	struct control_authority authorities[AUTHORITY_MAX];
	struct state_store *store;
	char troubles[CONTROL_TROUBLE_COUNT][512]; /* "": none */
	int64_t users_version;                     /* of those that the workers were told */
	size_t users_count;
	struct event *users_tick;
	bool wants_refresh; /* of the CRLs, after a revocation */
	uint64_t refreshed_us;
	struct control_seen *seen;
	struct control_devices *devices;
	struct control_logins *logins;
	/* For explanations (control_explain.c): the world as workers see it. */
	struct verifier *verifier;
	struct revocation_set revocation;
	struct control_explanation_list explanations;
	struct control_history_list histories; /* questions that wait (control_history.c) */
	struct control_trace_list traces;      /* control_trace.c */
	struct control_trace_assembly_list assemblies;
	uint32_t last_trace;
	struct control_upstream_test_list upstream_tests; /* control_upstream_test.c */
	struct peer_channel identity;                     /* control_identity.c */
	struct peer_channel ocsp; /* to the revocation process: control_ocsp.c */
};

/* Sends a message that has nothing but its type. False when the supervisor does not take it. */
bool control_tell_supervisor(const struct control *control, uint32_t type);

/* Serves whoever connects to child->control_socket. 0, or -1 with err filled. */
int control_clients_start(struct control *control, struct error *err);

/* Lets nobody in any more, and ends the loop when those who are there have their answers, or after
 * a few seconds. */
void control_clients_drain(struct control *control);

#endif
