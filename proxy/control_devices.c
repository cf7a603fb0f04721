#include "proxy/control_devices.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/control_users.h"
#include "proxy/control_workers.h"
#include "proxy/device_admission.h"
#include "proxy/device_state.h"
#include "proxy/log.h"

enum {
	ASKED_MAX = 128,        /* questions, orders and wipes that are written together */
	REPORTS_MAX = 256,      /* reports that are */
	PRUNE_TICKS = 60,       /* seconds between two looks at what is to be forgotten */
	PRUNE_WRITES = 2000,    /* or so many new devices */
	TELL_LATER_US = 200000, /* what no operator waits for is compiled at most so often */
};

/* What a worker wants to be answered. */
struct asked {
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

struct control_devices {
	struct event *tick, *flush, *tell_later;
	unsigned int ticks, writes; /* since the last pruning */
	int64_t version;            /* of those that the workers were told */
	size_t restricted;
	bool makes_by_report; /* nobody has to ask: a device is known once it was reported */
	bool is_full;
	uint64_t dropped;
	size_t asked_count, report_count;
	struct asked asked[ASKED_MAX];
	struct device_facts reports[REPORTS_MAX];
};

/* Lines in the log */

static void log_begin_device(
	struct log_line *line, const char *event, const struct device_facts *facts)
{
	log_begin(line, CONFIG_LOG_INFO, event);
	log_text(line, "mailbox", facts->mailbox);
	log_text(line, "device", facts->id);
	log_text(line, "device_type", facts->type);
}

static void log_serial(struct log_line *line, const struct device_facts *facts)
{
	char serial[41];

	if (facts->issuer[0] == '\0')
		return;
	serial_format(&facts->serial, serial);
	log_text(line, "serial", serial);
	log_text(line, "issuer", facts->issuer);
}

static void log_new(const struct device_facts *facts, enum device_state state)
{
	struct log_line line;

	log_begin_device(&line, "device-new", facts);
	log_text(&line, "state", device_state_name(state));
	log_text(&line, "user_agent", facts->user_agent);
	log_serial(&line, facts);
	log_end(&line);
}

static void log_certificate(
	const char *event, const struct device_facts *facts, const char *serial_before)
{
	struct log_line line;

	log_begin_device(&line, event, facts);
	log_text(&line, "serial_before", serial_before);
	log_serial(&line, facts);
	log_end(&line);
}

static void log_refused(const struct asked *asked)
{
	const struct device_facts *facts = &asked->u.facts;
	const struct device_verdict *verdict = &asked->verdict;
	struct log_line line;

	log_begin_device(&line, "device-refused", facts);
	log_text(&line, "refusal", refusal_row(verdict->refusal)->name);
	log_text(&line, "reason", verdict->reason);
	if (verdict->refusal == REFUSAL_DEVICE_SECOND) {
		log_text(&line, "bound_device", asked->holder_id);
		log_text(&line, "bound_mailbox", asked->holder_mailbox);
	}
	log_serial(&line, facts);
	log_end(&line);
}

void control_devices_log_state(const struct device_facts *facts, const char *before,
	const char *state, const char *by, const char *reason)
{
	struct log_line line;

	log_begin_device(&line, state == NULL ? "device-forgotten" : "device-state", facts);
	log_text(&line, "before", before);
	log_text(&line, "state", state);
	log_text(&line, "who", by);
	log_text(&line, "reason", reason);
	log_end(&line);
}

/* Telling the workers */

int control_devices_tell(struct control *control, struct error *err)
{
	const struct message message = {.type = MESSAGE_DEVICES};
	struct control_devices *devices = control->devices;
	int64_t version;
	size_t count;
	int fd = state_devices_index(control->store, &version, &count, err), result;

	if (fd == -1)
		return -1;
	result = message_send(control->child->supervisor, &message, fd);
	if (result == -1)
		error_sys(err, "telling the workers what is held against devices");
	close(fd);
	if (result == -1)
		return -1;
	devices->version = version;
	devices->restricted = count;
	return 0;
}

/* What could not be sent is tried again with each tick. */
static void tell_if_changed(struct control *control)
{
	struct error err = {""};
	int64_t version;

	if (state_devices_version(control->store, &version, &err) == 0 &&
		(version == control->devices->version || control_devices_tell(control, &err) == 0))
		err.text[0] = '\0';
	control_store_trouble(control, CONTROL_TROUBLE_TELLING_DEVICES, err.text);
}

static void on_tell_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell_if_changed(arg);
}

