#include "proxy/state_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/device_index.h"
#include "proxy/device_state.h"
#include "proxy/state_sql.h"

enum { PRUNE_MAX = 2000 /* rows in one transaction */ };

/* Rows */

static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
	sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
}

static void bind_key(sqlite3_stmt *statement, const char *mailbox, const char *id)
{
	bind_text(statement, 1, mailbox);
	bind_text(statement, 2, id);
}

static void read_text(sqlite3_stmt *statement, int column, char *text, size_t size)
{
	snprintf(text, size, "%s", state_sql_text(statement, column));
}

static void read_octets(sqlite3_stmt *statement, int column, uint8_t *octets, size_t size)
{
	const void *blob = sqlite3_column_blob(statement, column);

	if (blob != NULL && sqlite3_column_bytes(statement, column) == (int)size)
		memcpy(octets, blob, size);
}

static void read_facts(sqlite3_stmt *statement, struct device_facts *facts)
{
	read_text(statement, 0, facts->mailbox, sizeof(facts->mailbox));
	read_text(statement, 1, facts->id, sizeof(facts->id));
	read_text(statement, 2, facts->type, sizeof(facts->type));
	read_text(statement, 3, facts->user_agent, sizeof(facts->user_agent));
	read_text(statement, 4, facts->model, sizeof(facts->model));
	read_text(statement, 5, facts->os, sizeof(facts->os));
	read_text(statement, 6, facts->friendly_name, sizeof(facts->friendly_name));
	read_text(statement, 7, facts->language, sizeof(facts->language));
	facts->version = (uint32_t)sqlite3_column_int64(statement, 8);
	read_text(statement, 9, facts->issuer, sizeof(facts->issuer));
	read_octets(statement, 10, facts->serial.octets, sizeof(facts->serial.octets));
	read_octets(statement, 11, facts->leaf_sha256, sizeof(facts->leaf_sha256));
	facts->not_before = sqlite3_column_int64(statement, 12);
}

static void read_device(sqlite3_stmt *statement, struct state_device *device)
{
	memset(device, 0, sizeof(*device));
	read_facts(statement, &device->facts);
	device->first_seen = sqlite3_column_int64(statement, 13);
	device->last_seen = sqlite3_column_int64(statement, 14);
	device->is_pinned = sqlite3_column_int64(statement, 15) != 0;
	device->is_registered = sqlite3_column_int64(statement, 16) != 0;
	/* What nobody of us has written there lets nobody in. */
	device->state = DEVICE_BLOCKED;
	device_state_read(state_sql_text(statement, 17), &device->state);
	device->state_at = sqlite3_column_int64(statement, 18);
	read_text(statement, 19, device->state_by, sizeof(device->state_by));
	read_text(statement, 20, device->state_reason, sizeof(device->state_reason));
	device_state_read(state_sql_text(statement, 21), &device->wipe);
	device->wipe_ordered_at = sqlite3_column_int64(statement, 22);
	device->wipe_sent_at = sqlite3_column_int64(statement, 23);
	device->wipe_acknowledged_at = sqlite3_column_int64(statement, 24);
	device->wipe_status = (uint32_t)sqlite3_column_int64(statement, 25);
}

static void bind_device(sqlite3_stmt *put, const struct state_device *device)
{
	const struct device_facts *facts = &device->facts;

	bind_key(put, facts->mailbox, facts->id);
	bind_text(put, 3, facts->type);
	bind_text(put, 4, facts->user_agent);
	bind_text(put, 5, facts->model);
	bind_text(put, 6, facts->os);
	bind_text(put, 7, facts->friendly_name);
	bind_text(put, 8, facts->language);
	sqlite3_bind_int64(put, 9, facts->version);
	bind_text(put, 10, facts->issuer);
	sqlite3_bind_blob(
		put, 11, facts->serial.octets, sizeof(facts->serial.octets), SQLITE_STATIC);
	sqlite3_bind_blob(put, 12, facts->leaf_sha256, sizeof(facts->leaf_sha256), SQLITE_STATIC);
	sqlite3_bind_int64(put, 13, facts->not_before);
	sqlite3_bind_int64(put, 14, device->first_seen);
	sqlite3_bind_int64(put, 15, device->last_seen);
	sqlite3_bind_int64(put, 16, device->is_pinned);
	sqlite3_bind_int64(put, 17, device->is_registered);
	bind_text(put, 18, device_state_name(device->state));
	sqlite3_bind_int64(put, 19, device->state_at);
	bind_text(put, 20, device->state_by);
	bind_text(put, 21, device->state_reason);
	bind_text(
		put, 22, device_state_is_wipe(device->wipe) ? device_state_name(device->wipe) : "");
	sqlite3_bind_int64(put, 23, device->wipe_ordered_at);
	sqlite3_bind_int64(put, 24, device->wipe_sent_at);
	sqlite3_bind_int64(put, 25, device->wipe_acknowledged_at);
	sqlite3_bind_int64(put, 26, device->wipe_status);
}

