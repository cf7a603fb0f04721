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
#include "proxy/eas.h"
#include "wbxml/buffer.h"
#include "wbxml/writer.h"

enum { ROOM_COLLECTIONS_MAX = 8, ROOM_DOCUMENT_MAX = 32 * 1024 };

/* Of a Sync, GetItemEstimate, Ping or Fetch; borrowed. len 0: it says none. */
struct room_collection {
	struct span id, key;
};

enum room_wipe_kind { ROOM_WIPE_NONE, ROOM_WIPE_ACCOUNT, ROOM_WIPE_DEVICE };

/* What a request asks, as far as a room minds. */
struct room_question {
	bool is_options;
	enum eas_command command; /* EAS_NO_COMMAND with OPTIONS */
	unsigned int version;     /* 161; 0 with OPTIONS */
	bool has_policy_key;      /* in the head, even if it is 0 */
	bool has_body;
	uint32_t heartbeat_s; /* of a Ping or Sync; 0: it says none */
	bool is_partial;
	bool has_device_info;
	bool asks_user_info;              /* Settings: UserInformation */
	bool asks_oof;                    /* Settings: Oof */
	bool has_password;                /* Settings: DevicePassword */
	bool acknowledges_key;            /* Provision: of a policy key that it was offered */
	enum room_wipe_kind acknowledged; /* Provision: of a wipe */
	uint32_t acknowledged_status;
	struct span folder_key; /* the SyncKey of FolderSync and its kin */
	uint32_t adds, other_changes, fetches;
	uint32_t collection_count; /* may be more than there is room for below */
	struct room_collection collections[ROOM_COLLECTIONS_MAX];
};

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
	uint32_t hold_s;
	bool is_wiped, has_failed_to_wipe; /* what was acknowledged with this request */
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
