/*
 * The states of a device by name, and what each means. For control, workers and easproxyctl.
 */
#ifndef PROXY_DEVICE_STATE_H
#define PROXY_DEVICE_STATE_H

#include <stdbool.h>

#include "proxy/device_grant.h"

/* "wipe-account"; NULL for what is none. */
const char *device_state_name(enum device_state state);

/* False, and *state is left as it is, where there is no such name. */
bool device_state_read(const char *name, enum device_state *state);

/* Whether the device is to be wiped, and has not answered yet. */
bool device_state_is_wipe(enum device_state state);

#endif
