#include "proxy/state_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/state_sql.h"

#define FILE_NAME      "state.db"
#define APPLICATION_ID "1161909072" /* "EASP", in a number, as SQLite wants it */

enum {
	CACHE_KB = 4096,
	WAL_SIZE = 8 << 20, /* what is left of the log after a large transaction */
	VALUE_SIZE_MAX = 64 * 1024,
};

/* What brings a file from the layout of its place's number to the next one. A layout that was ever
 * released is never changed: it gets a successor. */
static const char *const layouts[] = {
	"CREATE TABLE counter ("
	" name TEXT NOT NULL PRIMARY KEY,"
	" value INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO counter VALUES ('opened', 0), ('users', 0);"
	"CREATE TABLE revoked_user ("
	" mailbox TEXT NOT NULL PRIMARY KEY," /* lower case */
	" valid_from INTEGER NOT NULL,"       /* UNIX seconds, as all times */
	" revoked_at INTEGER NOT NULL,"
	" user_id INTEGER NOT NULL," /* who asked for it, on this host */
	" reason TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE seen ("
	" id INTEGER PRIMARY KEY,"
	" leaf_sha256 BLOB NOT NULL UNIQUE,"
	" chain BLOB NOT NULL,"   /* DER, leaf first */
	" mailbox TEXT NOT NULL," /* '': a stranger */
	" first_seen INTEGER NOT NULL,"
	" last_seen INTEGER NOT NULL,"
	" refusal TEXT NOT NULL," /* its name; '': it came in */
	" count INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX seen_by_mailbox ON seen (mailbox, last_seen);"
	"CREATE INDEX seen_by_time ON seen (last_seen);",

	"CREATE TABLE device ("
	" mailbox TEXT NOT NULL," /* lower case, as the id */
	" id TEXT NOT NULL,"
	" type TEXT NOT NULL," /* '': it has not said so, as all texts */
	" user_agent TEXT NOT NULL,"
	" model TEXT NOT NULL,"
	" os TEXT NOT NULL,"
	" friendly_name TEXT NOT NULL,"
	" language TEXT NOT NULL,"
	" version INTEGER NOT NULL," /* 161: 16.1; 0: never said */
	" issuer TEXT NOT NULL,"     /* '': without a certificate */
	" serial BLOB NOT NULL,"
	" leaf_sha256 BLOB NOT NULL,"
	" not_before INTEGER NOT NULL,"
	" first_seen INTEGER NOT NULL," /* 0: never */
	" last_seen INTEGER NOT NULL,"
	" is_pinned INTEGER NOT NULL,"
	" is_registered INTEGER NOT NULL,"
	" state TEXT NOT NULL,"
	" state_at INTEGER NOT NULL,"
	" state_by TEXT NOT NULL,"
	" state_reason TEXT NOT NULL,"
	" wipe TEXT NOT NULL,"               /* the state that was ordered last; '': none ever */
	" wipe_ordered_at INTEGER NOT NULL," /* 0: not yet */
	" wipe_sent_at INTEGER NOT NULL,"
	" wipe_acknowledged_at INTEGER NOT NULL,"
	" wipe_status INTEGER NOT NULL,"
	" PRIMARY KEY (mailbox, id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX device_by_id ON device (id, mailbox);"
	"CREATE INDEX device_by_certificate ON device (leaf_sha256) WHERE is_pinned = 1;"
	"CREATE INDEX device_by_state ON device (state) WHERE state <> 'allowed';"
	"CREATE INDEX device_by_time ON device (last_seen)"
	" WHERE state = 'allowed' AND is_registered = 0;"
	/* Devices that workers have to ask about anew. */
	"CREATE TABLE device_ask ("
	" mailbox TEXT NOT NULL,"
	" id TEXT NOT NULL,"
	" grants INTEGER NOT NULL," /* the counter of that name, by then */
	" asked_at INTEGER NOT NULL,"
	" PRIMARY KEY (mailbox, id)"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO counter VALUES ('devices', 0), ('grants', 0);",
};