/* Looking */

/* How many rows the statement gives, at most max, or -1. */
static int read_rows(struct state_store *store, sqlite3_stmt *statement,
	struct state_device *devices, size_t max, struct error *err)
{
	size_t count = 0;
	int result = SQLITE_DONE;

	while (count < max && (result = sqlite3_step(statement)) == SQLITE_ROW)
		read_device(statement, &devices[count++]);
	if (result != SQLITE_DONE && result != SQLITE_ROW)
		state_sql_error(store, err, "looking for devices");
	sqlite3_reset(statement);
	return result == SQLITE_DONE || result == SQLITE_ROW ? (int)count : -1;
}

int state_devices_find(struct state_store *store, const char *mailbox, const char *id,
	struct state_device *device, struct error *err)
{
	sqlite3_stmt *find = state_sql(store, STATE_DEVICE_FIND);

	bind_key(find, mailbox, id);
	return read_rows(store, find, device, 1, err);
}

int state_devices_after(struct state_store *store, const char *mailbox, const char *id,
	struct state_device *devices, size_t max, struct error *err)
{
	sqlite3_stmt *after = state_sql(store, STATE_DEVICES_AFTER);

	bind_key(after, mailbox, id);
	sqlite3_bind_int64(after, 3, (sqlite3_int64)max);
	return read_rows(store, after, devices, max, err);
}

int state_devices_of_id(struct state_store *store, const char *id, struct state_device *devices,
	size_t max, struct error *err)
{
	sqlite3_stmt *of = state_sql(store, STATE_DEVICES_OF_ID);

	bind_text(of, 1, id);
	sqlite3_bind_int64(of, 2, (sqlite3_int64)max);
	return read_rows(store, of, devices, max, err);
}

int state_devices_pinned_by(struct state_store *store, const uint8_t leaf_sha256[32],
	struct state_device *device, struct error *err)
{
	sqlite3_stmt *pinned = state_sql(store, STATE_DEVICE_PINNED_BY);

	sqlite3_bind_blob(pinned, 1, leaf_sha256, 32, SQLITE_STATIC);
	return read_rows(store, pinned, device, 1, err);
}

int state_devices_count_of(
	struct state_store *store, const char *mailbox, int64_t *count, struct error *err)
{
	sqlite3_stmt *of = state_sql(store, STATE_DEVICES_COUNT_OF);

	bind_text(of, 1, mailbox);
	return state_sql_number(store, of, count, err, "counting a mailbox's devices");
}

int state_devices_count_rows(
	struct state_store *store, const char *mailbox, int64_t *count, struct error *err)
{
	sqlite3_stmt *rows = state_sql(store, STATE_DEVICES_COUNT_ROWS);

	bind_text(rows, 1, mailbox);
	return state_sql_number(store, rows, count, err, "counting a mailbox's devices");
}

int state_devices_count_certificate(struct state_store *store, const char *mailbox,
	const uint8_t leaf_sha256[32], int64_t *count, struct error *err)
{
	sqlite3_stmt *rows = state_sql(store, STATE_DEVICES_COUNT_CERTIFICATE);

	bind_text(rows, 1, mailbox);
	sqlite3_bind_blob(rows, 2, leaf_sha256, 32, SQLITE_STATIC);
	return state_sql_number(store, rows, count, err, "counting a certificate's devices");
}

int state_devices_count(
	struct state_store *store, struct state_device_counts *counts, struct error *err)
{
	static const char what[] = "counting devices";
	sqlite3_stmt *states = state_sql(store, STATE_DEVICES_COUNT_STATES);
	int64_t restricted = 0;
	int result;

