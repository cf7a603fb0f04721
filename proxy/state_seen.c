#include "proxy/state_seen.h"

#include <openssl/evp.h>
#include <string.h>

#include "proxy/state_sql.h"

enum { PRUNE_MAX = 2000 /* rows in one transaction */, DAY = 86400 };

/* X.690 8.1: a certificate is a SEQUENCE, and in DER its length is definite and as short as it can
 * be. More than three octets of length no chain of ours has. */
bool state_seen_next(struct span *chain, struct span *certificate)
{
	size_t head = 2, len;

	if (chain->len < head || chain->data[0] != 0x30)
		return false;
	len = chain->data[1];
	if (len >= 0x80) {
		size_t octets = len & 0x7f;

		if (octets == 0 || octets > 3 || chain->len < head + octets)
			return false;
		len = 0;
		for (size_t i = 0; i < octets; i++)
			len = len << 8 | chain->data[head + i];
		head += octets;
	}
	if (len == 0 || len > chain->len - head)
		return false;
	*certificate = span_of(chain->data, head + len);
	*chain = span_of(chain->data + certificate->len, chain->len - certificate->len);
	return true;
}

bool state_seen_is_sound(struct span chain, const uint8_t leaf_sha256[32])
{
	struct span leaf, other;
	uint8_t sum[32];

	if (!state_seen_next(&chain, &leaf))
		return false;
	while (chain.len > 0)
		if (!state_seen_next(&chain, &other))
			return false;
	return EVP_Digest(leaf.data, leaf.len, sum, NULL, EVP_sha256(), NULL) == 1 &&
	       memcmp(sum, leaf_sha256, sizeof(sum)) == 0;
}

static int put_one(struct state_store *store, const struct state_seen *seen, struct error *err)
{
	sqlite3_stmt *put = state_sql(store, STATE_SEEN_PUT);

	sqlite3_bind_blob(put, 1, seen->leaf_sha256, sizeof(seen->leaf_sha256), SQLITE_STATIC);
	sqlite3_bind_blob(put, 2, seen->chain.data, (int)seen->chain.len, SQLITE_STATIC);
	sqlite3_bind_text(put, 3, seen->mailbox, -1, SQLITE_STATIC);
	sqlite3_bind_int64(put, 4, seen->last_seen);
	sqlite3_bind_text(put, 5, seen->refusal, -1, SQLITE_STATIC);
	return state_sql_run(store, put, err, "writing which certificates came");
}

int state_seen_put(
	struct state_store *store, const struct state_seen *seen, size_t count, struct error *err)
{
	static const char what[] = "writing which certificates came";

	if (state_sql_begin(store, false, err, what) == -1)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (put_one(store, &seen[i], err) == -1) {
			state_sql_rollback(store);
			return -1;
		}
	return state_sql_commit(store, err, what);
}

/* How many rows the statement has deleted, or -1. */
static int64_t drop(struct state_store *store, sqlite3_stmt *statement, struct error *err)
{
	if (state_sql_run(store, statement, err, "forgetting certificates") == -1)
		return -1;
	return sqlite3_changes(store->db);
}

static int64_t drop_excess(struct state_store *store, enum state_statement statement, int64_t count,
	int64_t max, struct error *err)
{
	sqlite3_stmt *excess;

	if (count <= max)
		return 0;
	excess = state_sql(store, statement);
	sqlite3_bind_int64(excess, 1, count - max < PRUNE_MAX ? count - max : PRUNE_MAX);
	return drop(store, excess, err);
}

int state_seen_prune(
	struct state_store *store, int64_t now, size_t max, size_t strangers_max, struct error *err)
{
	struct state_seen_counts counts;
	sqlite3_stmt *old;
	int64_t dropped, strangers, known;

