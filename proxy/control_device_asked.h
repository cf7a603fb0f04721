/*
 * What a worker wants of the registry of devices: whether one may come in, that a rule holds something against
 * one, that one was wiped. control_devices.c collects that, and answers it. Private to control_device*.c.
 */
#ifndef PROXY_CONTROL_DEVICE_ASKED_H
#define PROXY_CONTROL_DEVICE_ASKED_H

#include "proxy/control_devices.h"
#include "proxy/device_admission.h"

struct device_asked {
	uint32_t slot;
	uint32_t type; /* MESSAGE_DEVICE_QUERY, _ORDER, _WIPED */
	uint64_t number;
	bool is_done;
	union {
		struct device_facts facts;
		struct message_device_order order;
		struct message_device_wiped wiped;
	} u;
	/* The answer to a question. */
	struct device_verdict verdict;
	struct device_grant grant;
	char serial_before[41]; /* of a certificate that was renewed */
	/* The device that has the certificate, where it is refused for that. */
	char holder_mailbox[MAILBOX_MAX + 1], holder_id[EAS_DEVICE_ID_MAX + 1];
	/* What became of an order or a wipe. */
	bool has_changed;
	enum device_state before;
};

/* control_devices.c: no new ones come in where they have to be admitted, devices/known-max. */
bool control_devices_are_full(const struct control *control);

/* control_device_asked.c: these return 0, or -1 with err filled. */

/* Fills verdict, by what the registry says about who asks; known is filled where it has that device. */
int device_asked_judge(struct control *control, struct device_asked *asked,
	struct state_device *known, bool *is_known, struct error *err);

/* Fills grant: what the worker may go by from now on. device NULL: it is not known. */
int device_asked_grant(struct control *control, struct device_asked *asked,
	const struct state_device *device, struct error *err);

/* In a transaction: does what is asked, and fills the rest. */
int device_asked_write(struct control *control, struct device_asked *asked, struct error *err);

/* control_device_wipe.c: the same for a MESSAGE_DEVICE_WIPED, as far as the phone is believed. */
int device_asked_note_wipe(struct control *control, struct device_asked *asked, struct error *err);

/* control_device_log.c: what became of it, if that is worth a line. */
void device_log_new(const struct device_facts *facts, enum device_state state);
void device_log_admitted(const struct device_asked *asked);
void device_log_carried_out(const struct device_asked *asked);

#endif