	memset(counts, 0, sizeof(*counts));
	while ((result = sqlite3_step(states)) == SQLITE_ROW) {
		enum device_state state = DEVICE_BLOCKED;

		device_state_read(state_sql_text(states, 0), &state);
		counts->states[state] += sqlite3_column_int64(states, 1);
		restricted += sqlite3_column_int64(states, 1);
	}
	if (result != SQLITE_DONE)
		state_sql_error(store, err, what);
	sqlite3_reset(states);
	if (result != SQLITE_DONE || state_sql_number(store, state_sql(store, STATE_DEVICES_COUNT),
					     &counts->all, err, what) == -1)
		return -1;
	counts->states[DEVICE_ALLOWED] = counts->all - restricted;
	return 0;
}

/* Steps of a transaction */

static const char admitting[] = "writing a device down";

int state_devices_begin(struct state_store *store, struct error *err)
{
	return state_sql_begin(store, true, err, admitting);
}

int state_devices_commit(struct state_store *store, struct error *err)
{
	return state_sql_commit(store, err, admitting);
}

void state_devices_rollback(struct state_store *store)
{
	state_sql_rollback(store);
}

int state_devices_put(
	struct state_store *store, const struct state_device *device, struct error *err)
{
	sqlite3_stmt *put = state_sql(store, STATE_DEVICE_PUT);

	bind_device(put, device);
	return state_sql_run(store, put, err, admitting);
}

int state_devices_changed(struct state_store *store, struct error *err)
{
	return state_sql_run(store, state_sql(store, STATE_DEVICES_CHANGED), err, admitting);
}

static int grants_end(struct state_store *store, struct error *err)
{
	return state_sql_run(store, state_sql(store, STATE_DEVICES_ASK_ANEW), err, admitting);
}

int state_devices_ask_anew(struct state_store *store, const char *mailbox, const char *id,
	int64_t now, struct error *err)
{
	sqlite3_stmt *ask;

	if (grants_end(store, err) == -1)
		return -1;
	ask = state_sql(store, STATE_DEVICE_ASK);
	bind_key(ask, mailbox, id);
	sqlite3_bind_int64(ask, 3, now);
	return state_sql_run(store, ask, err, admitting);
}

/* What phones say */

/* What is said now, over what was said before. */
static void keep_said(char *kept, size_t size, const char *said)
{
	if (said[0] != '\0')
		snprintf(kept, size, "%s", said);
}

static void merge_facts(struct state_device *device, const struct device_facts *facts)
{
	struct device_facts *kept = &device->facts;

	keep_said(kept->type, sizeof(kept->type), facts->type);
	keep_said(kept->user_agent, sizeof(kept->user_agent), facts->user_agent);
	keep_said(kept->model, sizeof(kept->model), facts->model);
	keep_said(kept->os, sizeof(kept->os), facts->os);
	keep_said(kept->friendly_name, sizeof(kept->friendly_name), facts->friendly_name);
	keep_said(kept->language, sizeof(kept->language), facts->language);
	if (facts->version != 0)
		kept->version = facts->version;
	if (device->is_pinned || facts->issuer[0] == '\0')
		return;
	memcpy(kept->issuer, facts->issuer, sizeof(kept->issuer));
	memcpy(kept->leaf_sha256, facts->leaf_sha256, sizeof(kept->leaf_sha256));
	kept->serial = facts->serial;
	kept->not_before = facts->not_before;
}

void state_device_say(struct state_device *device, const struct device_facts *facts, int64_t now)
{
	if (device->facts.id[0] == '\0') {
		memcpy(device->facts.mailbox, facts->mailbox, sizeof(device->facts.mailbox));
		memcpy(device->facts.id, facts->id, sizeof(device->facts.id));
	}
	merge_facts(device, facts);
	if (device->first_seen == 0)
		device->first_seen = now;
	if (device->last_seen < now)
		device->last_seen = now;
}