#define DEVICE_COLUMNS                                                                             \
	"mailbox, id, type, user_agent, model, os, friendly_name, language, version, issuer,"      \
	" serial, leaf_sha256, not_before, first_seen, last_seen, is_pinned, is_registered,"       \
	" state, state_at, state_by, state_reason, wipe, wipe_ordered_at, wipe_sent_at,"           \
	" wipe_acknowledged_at, wipe_status"

enum { LAYOUT = sizeof(layouts) / sizeof(layouts[0]) };

static const char *const statements[STATE_STATEMENT_COUNT] = {
	[STATE_BEGIN] = "BEGIN IMMEDIATE",
	[STATE_COMMIT] = "COMMIT",
	[STATE_ROLLBACK] = "ROLLBACK",
	[STATE_COUNT_OPENED] = "UPDATE counter SET value = value + 1 WHERE name = 'opened'",
	[STATE_USERS_VERSION] = "SELECT value FROM counter WHERE name = 'users'",
	[STATE_USERS_CHANGED] = "UPDATE counter SET value = value + 1 WHERE name = 'users'",
	[STATE_USER_REVOKE] =
		"INSERT INTO revoked_user (mailbox, valid_from, revoked_at, user_id, reason)"
		" VALUES (?1, ?2, ?3, ?4, ?5)"
		" ON CONFLICT (mailbox) DO UPDATE SET"
		" valid_from = max(valid_from, excluded.valid_from),"
		" revoked_at = excluded.revoked_at, user_id = excluded.user_id,"
		" reason = iif(excluded.reason = '', reason, excluded.reason)",
	[STATE_USER_ALLOW] = "DELETE FROM revoked_user WHERE mailbox = ?1",
	[STATE_USER_FIND] = "SELECT mailbox, valid_from, revoked_at, user_id, reason"
			    " FROM revoked_user WHERE mailbox = ?1",
	[STATE_USERS_AFTER] = "SELECT mailbox, valid_from, revoked_at, user_id, reason"
			      " FROM revoked_user WHERE mailbox > ?1 ORDER BY mailbox LIMIT ?2",
	[STATE_USERS_COUNT] = "SELECT count(*) FROM revoked_user",
	/* A certificate whose mailbox was once known keeps it, whatever becomes of it later. */
	[STATE_SEEN_PUT] =
		"INSERT INTO seen (leaf_sha256, chain, mailbox, first_seen, last_seen, refusal,"
		" count) VALUES (?1, ?2, ?3, ?4, ?4, ?5, 1)"
		" ON CONFLICT (leaf_sha256) DO UPDATE SET chain = excluded.chain,"
		" mailbox = iif(excluded.mailbox = '', mailbox, excluded.mailbox),"
		" last_seen = max(last_seen, excluded.last_seen), refusal = excluded.refusal,"
		" count = count + 1",
	[STATE_SEEN_AFTER] =
		"SELECT id, leaf_sha256, chain, mailbox, first_seen, last_seen, refusal, count"
		" FROM seen WHERE id > ?1 ORDER BY id LIMIT ?2",
	[STATE_SEEN_OF_MAILBOX] =
		"SELECT id, leaf_sha256, chain, mailbox, first_seen, last_seen, refusal, count"
		" FROM seen WHERE mailbox = ?1 ORDER BY last_seen DESC LIMIT ?2",
	[STATE_SEEN_COUNT_OF_MAILBOX] = "SELECT count(*) FROM seen WHERE mailbox = ?1",
	[STATE_SEEN_COUNT] = "SELECT count(*) FROM seen",
	[STATE_SEEN_COUNT_STRANGERS] = "SELECT count(*) FROM seen WHERE mailbox = ''",
	[STATE_SEEN_DROP_OLD] =
		"DELETE FROM seen WHERE id IN"
		" (SELECT id FROM seen WHERE last_seen < ?1 ORDER BY last_seen LIMIT ?2)",
	[STATE_SEEN_DROP_STRANGERS] =
		"DELETE FROM seen WHERE id IN"
		" (SELECT id FROM seen WHERE mailbox = '' ORDER BY last_seen LIMIT ?1)",
	[STATE_SEEN_DROP_KNOWN] =
		"DELETE FROM seen WHERE id IN"
		" (SELECT id FROM seen WHERE mailbox <> '' ORDER BY last_seen LIMIT ?1)",
	[STATE_DEVICES_VERSION] = "SELECT value FROM counter WHERE name = 'devices'",
	[STATE_DEVICES_GRANTS] = "SELECT value FROM counter WHERE name = 'grants'",
	[STATE_DEVICES_CHANGED] = "UPDATE counter SET value = value + 1 WHERE name = 'devices'",
	[STATE_DEVICES_ASK_ANEW] =
		"UPDATE counter SET value = value + 1 WHERE name IN ('devices', 'grants')",
	[STATE_DEVICE_ASK] = "INSERT OR REPLACE INTO device_ask (mailbox, id, grants, asked_at)"
			     " SELECT ?1, ?2, value, ?3 FROM counter WHERE name = 'grants'",
	[STATE_DEVICE_ASK_DROP] = "DELETE FROM device_ask WHERE asked_at < ?1",
	[STATE_DEVICE_FIND] =
		"SELECT " DEVICE_COLUMNS " FROM device WHERE mailbox = ?1 AND id = ?2",
	[STATE_DEVICES_AFTER] =
		"SELECT " DEVICE_COLUMNS " FROM device WHERE (mailbox, id) > (?1, ?2)"
		" ORDER BY mailbox, id LIMIT ?3",
	[STATE_DEVICES_OF_ID] =
		"SELECT " DEVICE_COLUMNS " FROM device WHERE id = ?1 ORDER BY mailbox LIMIT ?2",
	[STATE_DEVICE_PINNED_BY] = "SELECT " DEVICE_COLUMNS
				   " FROM device WHERE leaf_sha256 = ?1 AND is_pinned = 1 LIMIT 1",
	[STATE_DEVICES_COUNT_OF] =
		"SELECT count(*) FROM device WHERE mailbox = ?1 AND state <> 'wiped'"
		" AND (state <> 'blocked' OR state_by = 'admission')",
	[STATE_DEVICES_COUNT_ROWS] = "SELECT count(*) FROM device WHERE mailbox = ?1",
	[STATE_DEVICES_COUNT_CERTIFICATE] =
		"SELECT count(*) FROM device WHERE mailbox = ?1 AND leaf_sha256 = ?2",
	[STATE_DEVICES_COUNT] = "SELECT count(*) FROM device",
	[STATE_DEVICES_COUNT_STATES] =
		"SELECT state, count(*) FROM device WHERE state <> 'allowed' GROUP BY state",
	[STATE_DEVICE_PUT] =
		"INSERT OR REPLACE INTO device (" DEVICE_COLUMNS
		") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
		" ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
	[STATE_DEVICE_FORGET] = "DELETE FROM device WHERE mailbox = ?1 AND id = ?2",
	[STATE_DEVICE_WIPE_SENT] =
		"UPDATE device SET wipe_sent_at = ?3 WHERE mailbox = ?1 AND id = ?2",
	[STATE_DEVICES_RESTRICTED] =
		"SELECT mailbox, id, state, wipe, 0 FROM device WHERE state <> 'allowed'"
		" UNION ALL SELECT mailbox, id, 'allowed', '', grants FROM device_ask WHERE NOT "
		"EXISTS"
		" (SELECT 1 FROM device WHERE device.mailbox = device_ask.mailbox"
		" AND device.id = device_ask.id AND state <> 'allowed')",
	[STATE_DEVICES_DROP_CROWD] =
		"DELETE FROM device WHERE mailbox = ?1 AND id IN"
		" (SELECT id FROM device WHERE mailbox = ?1 AND state = 'allowed'"
		" AND is_registered = 0 ORDER BY last_seen LIMIT ?2)",
	[STATE_DEVICES_DROP_OLD] =
		"DELETE FROM device WHERE (mailbox, id) IN"
		" (SELECT mailbox, id FROM device WHERE state = 'allowed' AND is_registered = 0"
		" ORDER BY last_seen LIMIT ?1)",
};

