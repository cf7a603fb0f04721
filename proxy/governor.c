#include "proxy/governor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "config/hash.h"
#include "proxy/exchange_sleep.h"
#include "proxy/governor_state.h"
#include "proxy/log.h"
#include "proxy/worker_control.h"
#include "wbxml/codepages.h"

enum { RETRY_S = 30 /* of our own 503s that have no time of their own */ };

/* Which polls of a device end each other. */
enum poll_kind { POLL_NONE, POLL_PING, POLL_SYNC };

_Static_assert((int)GOVERNOR_COLLECTIONS == (int)EAS_COLLECTIONS_NAMED,
	"a message has room for all of them");

static const struct config_activesync *config_of(const struct exchange *exchange)
{
	return &exchange->session->worker->config->activesync;
}

static uint32_t random_bits(void)
{
	return (uint32_t)random() << 1;
}

static uint64_t hash_device(const struct exchange *exchange, enum poll_kind kind)
{
	const struct device_entry *device = exchange->device;
	uint64_t hash = exchange->session->worker->child->shared->seed;

	hash = hash_text(hash, device_entry_mailbox(device));
	hash = hash_text(hash, device_entry_id(device));
	return hash_number(hash, kind);
}

/* Storms */

enum refusal governor_admit(struct exchange *exchange)
{
	struct shared *shared = exchange->session->worker->child->shared;
	uint32_t rate = config_of(exchange)->storm_rate;

	if (rate == 0 || exchange->device == NULL || exchange->room != ROOM_UPSTREAM)
		return REFUSAL_NONE;
	exchange->retry_after_s = governor_storm_admit(&shared->storm, rate,
		hash_device(exchange, POLL_NONE), exchange->begun_us, random_bits());
	return exchange->retry_after_s > 0 ? REFUSAL_STORM : REFUSAL_NONE;
}

uint32_t governor_retry_after(const struct exchange *exchange)
{
	return exchange->retry_after_s > 0 ? exchange->retry_after_s
					   : governor_scatter(RETRY_S, random_bits());
}

/* Loops */

/* Of a Sync: all its collections with their keys. 0 where it does not name them, and where the same may
 * be asked twice for a reason: items are fetched one by one under one key. */
static uint32_t sync_key(const struct exchange *exchange)
{
	const struct eas_body *facts = exchange->request_facts;
	uint64_t hash = 1;

	if (exchange->request.command != EAS_SYNC || facts == NULL || facts->fetches > 0 ||
		facts->collection_count == 0 || facts->collection_count > EAS_COLLECTIONS_NAMED)
		return 0;
	for (uint32_t i = 0; i < facts->collection_count; i++) {
		hash = hash_text(hash, eas_body_collection_id(facts, i));
		hash = hash_text(hash, eas_body_sync_key(facts, i));
	}
	return (uint32_t)hash | 1;
}

void governor_note_outage(const struct exchange *exchange)
{
	struct governor_state state;

	if (exchange->device == NULL)
		return;
	if (config_of(exchange)->storm_rate > 0)
		governor_storm_forget(&exchange->session->worker->child->shared->storm,
			hash_device(exchange, POLL_NONE));
	device_entry_governor(exchange->device, &state);
	governor_state_forgive(&state, sync_key(exchange));
	device_entry_set_governor(exchange->device, &state);
}

static void log_loop(const struct exchange *exchange, enum governor_loop loop, bool has_begun,
	const struct governor_ruling *ruling)
{
	const struct credential *credential = exchange->session->credential;
	struct log_line line;

	log_begin(&line, has_begun ? CONFIG_LOG_WARNING : CONFIG_LOG_INFO,
		has_begun ? "device-loop" : "device-calm");
	log_text(&line, "id", exchange->id);
	log_text(&line, "mailbox", credential->mailbox);
	log_text(&line, "device", exchange->request.device_id);
	log_text(&line, "device_type", exchange->request.device_type);
	log_text(&line, "command", eas_command_name(exchange->request.command));
	log_text(&line, "loop", loop == GOVERNOR_LOOP_KEY ? "same-sync" : "request-rate");
	if (ruling->retry_after_s > 0)
		log_number(&line, "retry_after", ruling->retry_after_s);
	log_end(&line);
}

static void report(const struct exchange *exchange, const struct governor_ruling *ruling)
{
	static const enum governor_loop loops[] = {GOVERNOR_LOOP_KEY, GOVERNOR_LOOP_RATE};
	struct worker *worker = exchange->session->worker;

	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		if ((ruling->begun & loops[i]) != 0) {
			shared_add(&worker->counters->device_loops, 1);
			log_loop(exchange, loops[i], true, ruling);
		}
		if ((ruling->ended & loops[i]) != 0)
			log_loop(exchange, loops[i], false, ruling);
	}
}