static void tell_later(struct control_devices *devices)
{
	static const struct timeval later = {0, TELL_LATER_US};

	if (!evtimer_pending(devices->tell_later, NULL))
		evtimer_add(devices->tell_later, &later);
}

/* Reports */

static void flush_reports(struct control *control)
{
	struct control_devices *devices = control->devices;
	bool is_new[REPORTS_MAX] = {false};
	struct error err = {""};

	if (devices->report_count == 0)
		return;
	if (state_devices_report(control->store, devices->reports, devices->report_count,
		    (int64_t)time(NULL), devices->makes_by_report, is_new, &err) == -1)
		devices->dropped += devices->report_count;
	for (size_t i = 0; i < devices->report_count && err.text[0] == '\0'; i++)
		if (is_new[i]) {
			log_new(&devices->reports[i], DEVICE_ALLOWED);
			devices->writes++;
		}
	control_store_trouble(control, CONTROL_TROUBLE_DEVICES, err.text);
	devices->report_count = 0;
}

static void keep_report(struct control *control, const struct device_facts *facts)
{
	struct control_devices *devices = control->devices;

	if (devices->report_count == REPORTS_MAX)
		flush_reports(control);
	devices->reports[devices->report_count++] = *facts;
}

/* Questions */

static int fill_grant(struct control *control, struct asked *asked,
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

/* What the registry says about who asks. 0, or -1 with err filled. */
static int judge(struct control *control, struct asked *asked, struct state_device *known,
	bool *is_known, struct error *err)
{
	const struct device_facts *facts = &asked->u.facts;
	struct state_device holder;
	struct device_case about = {.facts = facts, .is_full = control->devices->is_full};
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

/* Answers what needs nothing written. 0: it has, or there is something to write; -1 with err filled. */
static int answer_at_once(struct control *control, struct asked *asked, struct error *err)
{
	struct state_device known;
	bool is_known;

	if (judge(control, asked, &known, &is_known, err) == -1)
		return -1;
	if (asked->verdict.refusal == REFUSAL_NONE && asked->verdict.step != DEVICE_STEP_NONE)
		return 0;
	asked->is_done = true;
	if (asked->verdict.refusal == REFUSAL_NONE)
		keep_report(control, &asked->u.facts);
	return fill_grant(control, asked, is_known ? &known : NULL, err);
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
	static struct asked asked; /* large */
	struct state_device known;
	enum device_state state;
	enum refusal refusal;
	bool is_known;
	struct error err;

	memset(&asked, 0, sizeof(asked));
	asked.u.facts = *facts;
	control_devices_flush(control);
	if (judge(control, &asked, &known, &is_known, &err) == -1)
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
static int admit(struct control *control, struct asked *asked, struct error *err)
{
	const struct device_facts *facts = &asked->u.facts;
	int64_t now = (int64_t)time(NULL);
	struct state_device device;
	bool is_known;

	if (judge(control, asked, &device, &is_known, err) == -1)
		return -1;
	if (asked->verdict.refusal != REFUSAL_NONE)
		return fill_grant(control, asked, NULL, err);
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
	return fill_grant(control, asked, &device, err);
}

static int carry_out(struct control *control, struct asked *asked, struct error *err)
{
	const struct message_device_order *told = &asked->u.order;
	const struct state_device_order order = {.mailbox = told->mailbox,
		.id = told->device_id,
		.by = told->reason,
		.reason = "",
		.state = (enum device_state)told->state,
		.only_tightens = true,
		.is_full = control->devices->is_full,
		.at = (int64_t)time(NULL)};
	struct state_device before;
	int result = state_devices_order_step(control->store, &order, &before, err);

	asked->has_changed = result == 1;
	asked->before = before.state;
	return result == -1 ? -1 : 0;
}

static bool is_to_be_wiped(const struct state_device *device)
{
	return device_state_is_wipe(device->state) || device->state == DEVICE_WIPE_FAILED;
}

/* Whether a revoked certificate may have a device that is not known noted as wiped: 1, 0, -1. Of each there is
 * one, so that nobody makes up more; and none that has failed, for that one would count as one of the mailbox. */
static int may_be_made_by_revoked(
	struct control *control, const struct message_device_wiped *wiped, struct error *err)
{
	int64_t of_mailbox, of_certificate;

	if (wiped->is_sent == 1 || wiped->status != 1 || control->devices->is_full)
		return 0;
	if (state_devices_count_rows(control->store, wiped->mailbox, &of_mailbox, err) == -1 ||
		state_devices_count_certificate(control->store, wiped->mailbox, wiped->leaf_sha256,
			&of_certificate, err) == -1)
		return -1;
	return of_mailbox < STATE_DEVICES_OF_MAILBOX && of_certificate == 0;
}

/* Which device it is a phone only says. By a revoked certificate it is believed of a device that came with that
 * certificate last, or of one that never came and is not awaited either: else who has the key of a lost phone
 * could have its owner's next one count as wiped. 1, 0 where it is not believed, -1. */
static int weigh_revoked(struct control *control, const struct message_device_wiped *wiped,
	const struct state_device *known, struct error *err)
{
	struct device_facts facts = {.version = wiped->version,
		.serial = wiped->serial,
		.not_before = wiped->not_before};
	struct state_device device = {.state = DEVICE_ALLOWED};
	int may = 1;

	if (known != NULL && known->facts.issuer[0] != '\0')
		return memcmp(known->facts.leaf_sha256, wiped->leaf_sha256,
			       sizeof(wiped->leaf_sha256)) == 0;
	if (known != NULL)
		may = is_to_be_wiped(known);
	else
		may = may_be_made_by_revoked(control, wiped, err);
	if (may != 1)
		return may;
	if (known != NULL)
		device = *known;
	snprintf(facts.mailbox, sizeof(facts.mailbox), "%s", wiped->mailbox);
	snprintf(facts.id, sizeof(facts.id), "%s", wiped->device_id);
	snprintf(facts.issuer, sizeof(facts.issuer), "%s", wiped->issuer);
	memcpy(facts.leaf_sha256, wiped->leaf_sha256, sizeof(facts.leaf_sha256));
	if (!device_facts_clean(&facts))
		return 0;
	state_device_say(&device, &facts, wiped->at);
	return state_devices_put(control->store, &device, err) == -1 ? -1 : 1;
}

/* Whether what a phone says of a wipe is believed: 1, 0, -1. With a certificate that is good, of a wipe that was
 * ordered. */
static int weigh_wipe(
	struct control *control, const struct message_device_wiped *wiped, struct error *err)
{
	struct state_device device;
	int known =
		state_devices_find(control->store, wiped->mailbox, wiped->device_id, &device, err);

	if (known == -1)
		return -1;
	if (wiped->is_revoked == 1)
		return weigh_revoked(control, wiped, known == 1 ? &device : NULL, err);
	return known == 1 && is_to_be_wiped(&device);
}

static int note_wipe(struct control *control, struct asked *asked, struct error *err)
{
	struct message_device_wiped *wiped = &asked->u.wiped;
	int64_t now = (int64_t)time(NULL);
	int result;

	if (wiped->at > now || wiped->at < 0)
		wiped->at = now;
	result = weigh_wipe(control, wiped, err);
	if (result != 1)
		return result;
	if (wiped->is_sent == 1)
		return state_devices_wipe_sent_step(
			control->store, wiped->mailbox, wiped->device_id, wiped->at, err);
	result = state_devices_wiped_step(
		control->store, wiped->mailbox, wiped->device_id, wiped->status, wiped->at, err);
	asked->has_changed = result == 1;
	asked->before = (enum device_state)wiped->kind;
	return result == -1 ? -1 : 0;
}

static int write_one(struct control *control, struct asked *asked, struct error *err)
{
	switch (asked->type) {
	case MESSAGE_DEVICE_QUERY: return admit(control, asked, err);
	case MESSAGE_DEVICE_ORDER: return carry_out(control, asked, err);
	default: return note_wipe(control, asked, err);
	}
}

/* All that is not done yet, in one transaction. */
static int write_all(struct control *control, struct error *err)
{
	struct control_devices *devices = control->devices;

	if (state_devices_begin(control->store, err) == -1)
		return -1;
	for (size_t i = 0; i < devices->asked_count; i++)
		if (!devices->asked[i].is_done &&
			write_one(control, &devices->asked[i], err) == -1) {
			state_devices_rollback(control->store);
			return -1;
		}
	return state_devices_commit(control->store, err);
}

static void log_admitted(const struct asked *asked)
{
	const struct device_facts *facts = &asked->u.facts;

	if (asked->verdict.refusal != REFUSAL_NONE)
		log_refused(asked);
	else if (asked->verdict.step == DEVICE_STEP_MAKE)
		log_new(facts, asked->verdict.state);
	else if (asked->verdict.step == DEVICE_STEP_RENEW)
		log_certificate("device-renewed", facts, asked->serial_before);
	else if (asked->verdict.step == DEVICE_STEP_PIN)
		log_certificate("device-bound", facts, NULL);
}

static void log_carried_out(const struct asked *asked)
{
	struct device_facts facts = {0};
	bool is_order = asked->type == MESSAGE_DEVICE_ORDER;
	enum device_state state = is_order ? (enum device_state)asked->u.order.state
				  : asked->u.wiped.status == 1 ? DEVICE_WIPED
							       : DEVICE_WIPE_FAILED;

	if (!asked->has_changed)
		return;
	snprintf(facts.mailbox, sizeof(facts.mailbox), "%s",
		is_order ? asked->u.order.mailbox : asked->u.wiped.mailbox);
	snprintf(facts.id, sizeof(facts.id), "%s",
		is_order ? asked->u.order.device_id : asked->u.wiped.device_id);
	control_devices_log_state(&facts, device_state_name(asked->before),
		device_state_name(state), is_order ? asked->u.order.reason : "the device", "");
}

static void answer(struct control *control, const struct asked *asked)
{
	static struct message message; /* large */

	memset(&message, 0, offsetof(struct message, u) + sizeof(message.u.device_answer));
	if (asked->type != MESSAGE_DEVICE_QUERY) {
		message.type = MESSAGE_DEVICE_NOTED;
		message.u.device_noted.number = asked->number;
	} else {
		message.type = MESSAGE_DEVICE_ANSWER;
		message.u.device_answer.number = asked->number;
		snprintf(message.u.device_answer.mailbox, sizeof(message.u.device_answer.mailbox),
			"%s", asked->u.facts.mailbox);
		snprintf(message.u.device_answer.device_id,
			sizeof(message.u.device_answer.device_id), "%s", asked->u.facts.id);
		message.u.device_answer.refusal = asked->verdict.refusal;
		message.u.device_answer.grant = asked->grant;
	}
	/* A worker that does not read asks again. */
	control_workers_tell(control, asked->slot, &message);
}

static void finish(struct control *control, const struct asked *asked)
{
	struct control_devices *devices = control->devices;

	answer(control, asked);
	if (asked->type != MESSAGE_DEVICE_QUERY) {
		log_carried_out(asked);
		devices->writes += asked->has_changed;
		return;
	}
	log_admitted(asked);
	devices->writes += asked->verdict.step == DEVICE_STEP_MAKE;
}

static void flush_asked(struct control *control)
{
	struct control_devices *devices = control->devices;
	struct error err = {""};
	bool has_more = false;

	for (size_t i = 0; i < devices->asked_count && err.text[0] == '\0'; i++) {
		struct asked *asked = &devices->asked[i];

		if (asked->type == MESSAGE_DEVICE_QUERY)
			answer_at_once(control, asked, &err);
		has_more = has_more || !asked->is_done;
	}
	if (err.text[0] == '\0' && has_more)
		write_all(control, &err);
	control_store_trouble(control, CONTROL_TROUBLE_DEVICES, err.text);
	/* Those to whom nothing was said wait, and ask again. */
	for (size_t i = 0; i < devices->asked_count; i++)
		if (err.text[0] == '\0' || devices->asked[i].is_done)
			finish(control, &devices->asked[i]);
	devices->asked_count = 0;
	if (has_more)
		tell_later(devices);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush_asked(arg);
}

void control_devices_flush(struct control *control)
{
	flush_asked(control);
	flush_reports(control);
}

/* For the turn of the loop in which all that has come is read. */
static struct asked *add_asked(
	struct control *control, uint32_t slot, uint32_t type, uint64_t number)
{
	static const struct timeval at_once = {0, 0};
	struct control_devices *devices = control->devices;
	struct asked *asked;

	if (devices->asked_count == ASKED_MAX)
		flush_asked(control);
	if (devices->asked_count == 0)
		evtimer_add(devices->flush, &at_once);
	asked = &devices->asked[devices->asked_count++];
	memset(asked, 0, sizeof(*asked));
	asked->slot = slot;
	asked->type = type;
	asked->number = number;
	return asked;
}

/* Nobody waits for it: it is answered with what is known, and nothing has to be written at once. */
static void tell_what_is_known(
	struct control *control, uint32_t slot, const struct message *message)
{
	static struct asked asked; /* large */
	struct state_device known;
	struct error err;
	int found;

	memset(&asked, 0, sizeof(asked));
	asked.slot = slot;
	asked.type = MESSAGE_DEVICE_QUERY;
	asked.number = message->u.device_query.number;
	asked.u.facts = message->u.device_query.facts;
	keep_report(control, &asked.u.facts);
	found = state_devices_find(
		control->store, asked.u.facts.mailbox, asked.u.facts.id, &known, &err);
	if (found != -1 && fill_grant(control, &asked, found == 1 ? &known : NULL, &err) == 0)
		answer(control, &asked);
}

void control_devices_take(struct control *control, uint32_t slot, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_DEVICE_REPORT: keep_report(control, &message->u.device_report.facts); return;
	case MESSAGE_DEVICE_QUERY:
		if (message->u.device_query.waits == 0)
			tell_what_is_known(control, slot, message);
		else
			add_asked(control, slot, message->type, message->u.device_query.number)
				->u.facts = message->u.device_query.facts;
		return;
	case MESSAGE_DEVICE_ORDER:
		add_asked(control, slot, message->type, message->u.device_order.number)->u.order =
			message->u.device_order;
		return;
	default:
		add_asked(control, slot, message->type, message->u.device_wiped.number)->u.wiped =
			message->u.device_wiped;
		return;
	}
}

/* Every second */

static void prune(struct control *control)
{
	struct control_devices *devices = control->devices;
	size_t max = control->child->config->devices.known_max, left = 0;
	struct error err;
	int dropped = state_devices_prune(control->store, (int64_t)time(NULL), max, &left, &err);

	devices->writes = 0;
	devices->ticks = 0;
	if (dropped == -1) {
		control_store_trouble(control, CONTROL_TROUBLE_DEVICES, err.text);
		return;
	}
	if (dropped > 0)
		log_message(CONFIG_LOG_INFO, "devices-forgotten",
			"%d that were not seen for longest, of more than devices/known-max",
			dropped);
	if (left > max && dropped > 0)
		devices->ticks = PRUNE_TICKS; /* the rest a second from now */
	if (left > max && dropped == 0 && !devices->is_full)
		log_message(CONFIG_LOG_ERROR, "devices-full",
			"%zu devices are known that are blocked, in quarantine, wiped or "
			"registered, more than devices/known-max: no new ones come in where they "
			"have to be admitted; forget some, or raise it",
			left);
	devices->is_full = left > max && dropped == 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;

	(void)fd;
	(void)what;
	flush_reports(control);
	tell_if_changed(control);
	if (++control->devices->ticks > PRUNE_TICKS || control->devices->writes > PRUNE_WRITES)
		prune(control);
}

int control_devices_start(struct control *control, struct error *err)
{
	static const struct timeval second = {.tv_sec = 1};
	static struct control_devices devices; /* large, and there is one */

	control->devices = &devices;
	devices.ticks = PRUNE_TICKS;
	devices.makes_by_report = !device_admission_is_needed(&control->child->config->devices);
	devices.tick = event_new(control->base, -1, EV_PERSIST, on_tick, control);
	devices.flush = evtimer_new(control->base, on_flush, control);
	devices.tell_later = evtimer_new(control->base, on_tell_later, control);
	if (devices.tick == NULL || devices.flush == NULL || devices.tell_later == NULL ||
		event_add(devices.tick, &second) == -1)
		return error_set(err, "out of memory");
	return control_devices_tell(control, err);
}

json_t *control_devices_status(struct control *control)
{
	struct state_device_counts counts;
	json_t *object = json_object();
	struct error err;

	if (state_devices_count(control->store, &counts, &err) == 0) {
		json_object_set_new(object, "known", json_integer((json_int_t)counts.all));
		for (unsigned int i = 0; i < DEVICE_STATE_COUNT; i++)
			json_object_set_new(object, device_state_name((enum device_state)i),
				json_integer((json_int_t)counts.states[i]));
	}
	json_object_set_new(
		object, "reports_dropped", json_integer((json_int_t)control->devices->dropped));
	return object;
}
