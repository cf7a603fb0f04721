#include "proxy/device_state.h"

#include <stddef.h>
#include <string.h>

static const char *const names[DEVICE_STATE_COUNT] = {
	[DEVICE_ALLOWED] = "allowed",
	[DEVICE_BLOCKED] = "blocked",
	[DEVICE_QUARANTINED] = "quarantined",
	[DEVICE_WIPE_ACCOUNT] = "wipe-account",
	[DEVICE_WIPE_ALL] = "wipe-all",
	[DEVICE_WIPED] = "wiped",
	[DEVICE_WIPE_FAILED] = "wipe-failed",
};

const char *device_state_name(enum device_state state)
{
	return (unsigned int)state < DEVICE_STATE_COUNT ? names[state] : NULL;
}

bool device_state_read(const char *name, enum device_state *state)
{
	for (unsigned int i = 0; i < DEVICE_STATE_COUNT; i++)
		if (strcmp(names[i], name) == 0) {
			*state = (enum device_state)i;
			return true;
		}
	return false;
}

bool device_state_is_wipe(enum device_state state)
{
	return state == DEVICE_WIPE_ACCOUNT || state == DEVICE_WIPE_ALL;
}

enum refusal device_state_refusal(enum device_state state)
{
	static const enum refusal refusals[DEVICE_STATE_COUNT] = {
		[DEVICE_ALLOWED] = REFUSAL_NONE,
		[DEVICE_BLOCKED] = REFUSAL_DEVICE_BLOCKED,
		[DEVICE_QUARANTINED] = REFUSAL_DEVICE_QUARANTINED,
		[DEVICE_WIPE_ACCOUNT] = REFUSAL_DEVICE_WIPE,
		[DEVICE_WIPE_ALL] = REFUSAL_DEVICE_WIPE,
		[DEVICE_WIPED] = REFUSAL_DEVICE_WIPED,
		[DEVICE_WIPE_FAILED] = REFUSAL_DEVICE_WIPE,
	};

	return (unsigned int)state < DEVICE_STATE_COUNT ? refusals[state] : REFUSAL_DEVICE_BLOCKED;
}
