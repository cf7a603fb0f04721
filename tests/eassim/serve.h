/*
 * `eassim serve`: a small ActiveSync server that stands in for Exchange. One process, one loop,
 * state in memory. This header is what its files share: the server, and one call (a request of
 * ActiveSync on its way to its answer).
 */
#ifndef EASSIM_SERVE_H
#define EASSIM_SERVE_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench_server.h"
#include "document.h"
#include "http_server.h"
#include "journal.h"
#include "query.h"
#include "store.h"
#include "wbxml/buffer.h"
#include "wbxml/writer.h"

enum serve_assertion { ASSERTION_HEADER, ASSERTION_BASIC, ASSERTION_CLIENT_CERT };

struct serve_options {
	struct server_options http;
	const char *tls_cert, *tls_key;
	enum serve_assertion assertion;
	const char *mailbox_header;
	uint32_t mails, heartbeat_min_s, heartbeat_max_s;
	size_t record; /* requests in the journal; 0: none */
	bool requires_provision, reads_xml, is_bench, is_quiet;
};

/* How the next answers are spoilt: POST /eassim/fault. */
struct fault {
	enum answer_manner manner;
	bool spoils_wbxml;   /* the body becomes a malformed document */
	unsigned int status; /* instead of the answer, with an empty body; 0: the answer stays */
	unsigned int count;  /* answers left; 0: no fault */
	char command[24];    /* only of this command; "" for any */
	char mailbox[321];   /* only for this mailbox; "" for any */
};

enum { SERVE_FAULTS_MAX = 16 };

struct serve_stats {
	uint64_t requests, options, refused_without_mailbox, refused_ambiguous_mailbox, malformed,
		not_found;
	uint64_t commands[24];
	uint64_t polls_waiting, polls_woken, polls_expired, polls_abandoned;
	uint64_t mails_sent, mails_delivered, mails_undeliverable, mails_repeated;
	uint64_t policy_refused, bad_sync_keys, faults_given;
};

struct serve {
	struct event_base *base;
	struct serve_options options;
	struct http_server *http;   /* or */
	struct bench_server *bench; /* with --bench */
	struct store store;
	struct journal *journal;
	struct fault faults[SERVE_FAULTS_MAX];
	struct serve_stats stats;
};

/* One request of ActiveSync. Handlers fill `out` through `writer` and end with one of the
 * call_answer functions, which frees the call; or they let it wait. */
struct call {
	struct serve *serve;
	struct server_conn *conn;
	const struct server_request *request;
	struct query query;
	struct mailbox *mailbox;
	struct device *device;
	struct document document; /* of the body; empty where it is none or MIME */
	bool is_xml;              /* the request was XML, and so is the answer */
	struct wbxml_buffer out;
	struct wbxml_writer writer;
	struct waiter waiter;
	struct event *timer;
	void (*resume)(struct call *call, bool is_over);
};

/* The answer: the document in `out` (200; empty body where nothing was written). */
void call_answer(struct call *call);

/* The same bytes under another type; for multipart and attachments. */
void call_answer_bytes(struct call *call, const char *content_type, struct span bytes);

/* An HTTP status with an empty body. */
void call_answer_status(struct call *call, unsigned int status);

/* A document of a root and its Status alone. */
void call_answer_root_status(
	struct call *call, uint16_t root, uint16_t status_tag, unsigned int status);

/* Starts the document in `out` with its root. */
void call_begin(struct call *call, uint16_t root);
void call_write_number(struct call *call, uint16_t tag, uint64_t number);

/* Lets the call sleep until mail comes into one of the folders or the time is over; then resume()
 * is called. The request's own bytes stay. */
void call_wait(struct call *call, uint32_t folders, uint32_t seconds,
	void (*resume)(struct call *call, bool is_over));

/* eas_server.c: takes one request for /Microsoft-Server-ActiveSync. */
void eas_serve(struct serve *serve, struct server_conn *conn, const struct server_request *request);

/* The mailbox that the request asserts: 0, or an HTTP status (403 none, 400 more than one). */
unsigned int serve_mailbox_asserted(
	struct serve *serve, const struct server_request *request, char name[321]);

/* Into the journal; mailbox NULL: none was asserted. */
void serve_record(struct serve *serve, const struct server_conn *conn,
	const struct server_request *request, const char *mailbox);

/* The commands, each in its file. */
void provision_serve(struct call *call);   /* serve_provision.c */
bool provision_allows(struct call *call);  /* false: it has answered */
void folder_sync_serve(struct call *call); /* serve_sync.c */
void sync_serve(struct call *call);
void item_estimate_serve(struct call *call);
void ping_serve(struct call *call);            /* serve_ping.c */
void send_mail_serve(struct call *call);       /* serve_send.c */
void item_operations_serve(struct call *call); /* serve_items.c */
void attachment_serve(struct call *call);
void settings_serve(struct call *call); /* serve_settings.c */

/* serve_sync.c: whether the folder has mails that the device has not been given. */
bool sync_has_news(const struct device *device, enum folder folder);

/* serve_items.c: the ApplicationData or Properties of a mail; version by MS-ASEMAIL. */
void mail_write(struct call *call, const struct mail *mail);

/* admin.c: GET and POST /eassim/...; admin_answer() is for whoever has no struct server_conn. The
 * document is the caller's. */
json_t *admin_answer(
	struct serve *serve, const char *method, const char *target, unsigned int *status);
void admin_serve(
	struct serve *serve, struct server_conn *conn, const struct server_request *request);

/* faults.c */
void fault_apply(struct serve *serve, const char *command, const char *mailbox,
	struct server_answer *answer);
int fault_add(struct serve *serve, const char *kind, const struct fault *fault, struct error *err);

#endif