enum refusal governor_judge(struct exchange *exchange)
{
	const struct config_activesync *config = config_of(exchange);
	const struct governor_limits limits = {
		.repeats = config->loop_repeats, .per_minute = config->request_rate};
	struct governor_ruling ruling;
	struct governor_state state;

	if (exchange->device == NULL || exchange->room != ROOM_UPSTREAM ||
		(limits.repeats == 0 && limits.per_minute == 0))
		return REFUSAL_NONE;
	device_entry_governor(exchange->device, &state);
	ruling = governor_state_rule(&state, &limits, sync_key(exchange),
		(int64_t)(exchange->begun_us / 1000), random_bits());
	device_entry_set_governor(exchange->device, &state);
	if (ruling.begun != 0 || ruling.ended != 0)
		report(exchange, &ruling);
	if (ruling.retry_after_s > 0) {
		exchange->retry_after_s = ruling.retry_after_s;
		snprintf(exchange->reason, sizeof(exchange->reason), "%s",
			(state.loop & GOVERNOR_LOOP_KEY) != 0 ? "the same Sync over and over"
							      : "too many requests");
		return REFUSAL_DEVICE_LOOP;
	}
	if (ruling.delay_ms > 0)
		shared_add(&exchange->session->worker->counters->requests_held, 1);
	exchange->hold_ms = ruling.delay_ms;
	return REFUSAL_NONE;
}

/* Heartbeats */

enum { STR_I = 0x03, END = 0x01, CONTENT = 0x40, DOCUMENT_SIZE = 32 };

static size_t put_element(uint8_t *document, size_t len, uint16_t tag, uint32_t number)
{
	document[len++] = (uint8_t)(tag & 0xff) | CONTENT;
	document[len++] = STR_I;
	len += (size_t)snprintf((char *)document + len, DOCUMENT_SIZE - len, "%u", number) + 1;
	document[len++] = END;
	return len;
}

/* MS-ASCMD 2.2.3.88 and 2.2.3.95: what was wrong, and the nearest value that is right. */
static void answer_heartbeat(struct exchange *exchange, uint32_t nearest)
{
	static const uint8_t ping[] = {0x03, 0x01, 0x6a, 0x00, 0x00, WBXML_PING_PING >> 8,
		(WBXML_PING_PING & 0xff) | CONTENT};
	static const uint8_t sync[] = {
		0x03, 0x01, 0x6a, 0x00, (WBXML_AIRSYNC_SYNC & 0xff) | CONTENT};
	bool is_ping = exchange->request.command == EAS_PING;
	uint8_t document[DOCUMENT_SIZE];
	size_t len = is_ping ? sizeof(ping) : sizeof(sync);

	memcpy(document, is_ping ? ping : sync, len);
	len = put_element(document, len, is_ping ? WBXML_PING_STATUS : WBXML_AIRSYNC_STATUS,
		is_ping ? 5 : 14);
	len = put_element(document, len,
		is_ping ? WBXML_PING_HEARTBEATINTERVAL : WBXML_AIRSYNC_LIMIT, nearest);
	document[len++] = END;
	shared_add(&exchange->session->worker->counters->heartbeats_corrected, 1);
	snprintf(exchange->reason, sizeof(exchange->reason), "heartbeat out of bounds");
	exchange_answer_own(exchange, &(struct own_answer){.status = 200,
					      .content_type = "application/vnd.ms-sync.wbxml",
					      .body = span_of(document, len),
					      .eas_status = is_ping ? 5 : 14});
}

bool governor_heartbeat_is_fine(struct exchange *exchange, uint32_t max_s)
{
	const struct config_activesync *config = config_of(exchange);
	const struct eas_body *facts = exchange->request_facts;
	enum eas_command command = exchange->request.command;
	uint32_t least_s = (config->heartbeat_min_ms + 999) / 1000;
	uint32_t most_s = config->heartbeat_max_ms / 1000;
	uint32_t unit_s, asked, nearest;

	if ((command != EAS_PING && command != EAS_SYNC) || exchange->room != ROOM_UPSTREAM ||
		facts == NULL || facts->heartbeat_s == 0)
		return true;
	if (max_s > 0 && max_s < most_s)
		most_s = max_s;
	if (least_s > most_s)
		least_s = most_s;
	unit_s = facts->heartbeat_is_wait ? 60 : 1;
	asked = facts->heartbeat_s / unit_s;
	nearest = governor_heartbeat(asked, unit_s, least_s, most_s);
	if (nearest == asked)
		return true;
	answer_heartbeat(exchange, nearest);
	return false;
}

/* Long polls */

static enum poll_kind poll_kind(const struct exchange *exchange)
{
	if (exchange->device == NULL || eas_body_poll_time(exchange->request.command,
						exchange->kind, exchange->request_facts) == 0)
		return POLL_NONE;
	return exchange->request.command == EAS_PING ? POLL_PING : POLL_SYNC;
}

