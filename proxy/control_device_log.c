/* Lines in the log about devices. */
#include <stdio.h>

#include "proxy/control_device_asked.h"
#include "proxy/device_state.h"
#include "proxy/log.h"

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

void device_log_new(const struct device_facts *facts, enum device_state state)
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

static void log_refused(const struct device_asked *asked)
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

void device_log_admitted(const struct device_asked *asked)
{
	const struct device_facts *facts = &asked->u.facts;

	if (asked->verdict.refusal != REFUSAL_NONE)
		log_refused(asked);
	else if (asked->verdict.step == DEVICE_STEP_MAKE)
		device_log_new(facts, asked->verdict.state);
	else if (asked->verdict.step == DEVICE_STEP_RENEW)
		log_certificate("device-renewed", facts, asked->serial_before);
	else if (asked->verdict.step == DEVICE_STEP_PIN)
		log_certificate("device-bound", facts, NULL);
}

void device_log_carried_out(const struct device_asked *asked)
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