/* A mailbox that has too many loses those of its own that were not seen for longest. */
static int make_room(struct state_store *store, const char *mailbox, struct error *err)
{
	static const char what[] = "forgetting devices";
	sqlite3_stmt *drop;
	int64_t count;

	if (state_devices_count_rows(store, mailbox, &count, err) == -1)
		return -1;
	if (count < STATE_DEVICES_OF_MAILBOX)
		return 0;
	drop = state_sql(store, STATE_DEVICES_DROP_CROWD);
	bind_text(drop, 1, mailbox);
	sqlite3_bind_int64(drop, 2, count + 1 - STATE_DEVICES_OF_MAILBOX);
	return state_sql_run(store, drop, err, what);
}

/* 1 when it was not known, 0, or -1. */
static int report_one(struct state_store *store, const struct device_facts *facts, int64_t now,
	bool makes, struct error *err)
{
	struct state_device device;
	int known = state_devices_find(store, facts->mailbox, facts->id, &device, err);

	if (known == -1 || (known == 0 && !makes))
		return known;
	if (known == 0) {
		memset(&device, 0, sizeof(device));
		if (make_room(store, facts->mailbox, err) == -1)
			return -1;
	}
	state_device_say(&device, facts, now);
	return state_devices_put(store, &device, err) == -1 ? -1 : known == 0;
}

int state_devices_report(struct state_store *store, const struct device_facts *facts, size_t count,
	int64_t now, bool makes, bool *is_new, struct error *err)
{
	static const char what[] = "writing which devices came";

	if (state_sql_begin(store, false, err, what) == -1)
		return -1;
	for (size_t i = 0; i < count; i++) {
		int result = report_one(store, &facts[i], now, makes, err);

		if (result == -1) {
			state_sql_rollback(store);
			return -1;
		}
		is_new[i] = result == 1;
	}
	return state_sql_commit(store, err, what);
}

/* Orders */

/* How little a device may do. */
static unsigned int tightness(enum device_state state)
{
	static const uint8_t of[DEVICE_STATE_COUNT] = {
		[DEVICE_ALLOWED] = 0,
		[DEVICE_QUARANTINED] = 1,
		[DEVICE_BLOCKED] = 2,
		[DEVICE_WIPE_ACCOUNT] = 3,
		[DEVICE_WIPE_ALL] = 4,
		[DEVICE_WIPE_FAILED] = 5,
		[DEVICE_WIPED] = 6,
	};

	return of[state];
}

static bool is_needless(const struct state_device *device, const struct state_device_order *order)
{
	return device->state == order->state ||
	       (order->only_tightens && tightness(device->state) > tightness(order->state));
}

static void apply(struct state_device *device, const struct state_device_order *order)
{
	device->state = order->state;
	device->state_at = order->at;
	snprintf(device->state_by, sizeof(device->state_by), "%s", order->by);
	snprintf(device->state_reason, sizeof(device->state_reason), "%s", order->reason);
	if (!device_state_is_wipe(order->state))
		return;
	device->wipe = order->state;
	device->wipe_ordered_at = order->at;
	device->wipe_sent_at = device->wipe_acknowledged_at = 0;
	device->wipe_status = 0;
}

static void name_device(struct state_device *device, const char *mailbox, const char *id)
{
	memset(device, 0, sizeof(*device));
	snprintf(device->facts.mailbox, sizeof(device->facts.mailbox), "%s", mailbox);
	snprintf(device->facts.id, sizeof(device->facts.id), "%s", id);
}

/* Whether a device that nobody but a phone has named may be made: 1, 0, or -1. */
static int may_be_made(
	struct state_store *store, const struct state_device_order *order, struct error *err)
{
	int64_t count;

	if (!order->only_tightens)
		return 1;
	if (order->is_full)
		return 0;
	if (make_room(store, order->mailbox, err) == -1 ||
		state_devices_count_rows(store, order->mailbox, &count, err) == -1)
		return -1;
	return count < STATE_DEVICES_OF_MAILBOX;
}

int state_devices_order_step(struct state_store *store, const struct state_device_order *order,
	struct state_device *before, struct error *err)
{
	struct state_device device;
	int known = state_devices_find(store, order->mailbox, order->id, &device, err);

