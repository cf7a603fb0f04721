#include "proxy/control_device_requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/unicode.h"
#include "config/hex.h"
#include "proxy/control_arguments.h"
#include "proxy/control_devices.h"
#include "proxy/control_users.h"
#include "proxy/device_state.h"
#include "proxy/state_users.h"

enum {
	PAGE_MAX = 500,    /* devices in one answer of device-list */
	SCAN_MAX = 4000,   /* that are looked at for it */
	SCAN_STEP = 250,   /* read at a time */
	TARGETS_MAX = 256, /* mailboxes that may have one device id, in an order */
	BY_MAX = 32,
};

/* Devices as they are answered */

static void set_certificate(json_t *object, const struct state_device *device)
{
	const struct device_facts *facts = &device->facts;
	char serial[41], sha256[65];

	if (facts->issuer[0] == '\0')
		return;
	serial_format(&facts->serial, serial);
	hex_write(span_of(facts->leaf_sha256, sizeof(facts->leaf_sha256)), sha256);
	json_object_set_new(object, "certificate",
		json_pack("{s:s,s:s,s:s,s:I,s:b}", "issuer", facts->issuer, "serial", serial,
			"sha256", sha256, "not_before", (json_int_t)facts->not_before, "bound",
			device->is_pinned));
}

static void set_wipe(json_t *object, const struct state_device *device)
{
	if (!device_state_is_wipe(device->wipe) && device->wipe_acknowledged_at == 0)
		return;
	json_object_set_new(object, "wipe",
		json_pack("{s:s,s:I,s:I,s:I,s:I}", "kind",
			device->wipe == DEVICE_WIPE_ALL       ? "all"
			: device->wipe == DEVICE_WIPE_ACCOUNT ? "account"
							      : "",
			"ordered_at", (json_int_t)device->wipe_ordered_at, "sent_at",
			(json_int_t)device->wipe_sent_at, "acknowledged_at",
			(json_int_t)device->wipe_acknowledged_at, "status",
			(json_int_t)device->wipe_status));
}

static json_t *device_object(const struct state_device *device)
{
	const struct device_facts *facts = &device->facts;
	char version[16] = "";
	json_t *object;

	if (facts->version != 0)
		snprintf(version, sizeof(version), "%u.%u", facts->version / 10,
			facts->version % 10);
	object = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:b}", "mailbox",
		facts->mailbox, "id", facts->id, "type", facts->type, "model", facts->model, "os",
		facts->os, "friendly_name", facts->friendly_name, "language", facts->language,
		"user_agent", facts->user_agent, "protocol", version, "first_seen",
		(json_int_t)device->first_seen, "last_seen", (json_int_t)device->last_seen,
		"registered", device->is_registered);
	json_object_set_new(object, "state", json_string(device_state_name(device->state)));
	json_object_set_new(object, "state_at", json_integer((json_int_t)device->state_at));
	json_object_set_new(object, "state_by", json_string(device->state_by));
	json_object_set_new(object, "reason", json_string(device->state_reason));
	set_certificate(object, device);
	set_wipe(object, device);
	return object;
}

/* Arguments */

static bool is_id(const char *id)
{
	size_t len = strlen(id);

	if (len == 0 || len > EAS_DEVICE_ID_MAX)
		return false;
	for (; *id != '\0'; id++)
		if ((*id < 'a' || *id > 'z') && (*id < '0' || *id > '9'))
			return false;
	return true;
}

/* False when the client has been told what is wrong with it. */
static bool read_id(struct control_client *client, const struct control_request *request,
	char id[EAS_DEVICE_ID_MAX + 1])
{
	const char *given = control_argument(request, "id");

	if (given != NULL && strlen(given) <= EAS_DEVICE_ID_MAX) {
		device_id_fold(given, id);
		if (is_id(id))
			return true;
	}
	control_answer_error(client,
		"\"%.80s\" is no device id: letters and digits, as device list shows them",
		given == NULL ? "" : given);
	return false;
}

/* Those that an order is about. */
struct targets {
	char id[EAS_DEVICE_ID_MAX + 1];
	bool is_one_mailbox; /* it was given */
	bool is_known;
	int count;
	struct state_device devices[TARGETS_MAX];
};

