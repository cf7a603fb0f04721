/*
 * One request and its answer, from a parsed head to the log line. The request's way is in
 * exchange_begin.c (its head), exchange_request.c (its body) and exchange_send.c (out to the endpoint),
 * the answer's in exchange_answer.c. The invariants are kept here: nothing is sent to an endpoint without
 * a mailbox, and the last bytes of a request are held back until its document has been decoded to the
 * end. For workers.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/answer_filter.h"
#include "proxy/eas.h"
#include "proxy/eas_body.h"
#include "proxy/exchange_policy.h"
#include "proxy/gunzip.h"
#include "proxy/http.h"
#include "proxy/link.h"
#include "proxy/room.h"
#include "proxy/session.h"
#include "proxy/spool.h"
#include "wbxml/buffer.h"
#include "wbxml/xml.h"

enum {
	EXCHANGE_ID_SIZE = 24,
};

/* How far the request has come towards the endpoint. */
enum exchange_stage {
	EXCHANGE_COLLECT, /* no link yet: the body is small, or has to be whole first */
	EXCHANGE_CONNECT, /* a link is being made */
	EXCHANGE_SEND,    /* the head is sent, content follows */
	EXCHANGE_SENT,    /* to its last byte */
	EXCHANGE_OVER     /* answered or given up; freed at the end of this turn of the loop */
};

enum exchange_answer {
	EXCHANGE_NO_ANSWER,   /* nothing was sent to the phone */
	EXCHANGE_ANSWER_BODY, /* the head was sent */
	EXCHANGE_ANSWERED     /* to its last byte */
};

/* Why the timer ends a long poll. */
enum poll_end {
	POLL_GOES_ON, /* it does not */
	POLL_DRAINS,
	POLL_REGROUPED,
	POLL_ASKS_DEVICE, /* about whom control is asked when it comes again */
	POLL_SUPERSEDED
};

/* A request as it was sent, head and body, for another endpoint. */
struct exchange_kept {
	size_t fields_len, body_len;
	char bytes[]; /* the fields, then the body */
};

struct exchange {
	struct session *session;
	struct exchange *next_over; /* among those to be freed */

	/* The request. */
	char id[EXCHANGE_ID_SIZE];
	enum http_method method;
	unsigned int minor_version;
	struct eas_request request;
	enum eas_body_kind kind;
	enum room room; /* who answers it */
	struct http_body body;
	uint64_t content_length;        /* as the phone said it, with HTTP_LENGTH */
	struct eas_body *request_facts; /* NULL unless kind is EAS_BODY_WBXML or MIME */
	struct wbxml_buffer *collected; /* the document, for upstream/body = xml; NULL otherwise */
	struct device_entry *device;    /* pinned; NULL where the request names none */
	LIST_ENTRY(exchange) device_link; /* while waits_for_device */
	struct exchange_policy policy;
	uint32_t wait_time_ms; /* from the end of the request */
	uint32_t hold_ms;      /* it may pass, but only so long after its end */
	bool waits_for_device; /* among device->watch.waiting */
	bool waits;            /* exchange_wait(): it is not known yet whether it may pass */
	bool is_held;          /* until its timer fires */
	bool is_read;          /* the phone has sent all of it */
	bool is_released;      /* decoded to the end and allowed: it may go out whole */

	/* Towards the endpoint. */
	bool is_chunked;        /* how the body is sent */
	uint8_t attempts;       /* times that it was sent again, to this or another endpoint */
	uint8_t redirect_count; /* of them: from one endpoint to another */
	uint8_t login_by;       /* enum login_kind and 1; 0: nothing is got for it */
	bool login_had_token;   /* a ticket's token was in the head that was sent last */
	bool login_is_renewed;  /* the endpoint did not take the first one */
	enum exchange_stage stage;
	enum exchange_answer answer; /* how far that has come */
	struct link *link;
	struct exchange_login *login; /* while one is got, or proven; NULL otherwise */
	struct spool spool;
	char *query;  /* of the target, "" without one; NULL until it may pass */
	char *fields; /* the head's fields but for Host and framing; NULL once sent */
	size_t fields_len;
	struct exchange_kept *kept; /* to be sent once more; NULL: it cannot be */