/* Statements and transactions */

sqlite3_stmt *state_sql(const struct state_store *store, enum state_statement statement)
{
	sqlite3_stmt *prepared = store->statements[statement];

	sqlite3_reset(prepared);
	sqlite3_clear_bindings(prepared);
	return prepared;
}

static const char mending[] =
	"; restore it from a backup, or move it away together with " FILE_NAME "-wal and " FILE_NAME
	"-shm: a new one is made then, and users and devices that were shut out must be shut out "
	"again";

int state_sql_error(const struct state_store *store, struct error *err, const char *what)
{
	int code = sqlite3_errcode(store->db);
	bool is_damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

	return error_set(err, "the state store %s/" FILE_NAME ": %s: %s%s", store->path, what,
		code == SQLITE_BUSY ? "another process has held it locked for too long"
				    : sqlite3_errmsg(store->db),
		is_damaged ? mending : "");
}

int state_sql_run(const struct state_store *store, sqlite3_stmt *statement, struct error *err,
	const char *what)
{
	int result = sqlite3_step(statement);

	if (result != SQLITE_DONE)
		state_sql_error(store, err, what);
	sqlite3_reset(statement);
	return result == SQLITE_DONE ? 0 : -1;
}

int state_sql_number(const struct state_store *store, sqlite3_stmt *statement, int64_t *number,
	struct error *err, const char *what)
{
	int result = sqlite3_step(statement);