static void name_target(struct targets *targets, const char *mailbox)
{
	memset(&targets->devices[0], 0, sizeof(targets->devices[0]));
	snprintf(targets->devices[0].facts.mailbox, sizeof(targets->devices[0].facts.mailbox), "%s",
		mailbox);
	snprintf(targets->devices[0].facts.id, sizeof(targets->devices[0].facts.id), "%s",
		targets->id);
	targets->count = 1;
}

/* False when the client has been told why not. A device that is not known is one of them where its mailbox was
 * given. */
static bool find_targets(struct control *control, struct control_client *client,
	const struct control_request *request, struct targets *targets)
{
	char mailbox[MAILBOX_MAX + 1];
	struct error err;

	targets->is_one_mailbox = control_argument(request, "mailbox") != NULL;
	if (!read_id(client, request, targets->id) ||
		(targets->is_one_mailbox &&
			!control_read_mailbox(control, client, request, mailbox)))
		return false;
	control_devices_flush(control);
	targets->count = targets->is_one_mailbox ? state_devices_find(control->store, mailbox,
							   targets->id, &targets->devices[0], &err)
						 : state_devices_of_id(control->store, targets->id,
							   targets->devices, TARGETS_MAX, &err);
	if (targets->count == -1) {
		control_answer_error(client, "%s", err.text);
		return false;
	}
	targets->is_known = targets->count > 0;
	if (targets->count == 0 && targets->is_one_mailbox)
		name_target(targets, mailbox);
	if (targets->count > 0)
		return true;
	control_answer_error(client,
		"no device %s is known; with --mailbox it can be named before it comes",
		targets->id);
	return false;
}

/* Lists */

struct filter {
	const char *mailbox, *type, *model, *os; /* NULL: any */
	bool has_state;
	enum device_state state;
	int64_t seen_before, seen_after; /* 0: any */
};

static bool contains(const char *text, const char *part)
{
	return part == NULL || strcasestr(text, part) != NULL;
}

static bool passes(const struct filter *filter, const struct state_device *device)
{
	const struct device_facts *facts = &device->facts;

	return (filter->mailbox == NULL || strcmp(facts->mailbox, filter->mailbox) == 0) &&
	       (!filter->has_state || device->state == filter->state) &&
	       (filter->seen_before == 0 || device->last_seen < filter->seen_before) &&
	       device->last_seen >= filter->seen_after && contains(facts->type, filter->type) &&
	       contains(facts->model, filter->model) && contains(facts->os, filter->os);
}

/* False when the client has been told what is wrong with it. */
static bool read_filter(struct control *control, struct control_client *client,
	const struct control_request *request, struct filter *filter, char mailbox[MAILBOX_MAX + 1])
{
	const char *state = control_argument(request, "state");

	*filter = (struct filter){.type = control_argument(request, "type"),
		.model = control_argument(request, "model"),
		.os = control_argument(request, "os"),
		.seen_before =
			json_integer_value(json_object_get(request->arguments, "seen_before")),
		.seen_after =
			json_integer_value(json_object_get(request->arguments, "seen_after"))};
	if (control_argument(request, "mailbox") != NULL) {
		if (!control_read_mailbox(control, client, request, mailbox))
			return false;
		filter->mailbox = mailbox;
	}
	if (state == NULL)
		return true;
	filter->has_state = device_state_read(state, &filter->state);
	if (!filter->has_state)
		control_answer_error(client,
			"\"%.40s\" is no state: allowed, blocked, quarantined, wipe-account, "
			"wipe-all, wiped or wipe-failed",
			state);
	return filter->has_state;
}

struct page {
	json_t *devices;
	size_t scanned;
	/* Behind which the next one begins. */
	char mailbox[MAILBOX_MAX + 1], id[EAS_DEVICE_ID_MAX + 1];
	bool is_last;
};

/* Whether the devices behind the last one that was looked at may concern the filter. */
static bool is_past(const struct filter *filter, const struct page *page)
{
	return filter->mailbox != NULL && strcmp(page->mailbox, filter->mailbox) > 0;
}

