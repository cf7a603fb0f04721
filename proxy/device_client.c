#include "proxy/device_client.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "config/clock.h"
#include "proxy/device_admission.h"
#include "proxy/device_state.h"
#include "proxy/exchange_sleep.h"
#include "proxy/log.h"
#include "proxy/worker_control.h"

enum {
	ANSWER_MS = 5000,        /* that a request waits for control */
	ASK_AGAIN_US = 1500000,  /* a question without an answer, of which somebody waits */
	ASK_LATER_US = 60000000, /* one of which nobody does */
	/* A refusal is believed for so long, so that a phone that hammers does not become control's burden. */
	REFUSED_US = 10000000,
	REPORT_AGAIN_S = 3600,
	REPORTS_MAX = 20, /* of one device in that time */
	NOTES_MAX = 4096, /* orders and wipes that control has not written down yet */
	NOTE_AGAIN_US = 2000000,
	POLL_END_MS = 500, /* Pings that have to come anew are spread over that time */
};

/* Something that must not be lost: kept until control says that it is written down. */
struct note {
	TAILQ_ENTRY(note) link;
	uint64_t number, sent_us;
	bool is_order;
	union {
		struct message_device_order order;
		struct message_device_wiped wiped;
	} u;
};

TAILQ_HEAD(note_list, note);

struct device_client {
	struct worker *worker;
	struct event *tick; /* pending while anybody waits, or a note does */
	uint64_t last_number;
	struct note_list notes;
	size_t note_count, waiting_count;
	bool must_ask; /* before a device comes in */
};

static void on_tick(evutil_socket_t fd, short what, void *arg);

struct device_client *device_client_new(struct worker *worker)
{
	struct device_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->worker = worker;
	client->must_ask = device_admission_is_needed(&worker->config->devices);
	TAILQ_INIT(&client->notes);
	client->tick = evtimer_new(worker->base, on_tick, client);
	/* So that no answer to a worker of before is taken for one to us. */
	if (client->tick == NULL || getrandom(&client->last_number, sizeof(client->last_number),
					    0) != (ssize_t)sizeof(client->last_number)) {
		free(client);
		return NULL;
	}
	return client;
}

static uint64_t next_number(struct device_client *client)
{
	if (++client->last_number == 0)
		client->last_number = 1;
	return client->last_number;
}

static void tick_soon(struct device_client *client)
{
	static const struct timeval soon = {0, 500000};

	if (!evtimer_pending(client->tick, NULL))
		evtimer_add(client->tick, &soon);
}

/* What a worker tells of a device */

static const struct credential *credential_of(const struct exchange *exchange)
{
	return exchange->session->credential;
}

static void fill_facts(const struct exchange *exchange, struct device_facts *facts)
{
	const struct credential *credential = credential_of(exchange);
	const struct device_entry *entry = exchange->device;
	const struct eas_body *body = exchange->request_facts;

	snprintf(facts->mailbox, sizeof(facts->mailbox), "%s", device_entry_mailbox(entry));
	snprintf(facts->id, sizeof(facts->id), "%s", device_entry_id(entry));
	snprintf(facts->type, sizeof(facts->type), "%s", exchange->request.device_type);
	snprintf(facts->user_agent, sizeof(facts->user_agent), "%s",
		device_entry_text(entry, DEVICE_USER_AGENT));
	snprintf(facts->model, sizeof(facts->model), "%s", device_entry_text(entry, DEVICE_MODEL));
	snprintf(facts->os, sizeof(facts->os), "%s", device_entry_text(entry, DEVICE_OS));
	snprintf(facts->friendly_name, sizeof(facts->friendly_name), "%s",
		device_entry_text(entry, DEVICE_NAME));
	if (body != NULL && body->device_info_present)
		snprintf(facts->language, sizeof(facts->language), "%.63s",
			eas_body_device_info(body, EAS_INFO_OS_LANGUAGE));
	facts->version = exchange->request.version;
	snprintf(facts->issuer, sizeof(facts->issuer), "%.255s", credential_issuer(credential));
	if (credential_serial(credential) != NULL)
		facts->serial = *credential_serial(credential);
	memcpy(facts->leaf_sha256, credential->accepted->leaf_sha256, sizeof(facts->leaf_sha256));
	facts->not_before = credential->accepted->leaf_not_before;
}

static bool has_changed(const struct exchange *exchange)
{
	const struct device_entry *entry = exchange->device;

	return entry->is_changed || entry->reported_version != exchange->request.version ||
	       memcmp(entry->reported_sha256, credential_of(exchange)->accepted->leaf_sha256,
		       sizeof(entry->reported_sha256)) != 0;
}