	if (state_sql_begin(store, false, err, "forgetting certificates") == -1)
		return -1;
	old = state_sql(store, STATE_SEEN_DROP_OLD);
	sqlite3_bind_int64(old, 1, now - (int64_t)STATE_SEEN_DAYS * DAY);
	sqlite3_bind_int64(old, 2, PRUNE_MAX);
	dropped = drop(store, old, err);
	if (dropped == -1 || state_seen_count(store, &counts, err) == -1)
		goto fail;
	strangers = drop_excess(
		store, STATE_SEEN_DROP_STRANGERS, counts.strangers, (int64_t)strangers_max, err);
	if (strangers == -1)
		goto fail;
	known = drop_excess(
		store, STATE_SEEN_DROP_KNOWN, counts.all - strangers, (int64_t)max, err);
	if (known == -1)
		goto fail;
	if (state_sql_commit(store, err, "forgetting certificates") == -1)
		return -1;
	return dropped == PRUNE_MAX || strangers == PRUNE_MAX || known == PRUNE_MAX;

fail:
	state_sql_rollback(store);
	return -1;
}

int state_seen_count(struct state_store *store, struct state_seen_counts *counts, struct error *err)
{
	static const char what[] = "counting certificates";

	if (state_sql_number(store, state_sql(store, STATE_SEEN_COUNT), &counts->all, err, what) ==
		-1)
		return -1;
	return state_sql_number(
		store, state_sql(store, STATE_SEEN_COUNT_STRANGERS), &counts->strangers, err, what);
}

int state_seen_count_of(
	struct state_store *store, const char *mailbox, int64_t *count, struct error *err)
{
	sqlite3_stmt *of = state_sql(store, STATE_SEEN_COUNT_OF_MAILBOX);

	sqlite3_bind_text(of, 1, mailbox, -1, SQLITE_STATIC);
	return state_sql_number(store, of, count, err, "counting a user's certificates");
}

static void read_seen(sqlite3_stmt *statement, struct state_seen *seen)
{
	const void *sum = sqlite3_column_blob(statement, 1);

	memset(seen, 0, sizeof(*seen));
	seen->id = sqlite3_column_int64(statement, 0);
	if (sum != NULL && sqlite3_column_bytes(statement, 1) == (int)sizeof(seen->leaf_sha256))
		memcpy(seen->leaf_sha256, sum, sizeof(seen->leaf_sha256));
	seen->chain.data = sqlite3_column_blob(statement, 2);
	seen->chain.len = seen->chain.data == NULL ? 0 : (size_t)sqlite3_column_bytes(statement, 2);
	seen->mailbox = state_sql_text(statement, 3);
	seen->first_seen = sqlite3_column_int64(statement, 4);
	seen->last_seen = sqlite3_column_int64(statement, 5);
	seen->refusal = state_sql_text(statement, 6);
	seen->count = sqlite3_column_int64(statement, 7);
}

static int walk(struct state_store *store, sqlite3_stmt *statement, state_seen_each *each,
	void *context, struct error *err)
{
	bool wants_more = true;
	int result = SQLITE_DONE;

	while (wants_more && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		struct state_seen seen;

		read_seen(statement, &seen);
		wants_more = each(context, &seen);
	}
	if (result != SQLITE_DONE && result != SQLITE_ROW)
		state_sql_error(store, err, "listing certificates");
	sqlite3_reset(statement);
	return result == SQLITE_DONE || result == SQLITE_ROW ? 0 : -1;
}

int state_seen_after(struct state_store *store, int64_t id, size_t max, state_seen_each *each,
	void *context, struct error *err)
{
	sqlite3_stmt *after = state_sql(store, STATE_SEEN_AFTER);

	sqlite3_bind_int64(after, 1, id);
	sqlite3_bind_int64(after, 2, (sqlite3_int64)max);
	return walk(store, after, each, context, err);
}

int state_seen_of(struct state_store *store, const char *mailbox, size_t max, state_seen_each *each,
	void *context, struct error *err)
{
	sqlite3_stmt *of = state_sql(store, STATE_SEEN_OF_MAILBOX);

	sqlite3_bind_text(of, 1, mailbox, -1, SQLITE_STATIC);
	sqlite3_bind_int64(of, 2, (sqlite3_int64)max);
	return walk(store, of, each, context, err);
}