static int scan(
	struct control *control, const struct filter *filter, struct page *page, struct error *err)
{
	static struct state_device devices[SCAN_STEP];

	while (!page->is_last && page->scanned < SCAN_MAX &&
		json_array_size(page->devices) < PAGE_MAX) {
		int count = state_devices_after(
			control->store, page->mailbox, page->id, devices, SCAN_STEP, err);

		if (count == -1)
			return -1;
		page->is_last = count < SCAN_STEP;
		for (int i = 0; i < count; i++) {
			memcpy(page->mailbox, devices[i].facts.mailbox, sizeof(page->mailbox));
			memcpy(page->id, devices[i].facts.id, sizeof(page->id));
			if (is_past(filter, page)) {
				page->is_last = true;
				break;
			}
			if (passes(filter, &devices[i]))
				json_array_append_new(page->devices, device_object(&devices[i]));
		}
		page->scanned += (size_t)count;
	}
	return 0;
}

/* {"after": {"mailbox": …, "id": …}} has the page begin behind that one; "next" is what to give for the page after
 * this one, which may be empty itself, and is not there at the end. */
void control_request_device_list(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	const json_t *after = json_object_get(request->arguments, "after");
	const char *after_mailbox = json_string_value(json_object_get(after, "mailbox"));
	const char *after_id = json_string_value(json_object_get(after, "id"));
	char mailbox[MAILBOX_MAX + 1];
	struct page page = {0};
	struct filter filter;
	struct error err;
	json_t *answer;

	if (!read_filter(control, client, request, &filter, mailbox))
		return;
	control_devices_flush(control);
	/* No device has the id "": its mailbox's first one comes behind it. */
	if (filter.mailbox != NULL)
		snprintf(page.mailbox, sizeof(page.mailbox), "%s", filter.mailbox);
	if (after_mailbox != NULL && after_id != NULL) {
		snprintf(page.mailbox, sizeof(page.mailbox), "%s", after_mailbox);
		snprintf(page.id, sizeof(page.id), "%s", after_id);
	}
	page.devices = json_array();
	if (scan(control, &filter, &page, &err) == -1) {
		json_decref(page.devices);
		control_answer_error(client, "%s", err.text);
		return;
	}
	answer = json_pack("{s:o}", "devices", page.devices);
	if (!page.is_last)
		json_object_set_new(answer, "next",
			json_pack("{s:s,s:s}", "mailbox", page.mailbox, "id", page.id));
	control_answer(client, answer);
}

void control_request_device_show(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	static struct targets targets; /* large */
	json_t *devices;

	if (!find_targets(control, client, request, &targets))
		return;
	if (!targets.is_known) {
		control_answer_error(client, "no device %s of %s is known", targets.id,
			targets.devices[0].facts.mailbox);
		return;
	}
	devices = json_array();
	for (int i = 0; i < targets.count; i++)
		json_array_append_new(devices, device_object(&targets.devices[i]));
	control_answer(client, json_pack("{s:o}", "devices", devices));
}

/* Orders */

static const char *who(const struct control_request *request, char by[BY_MAX])
{
	snprintf(by, BY_MAX, "user %u", (unsigned int)request->user_id);
	return by;
}

/* False when the client has been told that it has to name a mailbox. Whom it hits that several devices are shut out can
 * be mended; a wipe, and what lets in, is for the one that was meant: anybody may give a phone the id of another's. */
static bool is_one_meant(struct control_client *client, const struct targets *targets)
{
	if (targets->is_one_mailbox || targets->count == 1)
		return true;
	control_answer_error(client,
		"nothing was changed: %d mailboxes have a device %s, those of %s and %s among "
		"them: say by --mailbox which is meant",
		targets->count, targets->id, targets->devices[0].facts.mailbox,
		targets->devices[1].facts.mailbox);
	return false;
}

static bool shuts_out(enum device_state state)
{
	return state == DEVICE_BLOCKED || state == DEVICE_QUARANTINED;
}

