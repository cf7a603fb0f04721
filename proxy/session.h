/*
 * One phone's connection, from accept to close: handshake, who it is, and one request after the
 * other, each of which is an exchange (exchange.h). A silent peer costs this struct and a timer: the
 * SSL object is made when the first byte is there. For workers.
 */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "proxy/credential.h"
#include "proxy/watch.h"
#include "proxy/wheel.h"
#include "proxy/worker.h"

struct client_fields;
struct exchange;
struct ocsp_seat;
struct sleeper;

enum session_state {
	SESSION_SILENT, /* connected, and no byte yet */
	SESSION_HANDSHAKE,
	SESSION_OCSP,     /* the first answer about its certificate is awaited */
	SESSION_IDENTIFY, /* the identity process looks for the mailbox */
	SESSION_HEAD,     /* idle, or a request's head is under way */
	SESSION_BODY,     /* its body is */
	SESSION_ANSWER, /* all of the request is read, the answer is under way: a Ping sleeps here */
	SESSION_LINGER, /* the last answer is sent; what still comes is read and dropped */
	SESSION_CLOSED  /* freed at the end of this turn of the loop */
};

/* Bytes that were read and belong to what comes next. */
struct session_input {
	size_t len, capacity;
	char data[];
};

struct session {
	TAILQ_ENTRY(session) entry; /* in worker->sessions, or among the closed ones */
	struct worker *worker;
	struct source *source;
	struct tls tls;
	struct watch watch;
	struct wheel_timer timer;
	struct evbuffer *queue;      /* for the phone; NULL while nothing waits */
	struct session_input *input; /* NULL while there is none */
	struct credential
		*credential;       /* NULL until the handshake is done, or without a certificate */
	struct exchange *exchange; /* NULL between requests, and while it sleeps: */
	struct sleeper *sleeper;   /* in its place, exchange_sleep.h; NULL: it does not */
	struct client_fields *client_fields; /* with login client-cert; else NULL */
	struct ocsp_seat
		*ocsp; /* of its certificate, ocsp_client.c; NULL: none is asked about it */
	struct in6_addr address; /* an IPv4 one is mapped */
	in_port_t port;
	uint16_t listener;
	enum session_state state : 8;
	enum refusal refusal : 16; /* from the judge, during the handshake */
	bool is_first_request : 1;
	bool is_wipe_only : 1; /* its certificate is revoked: it may be told to wipe, and nothing else */
	bool has_asked_again : 1; /* the directory, for the request at hand */
	bool is_asking : 1;       /* it, in the background */
	uint32_t scanned;         /* of a head under way, http_head_find_end() */
	uint32_t identity_slot;   /* while is_asking or SESSION_IDENTIFY */
	union {
		uint32_t handshake_us; /* while is_first_request: from the first byte to its end */
		uint32_t good_by;      /* afterwards, worker_judge_again() */
	};
	uint32_t auth_us;  /* from there until the mailbox was known */
	uint64_t since_us; /* when the present stage began */
};

/* The tls_judge of every listener (tls.h): owner is a session. */
enum refusal session_judge(void *owner, X509 *leaf, STACK_OF(X509) * sent);

/* Once, before the first one is opened: has the worker's watcher and wheel call its sessions. */
void session_prepare(struct worker *worker);

/* Takes over the accepted socket and its source. 0, or -1 (both stay the caller's). */
int session_open(struct worker *worker, size_t listener, int fd,
	const struct sockaddr_storage *address, struct source *source);

/* The answer of the identity process. */
void session_identified(struct session *session, const struct mailbox_answer *answer);

/* What is known of the certificate by OCSP has changed, or has become too old. */
void session_ocsp_changed(struct session *session);

/* For the exchange. Sends bytes to the phone, queueing what cannot be written at once. */
void session_write(struct session *session, const void *data, size_t len);
size_t session_queued(const struct session *session);

/* For the exchange: it is over and freed by the caller. is_last: the connection ends once all is
 * written. */
void session_exchange_over(struct session *session, bool is_last);

/* For the exchange: there is room again for what the phone sends. */
void session_resume(struct session *session);

/* For the exchange: the request is read to its end. */
void session_request_read(struct session *session);

/* Starts the timer of the present stage afresh; 0: none. */
void session_set_timer(struct session *session, uint32_t time_ms);

/* Ends it at once. The struct stays until the loop's turn is over. */
void session_close(struct session *session);

/* Whether its certificate may ask for something now, and whose mailbox it opens is known. */
enum refusal session_check(struct session *session);

/* A worker_identity_ask. */
bool session_ask_again(struct session *session);

/* The world has changed: closes the session if its certificate may not come in any more; true then.
 * A recheck_judge. */
bool session_recheck(struct session *session);

/* The worker drains: ends the session when idle; long polls are ended in the protocol's words within
 * time_ms, all else after its answer. */
void session_drain(struct session *session, uint32_t time_ms);

/* "192.0.2.1", for logs and templates. */
void session_address(const struct session *session, char text[INET6_ADDRSTRLEN]);

/* Between session.c, session_identity.c and session_recheck.c. */

/* The one place where the state changes; logged at debug level. */
void session_enter(struct session *session, enum session_state state);
/* Reads from now on exactly when the state wants it. */
void session_update_events(struct session *session);
/* Ready for the next request. */
void session_await_head(struct session *session);
/* session_ocsp.c. The handshake is done: awaits OCSP's first answer, where one is asked for, then identifies. */
void session_admit(struct session *session);
/* Finds the mailbox, or asks for it. */
void session_identify(struct session *session);
/* A request's head is there. True: the mailbox is asked for again first, and the head has to wait. */
bool session_identify_again(struct session *session);
void session_identify_timed_out(struct session *session);
/* Takes back a question that was asked in the background, if there is one. */
void session_forget_question(struct session *session);
/* Ends it at once, whatever it is doing, with a line in the log. refusal NONE: only the reason tells. */
void session_shut_out(struct session *session, enum refusal refusal, const char *reason);
/* A line about who was refused in the handshake. verdict may be NULL; tls: version or failure. */
void session_log_refused(const struct session *session, enum refusal refusal,
	const struct verdict *verdict, const char *tls);

/* A line about who was let in although it is revoked, to be told to wipe. */
void session_log_wipe_only(const struct session *session, const struct verdict *verdict);

/* A line about whom the directory has no mailbox for, and why. */
void session_log_no_mailbox(
	const struct session *session, enum refusal refusal, const char *reason);

/* Frees what was closed in this turn of the loop. For the worker. */
void session_bury(struct session *session);

#endif
