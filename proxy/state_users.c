#include "proxy/state_users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/user_index.h"
#include "proxy/state_sql.h"

/* Names are bound as they are: they live until the statement has run. */
static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
	sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
}

static void read_user(sqlite3_stmt *statement, struct state_user *user)
{
	memset(user, 0, sizeof(*user));
	snprintf(user->mailbox, sizeof(user->mailbox), "%s", state_sql_text(statement, 0));
	user->valid_from = sqlite3_column_int64(statement, 1);
	user->revoked_at = sqlite3_column_int64(statement, 2);
	user->user_id = (uint32_t)sqlite3_column_int64(statement, 3);
	snprintf(user->reason, sizeof(user->reason), "%s", state_sql_text(statement, 4));
}

int state_users_revoke(struct state_store *store, const struct state_user *user, struct error *err)
{
	static const char what[] = "revoking a user";
	sqlite3_stmt *revoke;

	if (state_sql_begin(store, true, err, what) == -1)
		return -1;
	revoke = state_sql(store, STATE_USER_REVOKE);
	bind_text(revoke, 1, user->mailbox);
	sqlite3_bind_int64(revoke, 2, user->valid_from);
	sqlite3_bind_int64(revoke, 3, user->revoked_at);
	sqlite3_bind_int64(revoke, 4, user->user_id);
	bind_text(revoke, 5, user->reason);
	if (state_sql_run(store, revoke, err, what) == -1 ||
		state_sql_run(store, state_sql(store, STATE_USERS_CHANGED), err, what) == -1) {
		state_sql_rollback(store);
		return -1;
	}
	return state_sql_commit(store, err, what);
}

int state_users_allow(struct state_store *store, const char *mailbox, struct error *err)
{
	static const char what[] = "allowing a user";
	sqlite3_stmt *allow;
	int changes;

	if (state_sql_begin(store, true, err, what) == -1)
		return -1;
	allow = state_sql(store, STATE_USER_ALLOW);
	bind_text(allow, 1, mailbox);
	if (state_sql_run(store, allow, err, what) == -1)
		goto fail;
	changes = sqlite3_changes(store->db);
	if (changes > 0 &&
		state_sql_run(store, state_sql(store, STATE_USERS_CHANGED), err, what) == -1)
		goto fail;
	return state_sql_commit(store, err, what) == -1 ? -1 : changes > 0;

fail:
	state_sql_rollback(store);
	return -1;
}

int state_users_find(
	struct state_store *store, const char *mailbox, struct state_user *user, struct error *err)
{
	sqlite3_stmt *find = state_sql(store, STATE_USER_FIND);
	int result;

	bind_text(find, 1, mailbox);
	result = sqlite3_step(find);
	if (result == SQLITE_ROW)
		read_user(find, user);
	else if (result != SQLITE_DONE)
		state_sql_error(store, err, "looking for a user");
	sqlite3_reset(find);
	return result == SQLITE_ROW ? 1 : result == SQLITE_DONE ? 0 : -1;
}

int state_users_after(struct state_store *store, const char *mailbox, struct state_user *users,
	size_t max, struct error *err)
{
	sqlite3_stmt *after = state_sql(store, STATE_USERS_AFTER);
	size_t count = 0;
	int result = SQLITE_DONE;

	bind_text(after, 1, mailbox);
	sqlite3_bind_int64(after, 2, (sqlite3_int64)max);
	while (count < max && (result = sqlite3_step(after)) == SQLITE_ROW)
		read_user(after, &users[count++]);
	if (result != SQLITE_DONE && result != SQLITE_ROW)
		state_sql_error(store, err, "listing the users");
	sqlite3_reset(after);
	return result == SQLITE_DONE || result == SQLITE_ROW ? (int)count : -1;
}

int state_users_version(struct state_store *store, int64_t *version, struct error *err)
{
	return state_sql_number(store, state_sql(store, STATE_USERS_VERSION), version, err,
		"asking whether users have changed");
}

/* Fills the array, whose mailboxes the caller frees. How many, or -1. */
static int64_t read_entries(
	struct state_store *store, struct user_entry *entries, size_t max, struct error *err)
{
	sqlite3_stmt *after = state_sql(store, STATE_USERS_AFTER);
	size_t count = 0;
	int result;

	bind_text(after, 1, "");
	sqlite3_bind_int64(after, 2, (sqlite3_int64)max);
	while ((result = sqlite3_step(after)) == SQLITE_ROW && count < max) {
		char *mailbox = strdup(state_sql_text(after, 0));

		if (mailbox == NULL)
			break;
		entries[count++] = (struct user_entry){
			.mailbox = mailbox, .valid_from = sqlite3_column_int64(after, 1)};
	}
	if (result == SQLITE_ROW)
		error_set(err, "compiling the users: out of memory");
	else if (result != SQLITE_DONE)
		state_sql_error(store, err, "compiling the users");
	sqlite3_reset(after);
	if (result == SQLITE_DONE)
		return (int64_t)count;
	while (count > 0)
		free((void *)entries[--count].mailbox);
	return -1;
}

/* Count, version and users belong together when they are read in one transaction. */
static int compile(struct state_store *store, int64_t *version, size_t *count, struct error *err)
{
	struct user_entry *entries;
	int64_t users;
	int fd = -1;

	if (state_sql_number(store, state_sql(store, STATE_USERS_COUNT), &users, err,
		    "compiling the users") == -1 ||
		state_users_version(store, version, err) == -1)
		return -1;
	entries = calloc((size_t)users + 1, sizeof(*entries));
	if (entries == NULL)
		return error_set(err, "compiling %lld users: out of memory", (long long)users);
	users = read_entries(store, entries, (size_t)users, err);
	if (users >= 0) {
		*count = (size_t)users;
		fd = user_index_write(entries, *count, err);
	}
	for (int64_t i = 0; i < users; i++)
		free((void *)entries[i].mailbox);
	free(entries);
	return fd;
}

int state_users_index(struct state_store *store, int64_t *version, size_t *count, struct error *err)
{
	int fd;

	if (sqlite3_exec(store->db, "BEGIN DEFERRED", NULL, NULL, NULL) != SQLITE_OK)
		return state_sql_error(store, err, "compiling the users");
	fd = compile(store, version, count, err);
	state_sql_rollback(store); /* nothing was written */
	return fd;
}