	/* The answer. */
	struct session_input *answer_head; /* a head that came in pieces; NULL otherwise */
	size_t answer_scanned;
	struct http_body answer_body;
	struct eas_body *answer_facts;   /* NULL unless it is WBXML, alone or in a multipart */
	struct gunzip *gunzip;           /* NULL unless it is compressed WBXML */
	struct wbxml_buffer *answer_xml; /* the document, for upstream/body = xml; NULL otherwise */
	struct answer_changes
		changes; /* what is taken out of it; set before the request is released */
	struct answer_filter *filter; /* NULL: nothing is taken out or learned */
	struct owner *filter_owner;   /* whose answer it is; a share */
	struct parcel *parcel;        /* while bytes of it are taken in */
	bool link_is_reusable, answer_is_chunked, answer_closes, answer_is_malformed;
	bool answer_is_dropped;   /* a page for people, which phones do not get */
	bool answer_is_changed;   /* what the filter makes is what the phone gets */
	bool download_is_refused; /* an attachment that is taken out, GetAttachment */
	bool is_poll;
	bool came_by_url; /* Host is that of autodiscover/url */
	bool is_health_check;
	enum poll_end ends_poll; /* when the timer fires */
	bool is_drowsy;          /* among worker->drowsy, exchange_sleep.h */
	LIST_ENTRY(exchange) drowsy_link;
	char *base; /* where the phone finds us, for Autodiscover; NULL otherwise */

	struct exchange_traced *traced; /* NULL: nobody follows it (exchange_trace.h) */

	/* For the log. */
	enum refusal refusal;
	uint16_t refusal_http_status, refusal_eas_status; /* instead of its row's; 0: that */
	uint32_t retry_after_s;                           /* with a 503 of our own; 0: as usual */
	char reason[160];
	unsigned int status;          /* to the phone */
	unsigned int endpoint_status; /* 0: no answer */
	unsigned int own_eas_status;  /* in an answer of our own; 0: none */
	uint64_t bytes_in, bytes_out;
	uint64_t begun_us, sent_us, answered_us;
	uint32_t login_us;    /* that were waited for logins */
	const char *endpoint; /* its URL; NULL: it was sent to none. Lives as long as the worker */
	const char *tls_version, *tls_cipher; /* static strings of the TLS library */
};

/* Begins with a request's head, whose spans end with this call. It may be refused at once. */
void exchange_begin(struct session *session, const struct http_head *head);

/* Begins and ends with a refusal, for what could not even be parsed. */
void exchange_begin_refused(struct session *session, enum refusal refusal);

/* Takes bytes of the body; returns how many. Fewer than there are: the rest belongs to the next
 * request (is_read is true), or there is no room now (session_resume() follows). */
size_t exchange_take(struct exchange *exchange, const char *data, size_t len);

/* All that was queued for the phone is written. */
void exchange_phone_drained(struct exchange *exchange);

/* The session's timer has fired. */
void exchange_timed_out(struct exchange *exchange);

/* The connection has ended, or has to. Logs, and lets go of the link. */
void exchange_abort(struct exchange *exchange, enum refusal refusal, const char *reason);

/* Ends a long poll within time_ms in the protocol's words. False: it is none, or its answer is under way. */
bool exchange_end_poll(struct exchange *exchange, uint32_t time_ms, enum poll_end why);
/* When, in milliseconds: some time before time_ms is over, so that thousands do not end at once. */
uint32_t exchange_poll_end_time(uint32_t time_ms);

/* The same at once, of a Ping or Sync that may not be at the mail server yet. */
void exchange_end_poll_now(struct exchange *exchange, enum poll_end why);

/* Frees what is over. For session_bury(). */
void exchange_free(struct exchange *exchange);

/* Between its files. */

/* All zero; NULL when memory runs out. Given back by exchange_free(), which keeps some for the next ones. */
struct exchange *exchange_make(void);

/* All that it owns, but not the struct. */
void exchange_free_content(struct exchange *exchange);

/* exchange_request.c. How large the body may be. */
uint64_t exchange_body_size_max(const struct exchange *exchange);
/* The phone has sent all of it. Only what is whole and allowed is released. */
void exchange_request_read(struct exchange *exchange);

/* exchange_send.c. What a link tells an exchange that is awake. */
extern const struct link_calls exchange_link_calls;
/* To the endpoint of an earlier request of the device, or any. */
void exchange_connect(struct exchange *exchange);
/* Sends of the body what may go out now. */
void exchange_send(struct exchange *exchange);
/* Whether content, which was just read, may go out at once, but for its last bytes; and sends it so. */
bool exchange_can_pass(const struct exchange *exchange, struct span content);
void exchange_pass(struct exchange *exchange, struct span content);

/* exchange_gate.c: whether it may pass, asked when the head is there. May choose a room, or wait. */
enum refusal exchange_gate(struct exchange *exchange, const struct http_head *head);
/* The same for one that waited for control to know its device: goes on, is refused, or waits again. */
void exchange_gate_again(struct exchange *exchange);
/* Asked when the request is whole and decoded, before its end goes out or a room answers it. */
enum refusal exchange_judge(struct exchange *exchange);
/* The exchange is over. */
void exchange_gate_leave(struct exchange *exchange);

