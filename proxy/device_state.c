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
