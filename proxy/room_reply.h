/*
 * What a room says to a phone, before it becomes HTTP: a document, a refusal, or a wait. The pure part
 * of wipe and quarantine (room_wipe_reply.h, room_quarantine_reply.h) makes it from what a request asks
 * and from what is ordered; room.c sends it. No I/O. For workers.
 */
#ifndef PROXY_ROOM_REPLY_H
#define PROXY_ROOM_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/refusal.h"
#include "config/span.h"
#include "proxy/room_question.h"
#include "wbxml/buffer.h"
#include "wbxml/writer.h"

enum { ROOM_DOCUMENT_MAX = 32 * 1024 };

enum room_outcome {
	ROOM_ANSWER,  /* 200 with the document, or empty */
	ROOM_OPTIONS, /* what easproxyd can do */
	ROOM_REFUSE,
	ROOM_HOLD /* a long poll: wait for hold_s, then ask again with is_over */
};

struct room_reply {
	enum room_outcome outcome;
	enum refusal refusal;     /* ROOM_REFUSE */
	unsigned int http_status; /* ROOM_REFUSE of a version up to 12.1; 0: the refusal's own */
	const char *reason;       /* for the log, static; NULL: none */
	uint32_t hold_s;
	bool is_wiped, has_failed_to_wipe; /* what was acknowledged with this request */
	bool has_directive;                /* the document tells it to wipe */
	struct wbxml_buffer document;
};

/* Frees the document. */
void room_reply_free(struct room_reply *reply);

/* For the rooms. */
void room_reply_refuse(struct room_reply *reply, enum refusal refusal, unsigned int http_status);
/* Begins a document; the root is open. */
void room_reply_begin(struct room_reply *reply, struct wbxml_writer *writer, uint16_t root);
void room_write_number(struct wbxml_writer *writer, uint16_t tag, uint32_t number);
void room_write_span(struct wbxml_writer *writer, uint16_t tag, struct span text);
/* root{status_tag}: the whole document. */
void room_reply_status(
	struct room_reply *reply, uint16_t root, uint16_t status_tag, uint32_t status);
/* Provision{Status 1, Policies/Policy{PolicyType, Status}}: 2 for no policy, 5 for a key that is not
 * ours (MS-ASPROV 2.2.2.54). With DeviceInformation where the request has one. */
void room_reply_policy(struct room_reply *reply, const struct room_question *question);

#endif
