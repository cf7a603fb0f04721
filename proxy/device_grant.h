/*
 * What a worker knows of a device: a phone, as one mailbox's. The control process keeps the devices;
 * this is what it has let a worker know. For workers and control.
 */
#ifndef PROXY_DEVICE_GRANT_H
#define PROXY_DEVICE_GRANT_H

#include <stdbool.h>
#include <stdint.h>

/* The values stand in the state store and in messages: never renumbered. */
enum device_state {
	DEVICE_ALLOWED = 0,
	DEVICE_BLOCKED = 1,
	DEVICE_QUARANTINED = 2,
	DEVICE_WIPE_ACCOUNT = 3, /* ordered: the account's data, MS-ASPROV AccountOnlyRemoteWipe */
	DEVICE_WIPE_ALL = 4,     /* ordered: the whole device, RemoteWipe */
	DEVICE_WIPED = 5,        /* acknowledged */
	DEVICE_WIPE_FAILED = 6,  /* the device says that it could not; the order stands */
	DEVICE_STATE_COUNT
};

enum { DEVICE_TEXT_MAX = 63 };

struct device_grant {
	enum device_state state;
	enum device_state wipe;  /* with DEVICE_WIPE_FAILED: what was ordered */
	bool is_known;           /* control has admitted it, with the certificate of that digest */
	uint64_t version;        /* of the restricted devices then */
	uint8_t leaf_sha256[32]; /* of the certificate that it came with last */
	char model[DEVICE_TEXT_MAX + 1]; /* as the device has said; "": it has not */
	char os[DEVICE_TEXT_MAX + 1];
	char friendly_name[DEVICE_TEXT_MAX + 1];
};

#endif
