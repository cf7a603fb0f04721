/*
 * What a worker knows of a device and sends to the control process: who it says it is, and with which
 * certificate. One struct, as it goes over the channel.
 */
#ifndef PROXY_DEVICE_FACTS_H
#define PROXY_DEVICE_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/mailbox.h"
#include "auth/revocation_index.h"
#include "proxy/device_grant.h"
#include "proxy/eas.h"

enum {
	DEVICE_USER_AGENT_MAX = 127,
	DEVICE_ISSUER_MAX = 255,
};

/* Texts are "" where the device has not said it (yet). */
struct device_facts {
	char mailbox[MAILBOX_MAX + 1];  /* lower case */
	char id[EAS_DEVICE_ID_MAX + 1]; /* lower case: ids are compared without case */
	char type[EAS_DEVICE_TYPE_MAX + 1];
	char user_agent[DEVICE_USER_AGENT_MAX + 1];
	char model[DEVICE_TEXT_MAX + 1];
	char os[DEVICE_TEXT_MAX + 1];
	char friendly_name[DEVICE_TEXT_MAX + 1];
	char language[DEVICE_TEXT_MAX + 1];
	uint32_t version; /* of the protocol, as in eas_request; 0: never said */

	/* The certificate; no issuer: none is known. */
	char issuer[DEVICE_ISSUER_MAX + 1];
	struct serial serial;
	uint8_t leaf_sha256[32];
	int64_t not_before; /* UNIX seconds */
};

/* The id as it is kept and compared. */
void device_id_fold(const char *id, char folded[EAS_DEVICE_ID_MAX + 1]);

/* Ends both. False where they are none: no mailbox that can be shown, no id as it is kept. */
bool device_names_end(char mailbox[MAILBOX_MAX + 1], char id[EAS_DEVICE_ID_MAX + 1]);
/* Ends a text of that size. Either all of it can be seen, or it becomes ASCII with "?" for the rest. */
void device_text_clean(char *text, size_t size);

/* Ends every text, and has what nobody can read in it become "?", so that it can be kept and shown. False
 * where mailbox or id are none. */
bool device_facts_clean(struct device_facts *facts);

#endif
