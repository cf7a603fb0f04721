#include "proxy/control_devices.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/control_device_asked.h"
#include "proxy/control_users.h"
#include "proxy/control_workers.h"
#include "proxy/device_state.h"
#include "proxy/log.h"

enum {
	ASKED_MAX = 128,        /* questions, orders and wipes that are written together */
	REPORTS_MAX = 256,      /* reports that are */
	PRUNE_TICKS = 60,       /* seconds between two looks at what is to be forgotten */
	PRUNE_WRITES = 2000,    /* or so many new devices */
	TELL_LATER_US = 200000, /* what no operator waits for is compiled at most so often */
};

struct control_devices {
	struct event *tick, *flush, *tell_later;
	unsigned int ticks, writes; /* since the last pruning */
	int64_t version;            /* of those that the workers were told */
	bool makes_by_report;       /* nobody has to ask: a device is known once it was reported */
	bool is_full;
	uint64_t dropped;
	size_t asked_count, report_count;
	struct device_asked asked[ASKED_MAX];
	struct device_facts reports[REPORTS_MAX];
};

bool control_devices_are_full(const struct control *control)
{
	return control->devices->is_full;
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
			device_log_new(&devices->reports[i], DEVICE_ALLOWED);
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

/* Answers what needs nothing written. 0: it has, or there is something to write; -1 with err filled. */
static int answer_at_once(struct control *control, struct device_asked *asked, struct error *err)
{
	struct state_device known;
	bool is_known;

	if (device_asked_judge(control, asked, &known, &is_known, err) == -1)
		return -1;
	if (asked->verdict.refusal == REFUSAL_NONE && asked->verdict.step != DEVICE_STEP_NONE)
		return 0;
	asked->is_done = true;
	if (asked->verdict.refusal == REFUSAL_NONE)
		keep_report(control, &asked->u.facts);
	return device_asked_grant(control, asked, is_known ? &known : NULL, err);
}

/* All that is not done yet, in one transaction. */
static int write_all(struct control *control, struct error *err)
{
	struct control_devices *devices = control->devices;

	if (state_devices_begin(control->store, err) == -1)
		return -1;
	for (size_t i = 0; i < devices->asked_count; i++)
		if (!devices->asked[i].is_done &&
			device_asked_write(control, &devices->asked[i], err) == -1) {
			state_devices_rollback(control->store);
			return -1;
		}
	return state_devices_commit(control->store, err);
}

static void answer(struct control *control, const struct device_asked *asked)
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

static void finish(struct control *control, const struct device_asked *asked)
{
	struct control_devices *devices = control->devices;

	answer(control, asked);
	if (asked->type != MESSAGE_DEVICE_QUERY) {
		device_log_carried_out(asked);
		devices->writes += asked->has_changed;
		return;
	}
	device_log_admitted(asked);
	devices->writes += asked->verdict.step == DEVICE_STEP_MAKE;
}

static void flush_asked(struct control *control)
{
	struct control_devices *devices = control->devices;
	struct error err = {""};
	bool has_more = false;

	for (size_t i = 0; i < devices->asked_count && err.text[0] == '\0'; i++) {
		struct device_asked *asked = &devices->asked[i];

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
static struct device_asked *add_asked(
	struct control *control, uint32_t slot, uint32_t type, uint64_t number)
{
	static const struct timeval at_once = {0, 0};
	struct control_devices *devices = control->devices;
	struct device_asked *asked;

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
	static struct device_asked asked; /* large */
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
	if (found != -1 &&
		device_asked_grant(control, &asked, found == 1 ? &known : NULL, &err) == 0)
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