/* What was changed of each is told with the answer. */
static json_t *answer_new(const struct targets *targets)
{
	json_t *answer = json_pack("{s:s,s:[]}", "id", targets->id, "devices");

	if (!targets->is_one_mailbox && targets->count > 1)
		control_add_note(answer,
			"%d mailboxes have a device of that id: all of them are meant; --mailbox "
			"says which",
			targets->count);
	return answer;
}

static void answer_add(json_t *answer, const struct state_device *device, enum device_state before,
	enum device_state state, bool has_changed)
{
	json_array_append_new(json_object_get(answer, "devices"),
		json_pack("{s:s,s:s,s:s,s:s,s:b}", "mailbox", device->facts.mailbox, "id",
			device->facts.id, "before", device_state_name(before), "state",
			device_state_name(state), "changed", has_changed));
}

/* The last step of all orders: nothing is answered before workers know it, or it is said that they do not. */
static void answer_ordered(struct control *control, struct control_client *client, json_t *answer)
{
	struct error err;

	control_store_trouble(control, CONTROL_TROUBLE_DEVICES, "");
	if (control_devices_tell(control, &err) == 0) {
		control_answer(client, answer);
		return;
	}
	json_decref(answer);
	control_answer_error(client,
		"it is written down, but the workers do not know yet; it is tried again every "
		"second: %s",
		err.text);
}

static void answer_failed(struct control *control, struct control_client *client, json_t *answer,
	const struct error *err)
{
	json_decref(answer);
	control_store_trouble(control, CONTROL_TROUBLE_DEVICES, err->text);
	control_answer_error(client, "%s", err->text);
}

/* What a wipe becomes for a device: the account alone where it is known to understand that, unless something else
 * was asked for. False when the client has been told that it has to be. */
static bool choose_wipe(struct control_client *client, const struct control_request *request,
	const struct state_device *device, enum device_state *state)
{
	enum { ACCOUNT_ONLY_VERSION = 161 }; /* MS-ASPROV 2.2.2.1: not before 16.1 */
	bool account = json_is_true(json_object_get(request->arguments, "account_only"));
	bool whole = json_is_true(json_object_get(request->arguments, "erase_whole_device"));
	uint32_t version = device->facts.version;

	if (whole) {
		*state = DEVICE_WIPE_ALL;
		return true;
	}
	*state = DEVICE_WIPE_ACCOUNT;
	if (version >= ACCOUNT_ONLY_VERSION || (account && version == 0))
		return true;
	if (version == 0)
		control_answer_error(client,
			"nothing was changed: it is not known whether %s of %s can remove its "
			"account alone, which takes protocol 16.1: say --account-only, or "
			"--erase-whole-device to reset all of it; or device block",
			device->facts.id, device->facts.mailbox);
	else
		control_answer_error(client,
			"nothing was changed: %s of %s was last seen with protocol %u.%u, which "
			"cannot remove the account alone (16.1 can): say --erase-whole-device to "
			"reset all of it, or device block",
			device->facts.id, device->facts.mailbox, version / 10, version % 10);
	return false;
}

/* The state that the request is about, for that device. False when the client has been told why not. */
static bool read_state(struct control_client *client, const struct control_request *request,
	const struct state_device *device, enum device_state *state)
{
	static const struct {
		const char *name;
		enum device_state state;
	} orders[] = {{"device-allow", DEVICE_ALLOWED}, {"device-block", DEVICE_BLOCKED},
		{"device-quarantine", DEVICE_QUARANTINED}};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (strcmp(request->name, orders[i].name) == 0) {
			*state = orders[i].state;
			return true;
		}
	return choose_wipe(client, request, device, state);
}

/* A phone whose user is revoked does not get as far as its wipe. */
static void note_revoked_users(
	struct control *control, const struct targets *targets, json_t *answer)
{
	struct state_user user;
	struct error err;

	for (int i = 0; i < targets->count; i++)
		if (state_users_find(
			    control->store, targets->devices[i].facts.mailbox, &user, &err) == 1)
			control_add_note(answer,
				"the user %s is revoked, so that the phone cannot come to be told: "
				"easproxyctl user allow lets it",
				user.mailbox);
}