	if (result == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	else
		state_sql_error(store, err, what);
	sqlite3_reset(statement);
	return result == SQLITE_ROW ? 0 : -1;
}

int state_sql_begin(struct state_store *store, bool is_durable, struct error *err, const char *what)
{
	if (is_durable && state_store_check(store, err) == -1)
		return -1;
	if (is_durable != store->is_durable) {
		const char *pragma =
			is_durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";

		if (sqlite3_exec(store->db, pragma, NULL, NULL, NULL) != SQLITE_OK)
			return state_sql_error(store, err, what);
		store->is_durable = is_durable;
	}
	return state_sql_run(store, state_sql(store, STATE_BEGIN), err, what);
}

int state_sql_commit(struct state_store *store, struct error *err, const char *what)
{
	if (state_sql_run(store, state_sql(store, STATE_COMMIT), err, what) == 0)
		return 0;
	state_sql_rollback(store);
	return -1;
}

/* SQLite takes some transactions back by itself, after which there is none to take back. */
void state_sql_rollback(struct state_store *store)
{
	if (sqlite3_get_autocommit(store->db) == 0)
		state_sql_run(store, state_sql(store, STATE_ROLLBACK), NULL, "");
}

const char *state_sql_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text == NULL ? "" : (const char *)text;
}

/* Opening */

/* SQLite would turn the name into an absolute path, and so need rights on every directory above. The
 * working directory is where the file is. */
static int keep_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static const char *find_vfs(void)
{
	static sqlite3_vfs ours;
	const sqlite3_vfs *base;

	if (ours.zName != NULL)
		return ours.zName;
	base = sqlite3_vfs_find("unix");
	if (base == NULL)
		return NULL;
	ours = *base;
	ours.pNext = NULL;
	ours.xFullPathname = keep_name;
	ours.zName = "easproxy";
	return sqlite3_vfs_register(&ours, 0) == SQLITE_OK ? ours.zName : NULL;
}

/* For our own user alone, whatever the umask: addresses are in it. SQLite gives its other files the
 * same mode. */
