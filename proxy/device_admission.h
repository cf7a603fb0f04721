/*
 * Whether a device may come in, as far as its certificate and the mailbox's other devices go: what the registry
 * knows, weighed by the section devices. Pure. For the control process.
 */
#ifndef PROXY_DEVICE_ADMISSION_H
#define PROXY_DEVICE_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "config/model.h"
#include "config/refusal.h"
#include "proxy/state_devices.h"

/* What is known when a device asks. */
struct device_case {
	const struct device_facts *facts; /* who it says it is, and with which certificate */
	const struct state_device *known; /* the same device in the registry; NULL: it is not */
	const struct state_device
		*holder;       /* the device that its certificate is pinned to; NULL: none */
	int64_t mailbox_count; /* of devices that count, state_devices_count_of() */
	bool is_full;          /* the registry, of devices that cannot be forgotten */
};

enum device_step {
	DEVICE_STEP_NONE,  /* nothing changes but what is known of it */
	DEVICE_STEP_PIN,   /* its certificate is pinned, to a device that had none */
	DEVICE_STEP_RENEW, /* it is pinned instead of an earlier one */
	DEVICE_STEP_MAKE   /* the device is new */
};

struct device_verdict {
	enum refusal refusal; /* NONE: it may come in, as far as its state lets it */
	enum device_step step;
	enum device_state state; /* of a new one */
	bool pins;               /* a new one's certificate */
	const char *reason;      /* of a refusal; static */
};

/* Whether workers have to ask before a device comes in. */
bool device_admission_is_needed(const struct config_devices *config);

struct device_verdict device_admission_judge(
	const struct config_devices *config, const struct device_case *asked);

#endif