	if (known == -1)
		return -1;
	if (known == 0) {
		name_device(&device, order->mailbox, order->id);
		/* Who allows what never came wants it known when it comes. */
		device.is_registered = order->state == DEVICE_ALLOWED;
	}
	*before = device;
	if (known == 1 && is_needless(&device, order))
		return 0;
	if (known == 0) {
		int may = may_be_made(store, order, err);

		if (may != 1)
			return may;
	}
	apply(&device, order);
	if (state_devices_put(store, &device, err) == -1)
		return -1;
	if ((order->state == DEVICE_ALLOWED ? grants_end(store, err)
					    : state_devices_changed(store, err)) == -1)
		return -1;
	return 1;
}

int state_devices_order(struct state_store *store, const struct state_device_order *order,
	struct state_device *before, struct error *err)
{
	int result;

	if (state_devices_begin(store, err) == -1)
		return -1;
	result = state_devices_order_step(store, order, before, err);
	if (result == -1) {
		state_sql_rollback(store);
		return -1;
	}
	return state_devices_commit(store, err) == -1 ? -1 : result;
}

int state_devices_forget(struct state_store *store, const char *mailbox, const char *id,
	int64_t now, struct error *err)
{
	static const char what[] = "forgetting a device";
	sqlite3_stmt *forget;
	int changes;

	if (state_sql_begin(store, true, err, what) == -1)
		return -1;
	forget = state_sql(store, STATE_DEVICE_FORGET);
	bind_key(forget, mailbox, id);
	if (state_sql_run(store, forget, err, what) == -1)
		goto fail;
	changes = sqlite3_changes(store->db);
	if (changes > 0 && state_devices_ask_anew(store, mailbox, id, now, err) == -1)
		goto fail;
	return state_sql_commit(store, err, what) == -1 ? -1 : changes > 0;

fail:
	state_sql_rollback(store);
	return -1;
}

int state_devices_register(struct state_store *store, const char *mailbox, const char *id,
	const char *by, int64_t now, struct error *err)
{
	struct state_device device;
	int known;

	if (state_devices_begin(store, err) == -1)
		return -1;
	known = state_devices_find(store, mailbox, id, &device, err);
	if (known == -1)
		goto fail;
	if (known == 0) {
		name_device(&device, mailbox, id);
		device.state_at = now;
		snprintf(device.state_by, sizeof(device.state_by), "%s", by);
	}
	if (!device.is_registered) {
		device.is_registered = true;
		known = 0;
		if (state_devices_put(store, &device, err) == -1 || grants_end(store, err) == -1)
			goto fail;
	}
	return state_devices_commit(store, err) == -1 ? -1 : known == 0;

fail:
	state_sql_rollback(store);
	return -1;
}

int state_devices_wipe_sent_step(struct state_store *store, const char *mailbox, const char *id,
	int64_t at, struct error *err)
{
	sqlite3_stmt *sent = state_sql(store, STATE_DEVICE_WIPE_SENT);

	bind_key(sent, mailbox, id);
	sqlite3_bind_int64(sent, 3, at);
	return state_sql_run(store, sent, err, "noting a wipe");
}

int state_devices_wiped_step(struct state_store *store, const char *mailbox, const char *id,
	uint32_t status, int64_t at, struct error *err)
{
	struct state_device device;
	char reason[sizeof(device.state_reason)];
	const struct state_device_order order = {.by = "acknowledgement",
		.reason = reason,
		.state = status == 1 ? DEVICE_WIPED : DEVICE_WIPE_FAILED,
		.at = at};
	int known = state_devices_find(store, mailbox, id, &device, err);

	if (known == -1)
		return -1;
	if (known == 0)
		name_device(&device, mailbox, id);
	/* Said a second time, or about a wipe that was called off since. What was done stays so. */
	if ((device.wipe_acknowledged_at == at && device.wipe_status == status) ||
		device.state_at > at || device.state == DEVICE_WIPED)
		return 0;
	/* Why it was ordered is asked for when it is done, too. */
	snprintf(reason, sizeof(reason), "%s",
		device_state_is_wipe(device.state) ? device.state_reason : "");
	apply(&device, &order);
	device.wipe_acknowledged_at = at;
	device.wipe_status = status;
	return state_devices_put(store, &device, err) == -1 ||
			       state_devices_changed(store, err) == -1
		       ? -1
		       : 1;
}

/* Forgetting what is too much */