static int make_file(struct state_store *store, int directory, struct error *err)
{
	struct stat st;
	int fd, result = 0;

	if (fchdir(directory) == -1)
		return error_sys(err, "entering the state directory %s", store->path);
	fd = open(FILE_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		fd = open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		store->is_new = fd != -1;
	}
	if (fd == -1)
		return error_sys(err, "opening the state store %s/" FILE_NAME, store->path);
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		result = error_set(
			err, "the state store %s/" FILE_NAME " is not a file", store->path);
	else if (store->is_new && fsync(directory) == -1)
		result = error_sys(err, "writing the state directory %s", store->path);
	store->fd = fd;
	return result;
}

int state_store_check(const struct state_store *store, struct error *err)
{
	struct stat st;

	if (fstat(store->fd, &st) == -1)
		return error_sys(err, "looking at the state store %s/" FILE_NAME, store->path);
	if (st.st_nlink > 0)
		return 0;
	return error_set(err,
		"the state store %s/" FILE_NAME
		" was removed or replaced while it is in use: nothing is "
		"written into it any more; put the right one there and restart easproxyd",
		store->path);
}

static int execute(struct state_store *store, const char *sql, struct error *err, const char *what)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return state_sql_error(store, err, what);
	return 0;
}

static int ask_number(
	struct state_store *store, const char *sql, int64_t *number, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int result;

	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return state_sql_error(store, err, "reading it");
	result = state_sql_number(store, statement, number, err, "reading it");
	sqlite3_finalize(statement);
	return result;
}

/* Which layout the file has; 0: none yet, it is empty. */
static int find_layout(struct state_store *store, int64_t *layout, struct error *err)
{
	int64_t application = 0, tables = 0;

	if (ask_number(store, "PRAGMA application_id", &application, err) == -1 ||
		ask_number(store, "PRAGMA user_version", layout, err) == -1 ||
		ask_number(store, "SELECT count(*) FROM sqlite_schema", &tables, err) == -1)
		return -1;
	if (application == 0 && *layout == 0 && tables == 0)
		return 0;
	if (application != strtoll(APPLICATION_ID, NULL, 10) || *layout < 1)
		return error_set(err,
			"the state store %s/" FILE_NAME " is a database of another program%s",
			store->path, mending);
	if (*layout > LAYOUT)
		return error_set(err,
			"the state store %s/" FILE_NAME " was written by a later version of "
			"easproxy "
			"(layout %lld, this one knows %d): use that version, or restore the file's "
			"backup",
			store->path, (long long)*layout, LAYOUT);
	return 0;
}

