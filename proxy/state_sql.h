/*
 * The state store's own side of SQLite: every statement that there is, prepared once, and
 * transactions. For proxy/state_*.c alone.
 */
#ifndef PROXY_STATE_SQL_H
#define PROXY_STATE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "proxy/state_store.h"

enum state_statement {
	STATE_BEGIN,
	STATE_COMMIT,
	STATE_ROLLBACK,
	STATE_COUNT_OPENED,
	STATE_USERS_VERSION,
	STATE_USERS_CHANGED,
	STATE_USER_REVOKE,
	STATE_USER_ALLOW,
	STATE_USER_FIND,
	STATE_USERS_AFTER,
	STATE_USERS_COUNT,
	STATE_SEEN_PUT,
	STATE_SEEN_AFTER,
	STATE_SEEN_OF_MAILBOX,
	STATE_SEEN_COUNT_OF_MAILBOX,
	STATE_SEEN_COUNT,
	STATE_SEEN_COUNT_STRANGERS,
	STATE_SEEN_DROP_OLD,
	STATE_SEEN_DROP_STRANGERS,
	STATE_SEEN_DROP_KNOWN,
	STATE_DEVICES_VERSION,
	STATE_DEVICES_GRANTS,
	STATE_DEVICES_CHANGED,
	STATE_DEVICES_ASK_ANEW,
	STATE_DEVICE_ASK,
	STATE_DEVICE_ASK_DROP,
	STATE_DEVICE_FIND,
	STATE_DEVICES_AFTER,
	STATE_DEVICES_OF_ID,
	STATE_DEVICE_PINNED_BY,
	STATE_DEVICES_COUNT_OF,
	STATE_DEVICES_COUNT_ROWS,
	STATE_DEVICES_COUNT_CERTIFICATE,
	STATE_DEVICES_COUNT,
	STATE_DEVICES_COUNT_STATES,
	STATE_DEVICE_PUT,
	STATE_DEVICE_FORGET,
	STATE_DEVICE_WIPE_SENT,
	STATE_DEVICES_RESTRICTED,
	STATE_DEVICES_DROP_CROWD,
	STATE_DEVICES_DROP_OLD,
	STATE_STATEMENT_COUNT
};

struct state_store {
	sqlite3 *db;
	const char *path;
	int fd; /* the file, to look at; closed last, because that ends SQLite's locks */
	bool is_new;
	bool is_open;    /* to the end: it is ours, and whole */
	bool is_durable; /* what synchronous is set to */
	sqlite3_stmt *statements[STATE_STATEMENT_COUNT];
};

/* The statement, fresh: not running, nothing bound. Never NULL in an open store. */
sqlite3_stmt *state_sql(const struct state_store *store, enum state_statement statement);

/* Fills err with "the state store PATH/state.db: WHAT: " and SQLite's words. Returns -1. */
int state_sql_error(const struct state_store *store, struct error *err, const char *what);

/* Runs a statement that gives no rows. 0 or -1. */
int state_sql_run(const struct state_store *store, sqlite3_stmt *statement, struct error *err,
	const char *what);

/* Runs one that gives one number. 0 or -1. */
int state_sql_number(const struct state_store *store, sqlite3_stmt *statement, int64_t *number,
	struct error *err, const char *what);

/* A transaction that writes. A durable one is on the disk once state_sql_commit() has returned 0;
 * another may be lost, whole, when the power fails. When anything fails in between,
 * state_sql_rollback() takes all of it back. */
int state_sql_begin(
	struct state_store *store, bool is_durable, struct error *err, const char *what);
int state_sql_commit(struct state_store *store, struct error *err, const char *what);
void state_sql_rollback(struct state_store *store);

/* Text of a column; never NULL. Valid until the statement's next step. */
const char *state_sql_text(sqlite3_stmt *statement, int column);

#endif