static void note_reported(const struct exchange *exchange)
{
	struct device_entry *entry = exchange->device;

	entry->is_changed = false;
	entry->reported_version = (uint8_t)exchange->request.version;
	memcpy(entry->reported_sha256, credential_of(exchange)->accepted->leaf_sha256,
		sizeof(entry->reported_sha256));
}

/* Once an hour, and when something has changed; a device that says something else each time is not believed for
 * long. */
static void report_if_due(const struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;
	struct device_entry *entry = exchange->device;
	int64_t now = worker_now(worker);
	struct message message;

	if (now < entry->reported_at || now - entry->reported_at >= REPORT_AGAIN_S) {
		entry->reported_at = (uint32_t)now;
		entry->reports = 0;
	} else if (entry->reports >= REPORTS_MAX || !has_changed(exchange)) {
		return;
	}
	entry->reports++;
	message.type = MESSAGE_DEVICE_REPORT;
	memset(&message.u.device_report, 0, sizeof(message.u.device_report));
	fill_facts(exchange, &message.u.device_report.facts);
	if (!worker_control_tell(worker, &message))
		shared_add(&worker->counters->device_reports_dropped, 1);
	note_reported(exchange);
}

/* Asking */

static bool ask(const struct exchange *exchange, bool waits)
{
	struct worker *worker = exchange->session->worker;
	struct device_client *client = worker->device_client;
	struct device_entry *entry = exchange->device;
	struct device_rare *question = device_entry_rare(entry);
	struct message message;

	if (question == NULL)
		return false;
	message.type = MESSAGE_DEVICE_QUERY;
	memset(&message.u.device_query, 0, sizeof(message.u.device_query));
	message.u.device_query.number = next_number(client);
	message.u.device_query.waits = waits;
	fill_facts(exchange, &message.u.device_query.facts);
	question->asked_us = clock_us();
	question->number = 0;
	if (!worker_control_tell(worker, &message))
		return false;
	shared_add(&worker->counters->device_questions, 1);
	question->number = message.u.device_query.number;
	entry->reported_at = (uint32_t)worker_now(worker);
	entry->reports = 1;
	note_reported(exchange);
	return true;
}

/* False: memory has run out. */
static bool wait_for_answer(struct exchange *exchange)
{
	struct device_client *client = exchange->session->worker->device_client;
	struct device_rare *question = device_entry_rare(exchange->device);

	if (question == NULL)
		return false;
	if (question->number == 0 || clock_us() - question->asked_us > ASK_AGAIN_US)
		ask(exchange, true);
	LIST_INSERT_HEAD(&question->waiting, exchange, device_link);
	exchange->waits_for_device = true;
	client->waiting_count++;
	if (!exchange->waits)
		exchange_wait(exchange, ANSWER_MS);
	tick_soon(client);
	return true;
}

void device_client_leave(struct exchange *exchange)
{
	if (!exchange->waits_for_device)
		return;
	LIST_REMOVE(exchange, device_link);
	exchange->waits_for_device = false;
	exchange->session->worker->device_client->waiting_count--;
}

/* Deciding */