int control_devices_to_be_wiped(struct control *control, const char *mailbox)
{
	static struct state_device devices[SCAN_STEP];
	struct error err;
	int count = state_devices_after(control->store, mailbox, "", devices, SCAN_STEP, &err);
	int to_be_wiped = 0;

	for (int i = 0; i < count; i++)
		to_be_wiped += strcmp(devices[i].facts.mailbox, mailbox) == 0 &&
			       device_state_is_wipe(devices[i].state);
	return to_be_wiped;
}

static int carry_out_all(struct control *control, const struct targets *targets,
	const enum device_state *states, const char *by, const char *reason, json_t *answer,
	struct error *err)
{
	for (int i = 0; i < targets->count; i++) {
		const struct state_device *device = &targets->devices[i];
		const struct state_device_order order = {.mailbox = device->facts.mailbox,
			.id = device->facts.id,
			.by = by,
			.reason = reason,
			.state = states[i],
			.at = (int64_t)time(NULL)};
		struct state_device before;
		int result = state_devices_order(control->store, &order, &before, err);

		if (result == -1)
			return -1;
		if (result == 1)
			control_devices_log_state(&device->facts, device_state_name(before.state),
				device_state_name(states[i]), by, reason);
		answer_add(answer, device, before.state, states[i], result == 1);
	}
	return 0;
}

void control_request_device_order(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	static struct targets targets; /* large */
	enum device_state states[TARGETS_MAX] = {DEVICE_ALLOWED};
	char reason[STATE_REASON_MAX + 1], by[BY_MAX];
	struct error err;
	json_t *answer;

	if (!find_targets(control, client, request, &targets) ||
		!control_read_reason(client, request, reason))
		return;
	for (int i = 0; i < targets.count; i++)
		if (!read_state(client, request, &targets.devices[i], &states[i]))
			return;
	if (!shuts_out(states[0]) && !is_one_meant(client, &targets))
		return;
	answer = answer_new(&targets);
	if (!targets.is_known)
		control_add_note(answer, "the device is not known: it holds when it comes");
	if (device_state_is_wipe(states[0]))
		note_revoked_users(control, &targets, answer);
	if (carry_out_all(control, &targets, states, who(request, by), reason, answer, &err) == -1)
		answer_failed(control, client, answer, &err);
	else
		answer_ordered(control, client, answer);
}

void control_request_device_add(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	char id[EAS_DEVICE_ID_MAX + 1], mailbox[MAILBOX_MAX + 1], by[BY_MAX];
	struct state_device device;
	struct error err;
	json_t *answer;
	int result;

	if (!read_id(client, request, id) ||
		!control_read_mailbox(control, client, request, mailbox))
		return;
	control_devices_flush(control);
	result = state_devices_register(
		control->store, mailbox, id, who(request, by), (int64_t)time(NULL), &err);
	if (result == -1 || state_devices_find(control->store, mailbox, id, &device, &err) == -1) {
		answer_failed(control, client, NULL, &err);
		return;
	}
	if (result == 1)
		control_devices_log_state(&device.facts, "", "registered", by, "");
	answer = json_pack("{s:s,s:[]}", "id", id, "devices");
	answer_add(answer, &device, device.state, device.state, result == 1);
	if (device.state != DEVICE_ALLOWED)
		control_add_note(answer, "it is %s all the same", device_state_name(device.state));
	answer_ordered(control, client, answer);
}

void control_request_device_forget(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	static struct targets targets; /* large */
	char by[BY_MAX];
	struct error err;
	json_t *answer;

	if (!find_targets(control, client, request, &targets) || !is_one_meant(client, &targets))
		return;
	answer = answer_new(&targets);
	for (int i = 0; i < targets.count; i++) {
		const struct state_device *device = &targets.devices[i];
		int result = state_devices_forget(control->store, device->facts.mailbox,
			device->facts.id, (int64_t)time(NULL), &err);

		if (result == -1) {
			answer_failed(control, client, answer, &err);
			return;
		}
		if (result == 1)
			control_devices_log_state(&device->facts, device_state_name(device->state),
				NULL, who(request, by), "");
		answer_add(answer, device, device->state, DEVICE_ALLOWED, result == 1);
	}
	answer_ordered(control, client, answer);
}
