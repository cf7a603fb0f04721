/*
 * Devices in the control process: workers ask whether a device may come in, report what devices say, and
 * bring orders and the acknowledgements of wipes; what is held against devices is compiled and goes back to
 * them through the supervisor. What comes in one turn of the loop is written together.
 */
#ifndef PROXY_CONTROL_DEVICES_H
#define PROXY_CONTROL_DEVICES_H

#include <jansson.h>
#include <stdint.h>

#include "config/error.h"
#include "proxy/control_process.h"
#include "proxy/message.h"
#include "proxy/state_devices.h"

/* Compiles what is held against devices and sends it, and looks every second whether somebody else has changed
 * it: during a reload there are two control processes. 0, or -1 with err filled. */
int control_devices_start(struct control *control, struct error *err);

/* A worker's MESSAGE_DEVICE_QUERY, _REPORT, _ORDER or _WIPED. */
void control_devices_take(struct control *control, uint32_t slot, const struct message *message);

/* Writes what is waiting, so that the store can be asked, or before the end. */
void control_devices_flush(struct control *control);

/* Something was changed on an operator's behalf: the workers are told at once. 0, or -1 with err filled, and it is
 * tried again every second. */
int control_devices_tell(struct control *control, struct error *err);

/* A line about a device whose state is another now, or that is gone: state NULL. */
void control_devices_log_state(const struct device_facts *facts, const char *before,
	const char *state, const char *by, const char *reason);

/* What would become of a device that comes with that certificate, and what is known of it: "known", "state",
 * "refusal". */
enum refusal control_devices_explain(
	struct control *control, const struct device_facts *facts, json_t *object);

/* What status says of them. */
json_t *control_devices_status(struct control *control);

#endif