/* Lets nothing out to an endpoint until exchange_wait_over(), which is called by whoever asked somebody
 * else about the request. When time_ms are over it is refused with DEVICE_UNAVAILABLE. */
void exchange_wait(struct exchange *exchange, uint32_t time_ms);
/* refusal NONE: it goes on, to the room that was chosen meanwhile. Nothing if it does not wait. */
void exchange_wait_over(struct exchange *exchange, enum refusal refusal, const char *reason);

/* The time that it was held for is over. */
void exchange_hold_over(struct exchange *exchange);

/* An answer of our own. */
struct own_field {
	const char *name, *value;
};

struct own_answer {
	unsigned int status;
	const char *content_type;       /* NULL: none */
	const struct own_field *fields; /* beside Content-Type, Content-Length and Connection */
	size_t field_count;
	struct span body;
	unsigned int eas_status; /* in it, for the log; 0: none */
};

/* Answers the request with it, and ends the exchange; all is copied. Where an answer is under way already
 * the connection ends. */
void exchange_answer_own(struct exchange *exchange, const struct own_answer *answer);

/* exchange_redirect.c: keeps what is about to be sent, if an endpoint may send it elsewhere or want another
 * login; fields are still there. */
void exchange_keep_request(struct exchange *exchange, struct span body);
void exchange_forget_request(struct exchange *exchange);
/* The endpoint sends the phone elsewhere. True: easproxyd goes there itself, or has refused; the answer is
 * not looked at any more. */
bool exchange_redirected(struct exchange *exchange, const struct http_head *head);
/* The endpoint that an earlier request of the device was sent to, or NULL. */
struct endpoint *exchange_endpoint_of_device(const struct exchange *exchange);
/* Gives the link up and sends what was kept to an endpoint. */
void exchange_send_again(struct exchange *exchange, struct endpoint *endpoint);
/* A long poll sleeps on: what was kept of it is let go of, unless the endpoint may yet say no. Whether that
 * was so. */
bool exchange_sleeps_on(struct exchange *exchange);
/* exchange_send.c. Sends the request, of which fields and body are there, to an endpoint; NULL: to any. */
void exchange_connect_to(struct exchange *exchange, struct endpoint *endpoint);
/* The link is there, or a login for it. */
void exchange_link_ready(struct exchange *exchange);
/* The time that the endpoint has for its answer; of a long poll from when it was sent. */
uint32_t exchange_answer_time(const struct exchange *exchange);

/* Refuses: answers, unless an answer is under way, and ends the exchange. */
void exchange_refuse(struct exchange *exchange, enum refusal refusal, const char *reason);

/* The answer is complete, or its connection is lost: logs, lets go of the link, tells the session. */
void exchange_finish(struct exchange *exchange, bool is_last);

/* exchange_filter.c and exchange_folders.c: what is taken out of the answer, and learned from it. */

/* Whether the answer to this request may be another than the endpoint's. */
bool exchange_changes_answer(const struct exchange *exchange);
/* The request must not ask for an answer that could not be changed: writes its fields, and changes its
 * query, so that it does not. */
void exchange_narrow_request(struct exchange *exchange, struct http_writer *writer);
/* An answer's head is there: makes the filter, if there is something to take out or to learn, and changes
 * the head to what the phone gets. Or refuses, with a reason (static), what could not be changed. */
enum refusal exchange_filter_begin(
	struct exchange *exchange, struct http_head *head, const char **reason);
/* Makes the filter for a document; it hands on what it makes to exchange_answer_out(). -1: no memory. */
int exchange_filter_make(struct exchange *exchange);
/* What FolderSync has said of a folder of this phone: enum eas_class. context: the exchange. */
unsigned int exchange_folder_class(void *context, struct span id);
/* The request is whole and may concern folders of a class that no table knows: the phone is to look at its
 * folders again, or to name them. Returns what it is refused with, and says in the exchange with which
 * status; or answers it. */
enum refusal exchange_folders_unknown(struct exchange *exchange);
/* A FolderSync of a phone that was told so: it is answered here with Status 9, so that it starts over and
 * gets all of its folders. False: nothing is to be done. */
bool exchange_folders_start_over(struct exchange *exchange);
/* exchange_answer.c: content for the phone. context: the exchange. */
int exchange_answer_out(void *context, struct span bytes);

/* For the link's calls, in exchange_answer.c. */
void exchange_link_readable(void *owner);
/* What was held of the answer is looked at again. */
void exchange_answer_go_on(struct exchange *exchange);

/* The worker's reading limits as the reader takes them. */
struct wbxml_limits exchange_limits(const struct config *config);
struct wbxml_xml_options exchange_xml_options(const struct config *config);

#endif