/* Within one transaction, in which the layout is asked again: another process may have done it. */
static int bring_up_to_date(struct state_store *store, struct error *err)
{
	static const char what[] = "bringing it up to date";
	char version[48];
	int64_t layout = 0;

	if (execute(store, "BEGIN IMMEDIATE", err, what) == -1)
		return -1;
	if (find_layout(store, &layout, err) == -1)
		goto fail;
	for (int64_t i = layout; i < LAYOUT; i++)
		if (execute(store, layouts[i], err, what) == -1)
			goto fail;
	snprintf(version, sizeof(version), "PRAGMA user_version = %d", LAYOUT);
	if (execute(store, "PRAGMA application_id = " APPLICATION_ID, err, what) == -1 ||
		execute(store, version, err, what) == -1 ||
		execute(store, "COMMIT", err, what) == -1)
		goto fail;
	return 0;

fail:
	sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

/* What it holds against whom must be right; what was seen is only a report, and large. */
static int check_table(struct state_store *store, const char *check, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int result = -1;

	if (sqlite3_prepare_v2(store->db, check, -1, &statement, NULL) != SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		state_sql_error(store, err, "checking it");
	else if (strcmp(state_sql_text(statement, 0), "ok") != 0)
		error_set(err, "the state store %s/" FILE_NAME " is damaged: %s%s", store->path,
			state_sql_text(statement, 0), mending);
	else
		result = 0;
	sqlite3_finalize(statement);
	return result;
}

static int check_tables(struct state_store *store, struct error *err)
{
	static const char *const checks[] = {"PRAGMA quick_check(revoked_user)",
		"PRAGMA quick_check(device)", "PRAGMA quick_check(device_ask)"};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (check_table(store, checks[i], err) == -1)
			return -1;
	return 0;
}

static int use_log(struct state_store *store, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int result = -1;

	if (sqlite3_prepare_v2(store->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL) !=
			SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		state_sql_error(store, err, "opening its log");
	else if (strcmp(state_sql_text(statement, 0), "wal") != 0)
		error_set(err,
			"the state store %s/" FILE_NAME ": its file system has no shared memory: "
			"put "
			"the state directory on a local one",
			store->path);
	else
		result = 0;
	sqlite3_finalize(statement);
	return result;
}

/* What a file that we did not write could make SQLite do, it is not allowed to. */
static int restrain(struct state_store *store, struct error *err)
{
	char sizes[160];

	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, VALUE_SIZE_MAX);
	sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_busy_timeout(store->db, STATE_BUSY_MS);
	/* A file that is cut under a mapping would end the process. */
	snprintf(sizes, sizeof(sizes),
		"PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"
		"PRAGMA cache_size = -%d; PRAGMA journal_size_limit = %d",
		CACHE_KB, WAL_SIZE);
	return execute(store, sizes, err, "setting it up");
}

static int prepare_all(struct state_store *store, struct error *err)
{
	for (size_t i = 0; i < STATE_STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &store->statements[i], NULL) != SQLITE_OK)
			return state_sql_error(store, err, "reading its layout");
	return 0;
}

/* By a first durable change every file is opened that SQLite will ever need, so that the sandbox need not
 * allow it; a disk that takes no write is found out before anybody relies on it. */
static int write_once(struct state_store *store, struct error *err)
{
	static const char what[] = "writing to it";

	if (execute(store, "PRAGMA synchronous = FULL", err, what) == -1)
		return -1;
	store->is_durable = true;
	if (state_sql_begin(store, true, err, what) == -1)
		return -1;
	if (state_sql_run(store, state_sql(store, STATE_COUNT_OPENED), err, what) == -1) {
		state_sql_rollback(store);
		return -1;
	}
	return state_sql_commit(store, err, what);
}

static int open_database(struct state_store *store, struct error *err)
{
	const char *vfs = find_vfs();
	int persist = 1; /* the log stays when the last process ends: nothing is unlinked */
	int64_t layout = 0;

	if (vfs == NULL)
		return error_set(err, "this SQLite has no files");
	if (sqlite3_open_v2(FILE_NAME, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE,
		    vfs) != SQLITE_OK)
		return state_sql_error(store, err, "opening it");
	if (restrain(store, err) == -1 || find_layout(store, &layout, err) == -1 ||
		use_log(store, err) == -1)
		return -1;
	sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	if (bring_up_to_date(store, err) == -1 || check_tables(store, err) == -1 ||
		prepare_all(store, err) == -1)
		return -1;
	if (write_once(store, err) == -1)
		return -1;
	store->is_open = true;
	return 0;
}

bool state_store_exists(int directory)
{
	struct stat st;

	return fstatat(directory, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

struct state_store *state_store_open(int directory, const char *path, struct error *err)
{
	struct state_store *store = calloc(1, sizeof(*store));

	if (store == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	store->path = path;
	store->fd = -1;
	if (make_file(store, directory, err) == 0 && open_database(store, err) == 0)
		return store;
	state_store_close(store);
	return NULL;
}

void state_store_close(struct state_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < STATE_STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	if (store->is_open) {
		/* Closing would do it where stat(2) is allowed. Another process that uses the log is not
		 * waited for. */
		sqlite3_busy_timeout(store->db, 0);
		sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	}
	sqlite3_close(store->db);
	if (store->fd != -1)
		close(store->fd);
	free(store);
}

bool state_store_is_new(const struct state_store *store)
{
	return store->is_new;
}