/* What a poll is for. count 0: for all that the phone has asked for before, or more than are named. */
static void list_collections(const struct exchange *exchange, struct governor_collections *list)
{
	const struct eas_body *facts = exchange->request_facts;

	list->count = 0;
	if (exchange->request.command == EAS_PING || facts == NULL || facts->is_partial ||
		facts->collection_count > GOVERNOR_COLLECTIONS)
		return;
	for (uint32_t i = 0; i < facts->collection_count; i++)
		list->hashes[list->count++] =
			(uint32_t)hash_text(1, eas_body_collection_id(facts, i));
}

static bool overlap(const struct governor_collections *one, const struct governor_collections *two)
{
	if (one->count == 0 || two->count == 0)
		return true;
	for (uint32_t i = 0; i < one->count; i++)
		for (uint32_t j = 0; j < two->count; j++)
			if (one->hashes[i] == two->hashes[j])
				return true;
	return false;
}

static struct session **poll_place(struct device_entry *device, enum poll_kind kind)
{
	return device_entry_poll(device, kind == POLL_PING ? DEVICE_PING : DEVICE_SYNC);
}

/* The phone may have lost the connection, and hears nothing of it; so it is closed, too. */
static void supersede(struct exchange *poll)
{
	shared_add(&poll->session->worker->counters->polls_superseded, 1);
	poll->answer_closes = true;
	exchange_end_poll_now(poll, POLL_SUPERSEDED);
}

static void tell_other_worker(const struct exchange *exchange, uint32_t slot,
	const struct governor_collections *collections)
{
	struct message message = {.type = MESSAGE_POLL_SUPERSEDED};

	snprintf(message.u.poll_superseded.mailbox, sizeof(message.u.poll_superseded.mailbox), "%s",
		device_entry_mailbox(exchange->device));
	snprintf(message.u.poll_superseded.device_id, sizeof(message.u.poll_superseded.device_id),
		"%s", device_entry_id(exchange->device));
	message.u.poll_superseded.slot = slot;
	message.u.poll_superseded.command = exchange->request.command;
	message.u.poll_superseded.begun_us = exchange->begun_us;
	message.u.poll_superseded.collections = *collections;
	/* Where control is away the old one ends with its heartbeat. */
	worker_control_tell(exchange->session->worker, &message);
}

/* A word of device_slots: whose it is, and below eight million seconds when it began. */
enum { SLOT_BITS = 9, TIME_BITS = 32 - SLOT_BITS };
_Static_assert(WORKER_MAX < 1 << SLOT_BITS, "a word has room for every worker");

static uint32_t poll_word(const struct exchange *exchange)
{
	uint32_t since_s = (uint32_t)(exchange->begun_us / 1000000) & ((1u << TIME_BITS) - 1);

	return since_s << SLOT_BITS | (exchange->session->worker->child->slot + 1);
}

void governor_let_out(struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;
	enum poll_kind kind = poll_kind(exchange);
	struct governor_collections ours, theirs;
	struct exchange *older;
	struct session **place;
	uint32_t word;

	if (kind == POLL_NONE)
		return;
	list_collections(exchange, &ours);
	place = poll_place(exchange->device, kind);
	older = *place != NULL ? exchange_wake(*place) : NULL;
	if (older != NULL) {
		list_collections(older, &theirs);
		if (overlap(&ours, &theirs))
			supersede(older);
	}
	*place = exchange->session;
	word = device_slots_put(
		&worker->child->shared->polls, hash_device(exchange, kind), poll_word(exchange));
	word &= (1u << SLOT_BITS) - 1;
	if (word != 0 && word - 1 != worker->child->slot)
		tell_other_worker(exchange, word - 1, &ours);
}

void governor_leave(struct exchange *exchange)
{
	enum poll_kind kind = poll_kind(exchange);
	struct session **place;

	if (kind == POLL_NONE)
		return;
	place = poll_place(exchange->device, kind);
	if (*place != exchange->session)
		return;
	*place = NULL;
	device_slots_remove(&exchange->session->worker->child->shared->polls,
		hash_device(exchange, kind), poll_word(exchange));
}

void governor_take_superseded(struct worker *worker, const struct message *message)
{
	struct device_entry *device = device_table_find(worker->devices,
		message->u.poll_superseded.mailbox, message->u.poll_superseded.device_id);
	bool is_ping = message->u.poll_superseded.command == EAS_PING;
	struct governor_collections ours;
	struct session **place = NULL;
	struct exchange *poll;

	if (device != NULL)
		place = poll_place(device, is_ping ? POLL_PING : POLL_SYNC);
	poll = place != NULL && *place != NULL ? exchange_wake(*place) : NULL;
	/* The phone may have come back here meanwhile. */
	if (poll == NULL || poll->begun_us >= message->u.poll_superseded.begun_us)
		return;
	list_collections(poll, &ours);
	if (overlap(&ours, &message->u.poll_superseded.collections))
		supersede(poll);
}