/* Fields of the head are as the peer sent them; what is kept of one is printable ASCII. */
void device_client_hear(struct exchange *exchange, const struct http_head *head)
{
	struct device_entry *entry = exchange->device;
	const char *known = device_entry_text(entry, DEVICE_USER_AGENT);
	char text[DEVICE_USER_AGENT_MAX + 1];
	struct span value = {0};
	size_t len;

	for (size_t i = 0; i < head->field_count; i++)
		if (span_equal_nocase(head->fields[i].name, "user-agent"))
			value = head->fields[i].value;
	len = value.len < DEVICE_USER_AGENT_MAX ? value.len : DEVICE_USER_AGENT_MAX;
	if (len == 0 || (strlen(known) == len && memcmp(known, value.data, len) == 0))
		return;
	memcpy(text, value.data, len);
	text[len] = '\0';
	for (char *at = text; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	if (device_entry_set_text(entry, DEVICE_USER_AGENT, text, len) == 0)
		entry->is_changed = true;
}

/* False: nothing is held against it. What cannot be known is a block. */
static bool find(
	const struct worker *worker, struct device_entry *entry, struct device_finding *finding)
{
	struct device_rare *rare;

	if (device_index_count(worker->device_index) == 0)
		return false;
	rare = device_entry_rare(entry);
	if (rare == NULL || (!rare->has_key && device_index_key(device_entry_mailbox(entry),
						       device_entry_id(entry), &rare->key) == -1)) {
		*finding = (struct device_finding){.state = DEVICE_BLOCKED};
		return true;
	}
	rare->has_key = true;
	return device_index_find(worker->device_index, &rare->key, finding);
}

static bool has_grant(const struct worker *worker, const struct device_entry *entry,
	const struct credential *credential)
{
	if (!entry->is_known || entry->version < device_index_grants(worker->device_index))
		return false;
	return worker->config->devices.binding == CONFIG_BINDING_OFF ||
	       memcmp(entry->leaf_sha256, credential->accepted->leaf_sha256,
		       sizeof(entry->leaf_sha256)) == 0;
}

static enum refusal last_refusal(const struct worker *worker, const struct exchange *exchange)
{
	const struct device_rare *question = exchange->device->rare;

	if (question == NULL || question->refusal == REFUSAL_NONE ||
		clock_us() - question->refused_us > REFUSED_US ||
		question->refused_version < device_index_grants(worker->device_index) ||
		memcmp(question->refused_sha256, credential_of(exchange)->accepted->leaf_sha256,
			sizeof(question->refused_sha256)) != 0)
		return REFUSAL_NONE;
	return question->refusal;
}

void device_client_look(struct exchange *exchange)
{
	struct device_entry *entry = exchange->device;
	struct device_finding finding;

	if (!find(exchange->session->worker, entry, &finding) || finding.state == DEVICE_ALLOWED)
		return;
	entry->state = (uint8_t)finding.state;
	entry->wipe = (uint8_t)finding.wipe;
}

enum refusal device_client_admit(struct exchange *exchange, bool *waits)
{
	struct worker *worker = exchange->session->worker;
	struct device_entry *entry = exchange->device;
	struct device_finding finding;
	enum refusal refusal;

	*waits = false;
	if (find(worker, entry, &finding) && finding.state != DEVICE_ALLOWED) {
		entry->state = (uint8_t)finding.state;
		entry->wipe = (uint8_t)finding.wipe;
		report_if_due(exchange);
		return REFUSAL_NONE;
	}
	if (has_grant(worker, entry, credential_of(exchange)))
		return REFUSAL_NONE;
	entry->state = DEVICE_ALLOWED;
	if (!worker->device_client->must_ask) {
		/* Nothing depends on the answer but what rules may ask about the device. */
		if (entry->rare == NULL || entry->rare->number == 0 ||
			clock_us() - entry->rare->asked_us > ASK_LATER_US)
			ask(exchange, false);
		return REFUSAL_NONE;
	}
	refusal = last_refusal(worker, exchange);
	if (refusal != REFUSAL_NONE)
		return refusal;
	*waits = wait_for_answer(exchange);
	return *waits ? REFUSAL_NONE : REFUSAL_INTERNAL;
}

/* All that wait, each of which may wait anew: for the answer to another certificate. */
static void wake(struct device_entry *entry)
{
	struct exchange_list woken = LIST_HEAD_INITIALIZER(woken);
	struct exchange *exchange;

	while ((exchange = LIST_FIRST(&entry->rare->waiting)) != NULL) {
		LIST_REMOVE(exchange, device_link);
		LIST_INSERT_HEAD(&woken, exchange, device_link);
	}
	while ((exchange = LIST_FIRST(&woken)) != NULL) {
		device_client_leave(exchange);
		exchange_gate_again(exchange);
	}
}

static void take_grant(struct device_entry *entry, const struct device_grant *grant)
{
	entry->state = (uint8_t)grant->state;
	entry->wipe = (uint8_t)grant->wipe;
	entry->is_known = grant->is_known;
	entry->version = grant->version;
	memcpy(entry->leaf_sha256, grant->leaf_sha256, sizeof(entry->leaf_sha256));
	/* Where there is no memory for them, rules do not know them until the phone says them again. */
	(void)device_entry_set_text(entry, DEVICE_MODEL, grant->model, DEVICE_TEXT_MAX);
	(void)device_entry_set_text(entry, DEVICE_OS, grant->os, DEVICE_TEXT_MAX);
	(void)device_entry_set_text(entry, DEVICE_NAME, grant->friendly_name, DEVICE_TEXT_MAX);
}

void device_client_answer(struct worker *worker, const struct message *message)
{
	const uint8_t *leaf_sha256 = message->u.device_answer.grant.leaf_sha256;
	struct device_entry *entry = device_table_pin(worker->devices,
		message->u.device_answer.mailbox, message->u.device_answer.device_id);
	struct device_rare *question;

	if (entry == NULL)
		return;
	question = entry->rare;
	if (question != NULL && question->number == message->u.device_answer.number) {
		question->number = 0;
		question->refusal = (enum refusal)message->u.device_answer.refusal;
		if (question->refusal == REFUSAL_NONE) {
			take_grant(entry, &message->u.device_answer.grant);
		} else {
			question->refused_us = clock_us();
			question->refused_version = message->u.device_answer.grant.version;
			memcpy(question->refused_sha256, leaf_sha256,
				sizeof(question->refused_sha256));
		}
		wake(entry);
		device_entry_tidy(entry);
	}
	device_table_unpin(worker->devices, entry);
}

/* Whether it is something else than it was. */
static bool learn(struct device_entry *entry, enum device_text which, const char *said)
{
	if (said[0] == '\0' || strncmp(device_entry_text(entry, which), said, DEVICE_TEXT_MAX) == 0)
		return false;
	return device_entry_set_text(entry, which, said, DEVICE_TEXT_MAX) == 0;
}

void device_client_observe(struct exchange *exchange)
{
	const struct eas_body *body = exchange->request_facts;
	struct device_entry *entry = exchange->device;
	bool is_news = false;

	if (body != NULL && body->device_info_present) {
		is_news |= learn(entry, DEVICE_MODEL, eas_body_device_info(body, EAS_INFO_MODEL));
		is_news |= learn(entry, DEVICE_OS, eas_body_device_info(body, EAS_INFO_OS));
		is_news |= learn(
			entry, DEVICE_NAME, eas_body_device_info(body, EAS_INFO_FRIENDLY_NAME));
		entry->is_changed |= is_news;
	}
	report_if_due(exchange);
}

/* A Ping that sleeps is answered, so that its phone comes again and is asked about. What else is under way ends
 * soon by itself. */
static bool end_poll(struct exchange *exchange)
{
	if (!exchange->is_poll || exchange->answer != EXCHANGE_NO_ANSWER ||
		exchange->room != ROOM_UPSTREAM || exchange->ends_poll != POLL_GOES_ON)
		return false;
	return exchange_end_poll(exchange, POLL_END_MS, POLL_ASKS_DEVICE);
}

/* Of its request, awake or asleep; NULL: it has none, or that waits already. */
static struct device_entry *device_of(const struct session *session)
{
	const struct exchange *exchange = session->exchange;

	if (session->sleeper != NULL)
		return sleeper_device(session->sleeper);
	return exchange == NULL || exchange->waits || exchange->stage == EXCHANGE_OVER
		       ? NULL
		       : exchange->device;
}

bool device_client_recheck(struct session *session)
{
	const struct worker *worker = session->worker;
	struct device_entry *entry = device_of(session);
	struct device_finding finding = {.state = DEVICE_ALLOWED};
	struct exchange *exchange;

	if (entry == NULL)
		return false;
	if (!find(worker, entry, &finding) && has_grant(worker, entry, session->credential))
		return false; /* as far as its grant goes */
	exchange = exchange_wake(session);
	if (exchange == NULL)
		return true;
	if (finding.state == DEVICE_ALLOWED && entry->version < finding.grants &&
		end_poll(exchange))
		return true;
	entry->state = (uint8_t)finding.state;
	entry->wipe = (uint8_t)finding.wipe;
	room_recheck(exchange);
	return exchange->stage == EXCHANGE_OVER;
}

/* What must not be lost */

static void note_send(struct device_client *client, struct note *note)
{
	struct message message;

	if (note->is_order) {
		message.type = MESSAGE_DEVICE_ORDER;
		message.u.device_order = note->u.order;
	} else {
		message.type = MESSAGE_DEVICE_WIPED;
		message.u.device_wiped = note->u.wiped;
	}
	note->sent_us = clock_us();
	worker_control_tell(client->worker, &message);
}

static struct note *note_new(struct device_client *client, const struct device_entry *entry)
{
	struct note *note = client->note_count < NOTES_MAX ? calloc(1, sizeof(*note)) : NULL;

	if (note == NULL) {
		struct log_line line;

		log_begin(&line, CONFIG_LOG_ERROR, "device-note-lost");
		log_text(&line, "mailbox", device_entry_mailbox(entry));
		log_text(&line, "device", device_entry_id(entry));
		log_text(&line, "reason", "control does not write down what it is told");
		log_end(&line);
		return NULL;
	}
	note->number = next_number(client);
	TAILQ_INSERT_TAIL(&client->notes, note, link);
	client->note_count++;
	return note;
}

/* Until control says what is held against it, our own word counts. */
static void hold(struct exchange *exchange, enum device_state state, enum device_state wipe)
{
	struct device_entry *entry = exchange->device;

	entry->state = (uint8_t)state;
	entry->wipe = (uint8_t)wipe;
	entry->is_known = true;
	entry->version = device_index_grants(exchange->session->worker->device_index);
	memcpy(entry->leaf_sha256, credential_of(exchange)->accepted->leaf_sha256,
		sizeof(entry->leaf_sha256));
}

void device_client_order(struct exchange *exchange, enum device_state state, const char *reason)
{
	struct device_client *client = exchange->session->worker->device_client;
	const struct device_entry *entry = exchange->device;
	struct note *note;

	if (entry->state == state)
		return; /* it was ordered before */
	hold(exchange, state, DEVICE_ALLOWED);
	note = note_new(client, entry);
	if (note == NULL)
		return;
	note->is_order = true;
	note->u.order.number = note->number;
	snprintf(note->u.order.mailbox, sizeof(note->u.order.mailbox), "%s",
		device_entry_mailbox(entry));
	snprintf(note->u.order.device_id, sizeof(note->u.order.device_id), "%s",
		device_entry_id(entry));
	note->u.order.state = state;
	snprintf(note->u.order.reason, sizeof(note->u.order.reason), "%s", reason);
	note_send(client, note);
	tick_soon(client);
}

static void tell_wipe(
	const struct exchange *exchange, bool is_sent, enum device_state kind, uint32_t status)
{
	struct worker *worker = exchange->session->worker;
	struct device_client *client = worker->device_client;
	const struct device_entry *entry = exchange->device;
	const struct credential *credential = credential_of(exchange);
	struct note *note = note_new(client, entry);
	struct message_device_wiped *wiped;

	if (note == NULL)
		return;
	wiped = &note->u.wiped;
	wiped->number = note->number;
	snprintf(wiped->mailbox, sizeof(wiped->mailbox), "%s", device_entry_mailbox(entry));
	snprintf(wiped->device_id, sizeof(wiped->device_id), "%s", device_entry_id(entry));
	wiped->is_sent = is_sent;
	wiped->is_revoked = exchange->session->is_wipe_only;
	wiped->kind = kind;
	wiped->status = status;
	wiped->version = exchange->request.version;
	wiped->at = worker_now(worker);
	memcpy(wiped->leaf_sha256, credential->accepted->leaf_sha256, sizeof(wiped->leaf_sha256));
	if (credential_serial(credential) != NULL)
		wiped->serial = *credential_serial(credential);
	snprintf(wiped->issuer, sizeof(wiped->issuer), "%.255s", credential_issuer(credential));
	wiped->not_before = credential->accepted->leaf_not_before;
	note_send(client, note);
	tick_soon(client);
}

void device_client_wipe_sent(struct exchange *exchange, enum device_state kind)
{
	tell_wipe(exchange, true, kind, 0);
}

void device_client_wiped(struct exchange *exchange, enum device_state kind, uint32_t status)
{
	/* What a revoked certificate says of a device control has to weigh first. */
	if (!exchange->session->is_wipe_only)
		hold(exchange, status == 1 ? DEVICE_WIPED : DEVICE_WIPE_FAILED, kind);
	tell_wipe(exchange, false, kind, status);
}

void device_client_noted(struct worker *worker, uint64_t number)
{
	struct device_client *client = worker->device_client;
	struct note *note;

	TAILQ_FOREACH(note, &client->notes, link)
		if (note->number == number) {
			TAILQ_REMOVE(&client->notes, note, link);
			client->note_count--;
			free(note);
			return;
		}
}

/* Again */

/* A question that got no answer, asked anew by the first who waits for it. */
static void ask_again(void *context, struct device_entry *entry)
{
	const uint64_t *older_us = context;
	const struct device_rare *question = entry->rare;

	if (question != NULL && !LIST_EMPTY(&question->waiting) &&
		(question->number == 0 || clock_us() - question->asked_us >= *older_us))
		ask(LIST_FIRST(&question->waiting), true);
}

static void again(struct device_client *client, uint64_t asked_us, uint64_t noted_us)
{
	struct note *note;

	if (client->waiting_count > 0)
		device_table_each(client->worker->devices, ask_again, &asked_us);
	TAILQ_FOREACH(note, &client->notes, link)
		if (clock_us() - note->sent_us >= noted_us)
			note_send(client, note);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct device_client *client = arg;

	(void)fd;
	(void)what;
	again(client, ASK_AGAIN_US, NOTE_AGAIN_US);
	if (client->waiting_count > 0 || client->note_count > 0)
		tick_soon(client);
}

void device_client_attached(struct worker *worker)
{
	again(worker->device_client, 0, 0);
}
