/*
 * What a request asks, as far as a room minds: from its head and the view of its body. No I/O. For
 * workers.
 */
#ifndef PROXY_ROOM_QUESTION_H
#define PROXY_ROOM_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "config/span.h"
#include "proxy/eas.h"
#include "proxy/eas_body.h"

enum { ROOM_COLLECTIONS_MAX = EAS_COLLECTIONS_NAMED };

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

/* body: NULL without one. The question's texts are those of the body and live as long as they. */
struct room_question room_question_of(
	const struct eas_request *request, bool is_options, const struct eas_body *body);

#endif
