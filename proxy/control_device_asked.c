#include "proxy/control_device_asked.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/device_state.h"

int device_asked_judge(struct control *control, struct device_asked *asked,
	struct state_device *known, bool *is_known, struct error *err)
{
	const struct device_facts *facts = &asked->u.facts;
	struct state_device holder;
	struct device_case about = {.facts = facts, .is_full = control_devices_are_full(control)};
	int found = state_devices_find(control->store, facts->mailbox, facts->id, known, err);
	int held = found == -1 ? -1
			       : state_devices_pinned_by(
					 control->store, facts->leaf_sha256, &holder, err);

	if (held == -1 || state_devices_count_of(
				  control->store, facts->mailbox, &about.mailbox_count, err) == -1)
		return -1;
	*is_known = found == 1;
	about.known = found == 1 ? known : NULL;
	about.holder = held == 1 ? &holder : NULL;
	asked->verdict = device_admission_judge(&control->child->config->devices, &about);
	if (asked->verdict.refusal == REFUSAL_DEVICE_SECOND) {
		memcpy(asked->holder_mailbox, holder.facts.mailbox, sizeof(asked->holder_mailbox));
		memcpy(asked->holder_id, holder.facts.id, sizeof(asked->holder_id));
	}
	return 0;
}

int device_asked_grant(struct control *control, struct device_asked *asked,
	const struct state_device *device, struct error *err)
{
	struct device_grant *grant = &asked->grant;
	int64_t version;

	if (state_devices_grants(control->store, &version, err) == -1)
		return -1;
	grant->is_known = true;
	grant->version = (uint64_t)version;
	memcpy(grant->leaf_sha256, asked->u.facts.leaf_sha256, sizeof(grant->leaf_sha256));
	if (device == NULL)
		return 0;
	grant->state = device->state;
	grant->wipe = device->wipe;
	memcpy(grant->model, device->facts.model, sizeof(grant->model));
	memcpy(grant->os, device->facts.os, sizeof(grant->os));
	memcpy(grant->friendly_name, device->facts.friendly_name, sizeof(grant->friendly_name));
	return 0;
}

/* Of a request that is neither for provisioning nor for what a room serves. */
static enum refusal refusal_of_state(enum device_state state)
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

	return refusals[state];
}

enum refusal control_devices_explain(
	struct control *control, const struct device_facts *facts, json_t *object)
{
	static struct device_asked asked; /* large */
	struct state_device known;
	enum device_state state;
	enum refusal refusal;
	bool is_known;
	struct error err;

	memset(&asked, 0, sizeof(asked));
	asked.u.facts = *facts;
	control_devices_flush(control);
	if (device_asked_judge(control, &asked, &known, &is_known, &err) == -1)
		return REFUSAL_DEVICE_UNAVAILABLE;
	state = is_known ? known.state : asked.verdict.state;
	refusal = asked.verdict.refusal != REFUSAL_NONE ? asked.verdict.refusal
							: refusal_of_state(state);
	json_object_set_new(object, "known", json_boolean(is_known));
	json_object_set_new(object, "state", json_string(device_state_name(state)));
	json_object_set_new(object, "refusal", json_string(refusal_row(refusal)->name));
	json_object_set_new(object, "reason",
		json_string(asked.verdict.reason == NULL ? "" : asked.verdict.reason));
	return refusal;
}

/* In a transaction. */
static int admit(struct control *control, struct device_asked *asked, struct error *err)
{
	const struct device_facts *facts = &asked->u.facts;
	int64_t now = (int64_t)time(NULL);
	struct state_device device;
	bool is_known;

	if (device_asked_judge(control, asked, &device, &is_known, err) == -1)
		return -1;
	if (asked->verdict.refusal != REFUSAL_NONE)
		return device_asked_grant(control, asked, NULL, err);
	if (!is_known)
		memset(&device, 0, sizeof(device));
	serial_format(&device.facts.serial, asked->serial_before);
	if (asked->verdict.step != DEVICE_STEP_NONE)
		device.is_pinned = false; /* so that the certificate is taken over */
	state_device_say(&device, facts, now);
	if (asked->verdict.step == DEVICE_STEP_MAKE) {
		device.state = asked->verdict.state;
		device.state_at = now;
		snprintf(device.state_by, sizeof(device.state_by), "admission");
		device.is_pinned = asked->verdict.pins;
	} else if (asked->verdict.step != DEVICE_STEP_NONE) {
		device.is_pinned = true;
	}
	if (state_devices_put(control->store, &device, err) == -1)
		return -1;
	if (asked->verdict.step == DEVICE_STEP_MAKE && device.state != DEVICE_ALLOWED &&
		state_devices_changed(control->store, err) == -1)
		return -1;
	/* What came in by the old certificate has to come anew. */
	if (asked->verdict.step == DEVICE_STEP_RENEW &&
		state_devices_ask_anew(control->store, facts->mailbox, facts->id, now, err) == -1)
		return -1;
	return device_asked_grant(control, asked, &device, err);
}

static int carry_out(struct control *control, struct device_asked *asked, struct error *err)
{
	const struct message_device_order *told = &asked->u.order;
	const struct state_device_order order = {.mailbox = told->mailbox,
		.id = told->device_id,
		.by = told->reason,
		.reason = "",
		.state = (enum device_state)told->state,
		.only_tightens = true,
		.is_full = control_devices_are_full(control),
		.at = (int64_t)time(NULL)};
	struct state_device before;
	int result = state_devices_order_step(control->store, &order, &before, err);

	asked->has_changed = result == 1;
	asked->before = before.state;
	return result == -1 ? -1 : 0;
}

int device_asked_write(struct control *control, struct device_asked *asked, struct error *err)
{
	switch (asked->type) {
	case MESSAGE_DEVICE_QUERY: return admit(control, asked, err);
	case MESSAGE_DEVICE_ORDER: return carry_out(control, asked, err);
	default: return device_asked_note_wipe(control, asked, err);
	}
}