/* How many rows the statement has deleted, or -1. */
static int64_t drop(struct state_store *store, sqlite3_stmt *statement, struct error *err)
{
	if (state_sql_run(store, statement, err, "forgetting devices") == -1)
		return -1;
	return sqlite3_changes(store->db);
}

/* In a transaction. */
static int64_t prune(
	struct state_store *store, int64_t now, size_t max, int64_t *count, struct error *err)
{
	sqlite3_stmt *asked = state_sql(store, STATE_DEVICE_ASK_DROP), *old;
	int64_t excess;

	sqlite3_bind_int64(asked, 1, now - STATE_DEVICE_ASK_S);
	if (drop(store, asked, err) == -1 ||
		state_sql_number(store, state_sql(store, STATE_DEVICES_COUNT), count, err,
			"counting devices") == -1)
		return -1;
	if (*count <= (int64_t)max)
		return 0;
	excess = *count - (int64_t)max;
	old = state_sql(store, STATE_DEVICES_DROP_OLD);
	sqlite3_bind_int64(old, 1, excess < PRUNE_MAX ? excess : PRUNE_MAX);
	return drop(store, old, err);
}

int state_devices_prune(
	struct state_store *store, int64_t now, size_t max, size_t *left, struct error *err)
{
	int64_t count = 0, dropped;

	if (state_sql_begin(store, false, err, "forgetting devices") == -1)
		return -1;
	dropped = prune(store, now, max, &count, err);
	if (dropped == -1) {
		state_sql_rollback(store);
		return -1;
	}
	*left = (size_t)(count - dropped);
	return state_sql_commit(store, err, "forgetting devices") == -1 ? -1 : (int)dropped;
}

/* The index */

int state_devices_version(struct state_store *store, int64_t *version, struct error *err)
{
	return state_sql_number(store, state_sql(store, STATE_DEVICES_VERSION), version, err,
		"asking whether devices have changed");
}

int state_devices_grants(struct state_store *store, int64_t *grants, struct error *err)
{
	return state_sql_number(store, state_sql(store, STATE_DEVICES_GRANTS), grants, err,
		"asking which grants hold");
}

/* Appends; 0, or -1 when memory runs out. */
static int add_entry(struct device_index_list *list, sqlite3_stmt *row)
{
	enum device_state state = DEVICE_BLOCKED, wipe = DEVICE_ALLOWED;

	device_state_read(state_sql_text(row, 2), &state);
	device_state_read(state_sql_text(row, 3), &wipe);
	return device_index_list_add(list, state_sql_text(row, 0), state_sql_text(row, 1), state,
		wipe, (uint64_t)sqlite3_column_int64(row, 4));
}

static int fill_list(struct state_store *store, struct device_index_list *list, struct error *err)
{
	sqlite3_stmt *restricted = state_sql(store, STATE_DEVICES_RESTRICTED);
	int result;

	while ((result = sqlite3_step(restricted)) == SQLITE_ROW)
		if (add_entry(list, restricted) == -1) {
			sqlite3_reset(restricted);
			return error_set(err, "compiling the devices: out of memory");
		}
	if (result != SQLITE_DONE)
		state_sql_error(store, err, "compiling the devices");
	sqlite3_reset(restricted);
	return result == SQLITE_DONE ? 0 : -1;
}

/* Version, grants and devices belong together when they are read in one transaction. */
static int compile(struct state_store *store, int64_t *version, size_t *count, struct error *err)
{
	struct device_index_list list = {0};
	int64_t grants;
	int fd = -1;

	if (state_devices_version(store, version, err) == -1 ||
		state_devices_grants(store, &grants, err) == -1)
		return -1;
	if (fill_list(store, &list, err) == 0) {
		*count = list.count;
		fd = device_index_write(&list, (uint64_t)grants, err);
	}
	device_index_list_free(&list);
	return fd;
}

int state_devices_index(
	struct state_store *store, int64_t *version, size_t *count, struct error *err)
{
	int fd;

	if (sqlite3_exec(store->db, "BEGIN DEFERRED", NULL, NULL, NULL) != SQLITE_OK)
		return state_sql_error(store, err, "compiling the devices");
	fd = compile(store, version, count, err);
	state_sql_rollback(store); /* nothing was written */
	return fd;
}
