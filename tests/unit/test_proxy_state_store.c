#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "auth/user_index.h"
#include "proxy/state_seen.h"
#include "proxy/state_users.h"
#include "tests/unit/state_fixture.h"

static void expect_refused(const char *why)
{
	struct error err = {""};
	struct state_store *store = state_store_open(fixture.fd, fixture.directory, &err);

	CU_ASSERT_PTR_NULL(store);
	state_store_close(store);
	if (strstr(err.text, why) == NULL)
		fprintf(stderr, "got \"%s\", wanted \"%s\"\n", err.text, why);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, why));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, fixture.directory));
}

static void revoke_user(const char *mailbox, int64_t valid_from, const char *reason)
{
	struct state_user user = {.valid_from = valid_from, .revoked_at = valid_from, .user_id = 7};
	struct error err = {""};

	snprintf(user.mailbox, sizeof(user.mailbox), "%s", mailbox);
	snprintf(user.reason, sizeof(user.reason), "%s", reason);
	CU_ASSERT_EQUAL(state_users_revoke(fixture.store, &user, &err), 0);
	CU_ASSERT_STRING_EQUAL(err.text, "");
}

static int64_t valid_from_of(const char *mailbox)
{
	struct state_user user;
	struct error err;

	return state_users_find(fixture.store, mailbox, &user, &err) == 1 ? user.valid_from : -1;
}

static int64_t version_of(struct state_store *store)
{
	struct error err;
	int64_t version = -1;

	CU_ASSERT_EQUAL(state_users_version(store, &version, &err), 0);
	return version;
}

/* --- users --- */

static void test_a_revoked_user_is_found_after_a_restart(void)
{
	struct state_user user;
	struct error err;

	fixture_open();
	CU_ASSERT_TRUE(state_store_is_new(fixture.store));
	revoke_user("bob@contoso.test", 1700000000, "phone lost");
	reopen();
	CU_ASSERT_FALSE(state_store_is_new(fixture.store));
	CU_ASSERT_EQUAL_FATAL(state_users_find(fixture.store, "bob@contoso.test", &user, &err), 1);
	CU_ASSERT_STRING_EQUAL(user.mailbox, "bob@contoso.test");
	CU_ASSERT_STRING_EQUAL(user.reason, "phone lost");
	CU_ASSERT_EQUAL(user.valid_from, 1700000000);
	CU_ASSERT_EQUAL(user.revoked_at, 1700000000);
	CU_ASSERT_EQUAL(user.user_id, 7);
	CU_ASSERT_EQUAL(state_users_find(fixture.store, "bo@contoso.test", &user, &err), 0);
	fixture_close();
}

static void test_valid_from_goes_forward_only(void)
{
	fixture_open();
	revoke_user("bob@contoso.test", 1700000000, "");
	revoke_user("bob@contoso.test", 1600000000, "");
	CU_ASSERT_EQUAL(valid_from_of("bob@contoso.test"), 1700000000);
	revoke_user("bob@contoso.test", 1800000000, "");
	CU_ASSERT_EQUAL(valid_from_of("bob@contoso.test"), 1800000000);
	fixture_close();
}

static void test_the_last_reason_that_was_given_is_kept(void)
{
	struct state_user user;
	struct error err;

	fixture_open();
	revoke_user("bob@contoso.test", 1, "phone lost");
	revoke_user("bob@contoso.test", 2, "");
	CU_ASSERT_EQUAL(state_users_find(fixture.store, "bob@contoso.test", &user, &err), 1);
	CU_ASSERT_STRING_EQUAL(user.reason, "phone lost");
	revoke_user("bob@contoso.test", 3, "phone sold");
	CU_ASSERT_EQUAL(state_users_find(fixture.store, "bob@contoso.test", &user, &err), 1);
	CU_ASSERT_STRING_EQUAL(user.reason, "phone sold");
	fixture_close();
}

static void test_who_is_allowed_again_is_gone(void)
{
	struct error err;

	fixture_open();
	revoke_user("bob@contoso.test", 1700000000, "");
	CU_ASSERT_EQUAL(state_users_allow(fixture.store, "amy@contoso.test", &err), 0);
	CU_ASSERT_EQUAL(state_users_allow(fixture.store, "bob@contoso.test", &err), 1);
	CU_ASSERT_EQUAL(state_users_allow(fixture.store, "bob@contoso.test", &err), 0);
	reopen();
	CU_ASSERT_EQUAL(valid_from_of("bob@contoso.test"), -1);
	fixture_close();
}

static void test_users_are_listed_in_pages(void)
{
	struct state_user users[3];
	struct error err;

	fixture_open();
	revoke_user("d@x.y", 4, "");
	revoke_user("a@x.y", 1, "");
	revoke_user("c@x.y", 3, "");
	revoke_user("b@x.y", 2, "");
	CU_ASSERT_EQUAL(state_users_after(fixture.store, "", users, 3, &err), 3);
	CU_ASSERT_STRING_EQUAL(users[0].mailbox, "a@x.y");
	CU_ASSERT_STRING_EQUAL(users[2].mailbox, "c@x.y");
	CU_ASSERT_EQUAL(state_users_after(fixture.store, "c@x.y", users, 3, &err), 1);
	CU_ASSERT_STRING_EQUAL(users[0].mailbox, "d@x.y");
	CU_ASSERT_EQUAL(state_users_after(fixture.store, "d@x.y", users, 3, &err), 0);
	fixture_close();
}

static void test_a_name_is_data_and_never_sql(void)
{
	static const char name[] = "'; DROP TABLE revoked_user; --@x.y";

	fixture_open();
	revoke_user(name, 5, "'); DELETE FROM revoked_user; --");
	CU_ASSERT_EQUAL(valid_from_of(name), 5);
	fixture_close();
}

static void test_the_compiled_users_are_those_of_the_store(void)
{
	struct error err = {""};
	struct user_index *index;
	int64_t version = -1, valid_from = 0;
	size_t count = 99;
	int fd;

	fixture_open();
	fd = state_users_index(fixture.store, &version, &count, &err);
	CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
	CU_ASSERT_EQUAL(count, 0);
	close(fd);
	revoke_user("bob@contoso.test", 1700000000, "");
	revoke_user("amy@contoso.test", 1700000001, "");
	fd = state_users_index(fixture.store, &version, &count, &err);
	CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(version, version_of(fixture.store));
	index = user_index_open(fd, &err);
	close(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_TRUE(user_index_find(index, "bob@contoso.test", &valid_from));
	CU_ASSERT_EQUAL(valid_from, 1700000000);
	CU_ASSERT_TRUE(user_index_find(index, "amy@contoso.test", &valid_from));
	CU_ASSERT_FALSE(user_index_find(index, "eve@contoso.test", &valid_from));
	user_index_close(index);
	fixture_close();
}

/* Two generations of the control process live at once during a reload. */
static void test_a_change_by_another_process_is_seen(void)
{
	struct state_store *other;
	struct error err;
	int64_t before;

	fixture_open();
	other = store_open();
	before = version_of(other);
	revoke_user("bob@contoso.test", 1700000000, "");
	CU_ASSERT_TRUE(version_of(other) > before);
	before = version_of(fixture.store);
	CU_ASSERT_EQUAL(state_users_allow(other, "bob@contoso.test", &err), 1);
	CU_ASSERT_TRUE(version_of(fixture.store) > before);
	before = version_of(fixture.store);
	CU_ASSERT_EQUAL(state_users_allow(other, "bob@contoso.test", &err), 0);
	CU_ASSERT_EQUAL(version_of(fixture.store), before);
	state_store_close(other);
	fixture_close();
}

static void test_a_lock_of_another_is_waited_for_but_not_for_long(void)
{
	struct state_user user = {.mailbox = "bob@contoso.test", .valid_from = 1};
	struct timespec before, after;
	struct error err = {""};
	char path[96];
	sqlite3 *other;

	fixture_open();
	snprintf(path, sizeof(path), "%s/state.db", fixture.directory);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &other), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	clock_gettime(CLOCK_MONOTONIC, &before);
	CU_ASSERT_EQUAL(state_users_revoke(fixture.store, &user, &err), -1);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "held it locked for too long"));
	CU_ASSERT_TRUE(after.tv_sec - before.tv_sec <= STATE_BUSY_MS / 1000 + 1);
	CU_ASSERT_EQUAL(valid_from_of("bob@contoso.test"), -1); /* reading goes on */
	sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
	CU_ASSERT_EQUAL(state_users_revoke(fixture.store, &user, &err), 0);
	sqlite3_close(other);
	fixture_close();
}

/* --- the file --- */

static void test_the_file_is_for_its_owner_alone(void)
{
	static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm"};
	struct stat st;
	mode_t mask = umask(0);

	fixture_open();
	umask(mask);
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(fstatat(fixture.fd, names[i], &st, 0), 0);
		CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	}
	fixture_close();
}

static void test_a_file_of_another_program_is_left_alone(void)
{
	struct stat before, after;

	directory_open();
	tamper("CREATE TABLE letters (body TEXT); INSERT INTO letters VALUES ('mine');");
	fstatat(fixture.fd, "state.db", &before, 0);
	expect_refused("is a database of another program");
	fstatat(fixture.fd, "state.db", &after, 0);
	CU_ASSERT_EQUAL(before.st_size, after.st_size);
	CU_ASSERT_EQUAL(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	tamper("PRAGMA application_id = 1161909072; PRAGMA user_version = 0;");
	expect_refused("is a database of another program");
	fixture_close();
}

static void test_a_later_version_is_left_alone(void)
{
	fixture_open();
	state_store_close(fixture.store);
	fixture.store = NULL;
	tamper("PRAGMA user_version = 1000;");
	expect_refused("was written by a later version of easproxy (layout 1000, this one knows");
	tamper("PRAGMA user_version = 2;");
	reopen();
	fixture_close();
}

static void test_what_is_no_database_is_refused(void)
{
	int fd;

	directory_open();
	fd = openat(fixture.fd, "state.db", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (int i = 0; i < 1000; i++)
		if (write(fd, "This is a letter. ", 18) != 18)
			abort();
	close(fd);
	expect_refused("restore it from a backup, or move it away");
	fixture_close();
}

static void test_a_damaged_list_of_users_is_refused(void)
{
	char zeros[4096] = {0};
	struct stat st;
	int fd;

	fixture_open();
	for (int i = 0; i < 500; i++) {
		char name[48];

		snprintf(name, sizeof(name), "user%d@contoso.test", i);
		revoke_user(name, i,
			"a reason that takes up some room, so that there are several pages");
	}
	state_store_close(fixture.store);
	fixture.store = NULL;
	tamper("PRAGMA wal_checkpoint(TRUNCATE)");
	fd = openat(fixture.fd, "state.db", O_RDWR | O_CLOEXEC);
	fstat(fd, &st);
	CU_ASSERT_TRUE(st.st_size > 8 * 4096L);
	/* The last pages are those of the users, which were the last to grow. */
	CU_ASSERT_EQUAL(pwrite(fd, zeros, sizeof(zeros), st.st_size - 4096), 4096);
	expect_refused("restore it from a backup, or move it away");
	CU_ASSERT_EQUAL(ftruncate(fd, st.st_size - 8192), 0);
	close(fd);
	expect_refused("restore it from a backup, or move it away");
	fixture_close();
}

static void test_what_is_no_file_is_refused(void)
{
	directory_open();
	mkdirat(fixture.fd, "state.db", 0700);
	expect_refused("opening the state store");
	unlinkat(fixture.fd, "state.db", AT_REMOVEDIR);
	CU_ASSERT_EQUAL(symlinkat("/etc/passwd", fixture.fd, "state.db"), 0);
	expect_refused("opening the state store");
	fixture_close();
}

/* A trigger in a file that somebody else has put there must not run. */
static void test_code_in_the_file_does_not_run(void)
{
	fixture_open();
	state_store_close(fixture.store);
	tamper("CREATE TRIGGER undo AFTER INSERT ON revoked_user BEGIN"
	       " DELETE FROM revoked_user; END;");
	fixture.store = store_open();
	revoke_user("bob@contoso.test", 1700000000, "");
	CU_ASSERT_EQUAL(valid_from_of("bob@contoso.test"), 1700000000);
	fixture_close();
}

static void test_a_store_that_was_removed_takes_nothing_any_more(void)
{
	struct state_user user = {.mailbox = "bob@contoso.test", .valid_from = 1};
	struct error err = {""};

	fixture_open();
	CU_ASSERT_EQUAL(state_store_check(fixture.store, &err), 0);
	unlinkat(fixture.fd, "state.db", 0);
	CU_ASSERT_EQUAL(state_store_check(fixture.store, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "was removed or replaced while it is in use"));
	CU_ASSERT_EQUAL(state_users_revoke(fixture.store, &user, &err), -1);
	CU_ASSERT_EQUAL(state_users_allow(fixture.store, "bob@contoso.test", &err), -1);
	fixture_close();
}

/* Files may not grow beyond 128 kB: what SQLite sees is a disk that is full. Returns how many were
 * revoked before it was. */
static int revoke_until_full(void)
{
	const struct rlimit limit = {131072, 131072};
	struct error err = {""};
	struct state_store *store = state_store_open(fixture.fd, fixture.directory, &err);

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	for (int i = 0; store != NULL && i < 200; i++) {
		struct state_user user = {.valid_from = i + 1};

		snprintf(user.mailbox, sizeof(user.mailbox), "user%d@contoso.test", i);
		if (state_users_revoke(store, &user, &err) == 0)
			continue;
		/* Reading goes on, of what was written and of nothing else. */
		if (strstr(err.text, "revoking a user: ") == NULL ||
			state_users_find(store, user.mailbox, &user, &err) != 0 ||
			state_users_find(store, "user0@contoso.test", &user, &err) != 1)
			return 250;
		return i;
	}
	return 251;
}

static void test_a_full_disk_is_told_and_nothing_is_half_written(void)
{
	int status = -1, count;
	pid_t pid;

	fixture_open();
	pid = fork();
	if (pid == 0)
		_exit(revoke_until_full());
	waitpid(pid, &status, 0);
	count = WEXITSTATUS(status);
	CU_ASSERT_TRUE(WIFEXITED(status) && count > 0 && count < 200);
	for (int i = 0; i < count + 10; i++) {
		char name[48];

		snprintf(name, sizeof(name), "user%d@contoso.test", i);
		CU_ASSERT_EQUAL(valid_from_of(name), i < count ? i + 1 : -1);
	}
	revoke_user("later@contoso.test", 5, "");
	CU_ASSERT_EQUAL(valid_from_of("later@contoso.test"), 5);
	fixture_close();
}

/* --- kill -9 --- */

/* Revokes user0, user1, … until it is killed, and says so after each. */
static _Noreturn void revoke_for_ever(int acknowledge, int from)
{
	struct error err;
	struct state_store *store = state_store_open(fixture.fd, fixture.directory, &err);

	for (int i = from; store != NULL; i++) {
		struct state_user user = {.valid_from = i + 1};

		snprintf(user.mailbox, sizeof(user.mailbox), "user%d@contoso.test", i);
		if (state_users_revoke(store, &user, &err) == -1 ||
			write(acknowledge, &i, sizeof(i)) != sizeof(i))
			break;
	}
	_exit(1);
}

static void test_what_was_acknowledged_outlives_kill_9(void)
{
	int last = -1;

	fixture_open();
	/* On a busy machine the first writers may die before they have written anything. */
	for (int round = 0; round < 20 || (last <= 0 && round < 200); round++) {
		const struct timespec pause = {
			.tv_nsec = (round * 7919L % 23 + 1 + round / 20 * 20L) * 1000000};
		int pipe_fds[2], status, acknowledged;
		pid_t pid;

		if (pipe(pipe_fds) == -1)
			abort();
		pid = fork();
		if (pid == 0)
			revoke_for_ever(pipe_fds[1], last + 1);
		close(pipe_fds[1]);
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		CU_ASSERT_TRUE(WIFSIGNALED(status));
		while (read(pipe_fds[0], &acknowledged, sizeof(acknowledged)) ==
			sizeof(acknowledged))
			last = acknowledged;
		close(pipe_fds[0]);
		reopen();
		for (int i = 0; i <= last; i++) {
			char name[48];

			snprintf(name, sizeof(name), "user%d@contoso.test", i);
			CU_ASSERT_EQUAL(valid_from_of(name), i + 1);
		}
	}
	CU_ASSERT_TRUE(last > 0);
	fixture_close();
}

/* --- certificates seen --- */

struct certificate {
	uint8_t der[64];
	size_t len;
	uint8_t sha256[32];
};

/* What looks like one: a SEQUENCE with the name in it. */
static struct certificate certificate_of(const char *name)
{
	struct certificate made;

	memset(&made, 0, sizeof(made));
	made.len = 2 + strlen(name);
	made.der[0] = 0x30;
	made.der[1] = (uint8_t)strlen(name);
	memcpy(made.der + 2, name, strlen(name));
	EVP_Digest(made.der, made.len, made.sha256, NULL, EVP_sha256(), NULL);
	return made;
}

static void see(const char *name, const char *mailbox, int64_t when, const char *refusal)
{
	struct certificate certificate = certificate_of(name);
	struct state_seen seen = {.chain = span_of(certificate.der, certificate.len),
		.mailbox = mailbox,
		.last_seen = when,
		.refusal = refusal};
	struct error err = {""};

	memcpy(seen.leaf_sha256, certificate.sha256, 32);
	CU_ASSERT_EQUAL(state_seen_put(fixture.store, &seen, 1, &err), 0);
	CU_ASSERT_STRING_EQUAL(err.text, "");
}

static char listed[4096];

static bool list_one(void *context, const struct state_seen *seen)
{
	size_t *left = context;
	size_t len = strlen(listed);

	snprintf(listed + len, sizeof(listed) - len, "%.*s %s %lld-%lld %s x%lld;",
		(int)(seen->chain.len - 2), (const char *)seen->chain.data + 2, seen->mailbox,
		(long long)seen->first_seen, (long long)seen->last_seen, seen->refusal,
		(long long)seen->count);
	return --*left > 0;
}

static const char *list_after(int64_t id, size_t max, size_t wanted)
{
	struct error err;

	listed[0] = '\0';
	CU_ASSERT_EQUAL(state_seen_after(fixture.store, id, max, list_one, &wanted, &err), 0);
	return listed;
}

static const char *list_of(const char *mailbox)
{
	struct error err;
	size_t wanted = 100;

	listed[0] = '\0';
	CU_ASSERT_EQUAL(state_seen_of(fixture.store, mailbox, 100, list_one, &wanted, &err), 0);
	return listed;
}

static void test_a_certificate_is_remembered_with_its_last_fate(void)
{
	fixture_open();
	see("A", "", 10, "certificate-expired");
	see("B", "bob@contoso.test", 11, "");
	see("A", "amy@contoso.test", 12, "");
	see("A", "", 14, "certificate-revoked");
	see("A", "", 13, "certificate-revoked"); /* of a worker that was slower to tell */
	CU_ASSERT_STRING_EQUAL(list_after(0, 100, 100),
		"A amy@contoso.test 10-14 certificate-revoked x4;B bob@contoso.test 11-11  x1;");
	CU_ASSERT_STRING_EQUAL(
		list_of("amy@contoso.test"), "A amy@contoso.test 10-14 certificate-revoked x4;");
	CU_ASSERT_STRING_EQUAL(list_of("eve@contoso.test"), "");
	fixture_close();
}

static void test_certificates_are_listed_in_pages(void)
{
	fixture_open();
	see("A", "a@x.y", 1, "");
	see("B", "b@x.y", 2, "");
	see("C", "c@x.y", 3, "");
	see("A", "a@x.y", 4, "");
	CU_ASSERT_STRING_EQUAL(list_after(0, 2, 100), "A a@x.y 1-4  x2;B b@x.y 2-2  x1;");
	CU_ASSERT_STRING_EQUAL(list_after(2, 2, 100), "C c@x.y 3-3  x1;");
	CU_ASSERT_STRING_EQUAL(list_after(0, 100, 1), "A a@x.y 1-4  x2;");
	CU_ASSERT_STRING_EQUAL(list_after(3, 100, 1), "");
	fixture_close();
}

static void prune(int64_t now, size_t max, size_t strangers_max, int wanted)
{
	struct error err;

	CU_ASSERT_EQUAL(state_seen_prune(fixture.store, now, max, strangers_max, &err), wanted);
}

static void test_strangers_push_no_phone_out(void)
{
	struct state_seen_counts counts;
	struct error err;

	fixture_open();
	see("A", "a@x.y", 1, "");
	for (int i = 0; i < 10; i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%d", i);
		see(name, "", 10 + i, "issuer-unknown");
	}
	see("B", "b@x.y", 5, "");
	prune(100, 5, 3, 0);
	CU_ASSERT_STRING_EQUAL(list_after(0, 100, 100),
		"A a@x.y 1-1  x1;s7  17-17 issuer-unknown x1;s8  18-18 issuer-unknown x1;"
		"s9  19-19 issuer-unknown x1;B b@x.y 5-5  x1;");
	CU_ASSERT_EQUAL(state_seen_count(fixture.store, &counts, &err), 0);
	CU_ASSERT_EQUAL(counts.all, 5);
	CU_ASSERT_EQUAL(counts.strangers, 3);
	prune(100, 4, 3, 0);
	CU_ASSERT_STRING_EQUAL(list_of("a@x.y"), "");
	CU_ASSERT_STRING_EQUAL(list_of("b@x.y"), "B b@x.y 5-5  x1;");
	fixture_close();
}

static void test_what_did_not_come_for_long_is_forgotten(void)
{
	const int64_t day = 86400;

	fixture_open();
	see("A", "a@x.y", 10 * day, "");
	see("B", "b@x.y", 20 * day, "");
	prune(10 * day + STATE_SEEN_DAYS * day, 100, 100, 0);
	CU_ASSERT_STRING_NOT_EQUAL(list_of("a@x.y"), "");
	prune(10 * day + STATE_SEEN_DAYS * day + 1, 100, 100, 0);
	CU_ASSERT_STRING_EQUAL(list_of("a@x.y"), "");
	CU_ASSERT_STRING_NOT_EQUAL(list_of("b@x.y"), "");
	fixture_close();
}

static void test_pruning_goes_in_bounded_steps(void)
{
	enum { MANY = 2500 };
	static struct state_seen seen[MANY];
	static struct certificate certificates[MANY];
	struct state_seen_counts counts;
	struct error err;

	fixture_open();
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "c%d", i);
		certificates[i] = certificate_of(name);
		seen[i] = (struct state_seen){
			.chain = span_of(certificates[i].der, certificates[i].len),
			.mailbox = "",
			.last_seen = i,
			.refusal = ""};
		memcpy(seen[i].leaf_sha256, certificates[i].sha256, 32);
	}
	CU_ASSERT_EQUAL(state_seen_put(fixture.store, seen, MANY, &err), 0);
	prune(MANY, 100, 10, 1);
	prune(MANY, 100, 10, 0);
	CU_ASSERT_EQUAL(state_seen_count(fixture.store, &counts, &err), 0);
	CU_ASSERT_EQUAL(counts.all, 10);
	fixture_close();
}

static void test_a_chain_is_whole_certificates_of_which_the_first_is_the_leaf(void)
{
	struct certificate leaf = certificate_of("leaf"), issuer = certificate_of("issuer");
	uint8_t chain[256];
	size_t len = leaf.len + issuer.len;
	struct span rest, certificate;

	memcpy(chain, leaf.der, leaf.len);
	memcpy(chain + leaf.len, issuer.der, issuer.len);
	CU_ASSERT_TRUE(state_seen_is_sound(span_of(chain, len), leaf.sha256));
	CU_ASSERT_TRUE(state_seen_is_sound(span_of(chain, leaf.len), leaf.sha256));
	CU_ASSERT_FALSE(state_seen_is_sound(span_of(chain, len), issuer.sha256));
	for (size_t cut = 0; cut < len; cut++)
		if (cut != leaf.len)
			CU_ASSERT_FALSE(state_seen_is_sound(span_of(chain, cut), leaf.sha256));
	rest = span_of(chain, len);
	CU_ASSERT_TRUE(state_seen_next(&rest, &certificate));
	CU_ASSERT_EQUAL(certificate.len, leaf.len);
	CU_ASSERT_TRUE(state_seen_next(&rest, &certificate));
	CU_ASSERT_EQUAL(certificate.len, issuer.len);
	CU_ASSERT_FALSE(state_seen_next(&rest, &certificate));
}

static void test_lengths_of_a_chain_are_not_believed(void)
{
	static const struct {
		uint8_t octets[8];
		size_t len;
	} wrong[] = {
		{{0x30}, 1},
		{{0x30, 0x00}, 2},
		{{0x30, 0x80, 0x00, 0x00}, 4},             /* indefinite */
		{{0x30, 0x81}, 2},                         /* the length is missing */
		{{0x30, 0x83, 0xff, 0xff, 0xff}, 5},       /* longer than there is */
		{{0x30, 0x84, 0x00, 0x00, 0x00, 0x01}, 6}, /* absurdly written */
		{{0x30, 0xff, 0x01, 0x01}, 4},
		{{0x31, 0x01, 0x00}, 3}, /* no SEQUENCE */
		{{0x00, 0x00, 0x00}, 3},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct span chain = span_of(wrong[i].octets, wrong[i].len), certificate;

		CU_ASSERT_FALSE(state_seen_next(&chain, &certificate));
	}
}

int main(void)
{
	static const struct check checks[] = {
		{"a revoked user is found after a restart",
			test_a_revoked_user_is_found_after_a_restart},
		{"valid-from goes forward only", test_valid_from_goes_forward_only},
		{"the last reason that was given is kept",
			test_the_last_reason_that_was_given_is_kept},
		{"who is allowed again is gone", test_who_is_allowed_again_is_gone},
		{"users are listed in pages", test_users_are_listed_in_pages},
		{"a name is data and never SQL", test_a_name_is_data_and_never_sql},
		{"the compiled users are those of the store",
			test_the_compiled_users_are_those_of_the_store},
		{"a change by another process is seen", test_a_change_by_another_process_is_seen},
		{"a lock of another is waited for, but not for long",
			test_a_lock_of_another_is_waited_for_but_not_for_long},
		{"the file is for its owner alone", test_the_file_is_for_its_owner_alone},
		{"a file of another program is left alone",
			test_a_file_of_another_program_is_left_alone},
		{"a later version is left alone", test_a_later_version_is_left_alone},
		{"what is no database is refused", test_what_is_no_database_is_refused},
		{"a damaged list of users is refused", test_a_damaged_list_of_users_is_refused},
		{"what is no file is refused", test_what_is_no_file_is_refused},
		{"code in the file does not run", test_code_in_the_file_does_not_run},
		{"a store that was removed takes nothing any more",
			test_a_store_that_was_removed_takes_nothing_any_more},
		{"a full disk is told, and nothing is half written",
			test_a_full_disk_is_told_and_nothing_is_half_written},
		{"what was acknowledged outlives kill -9",
			test_what_was_acknowledged_outlives_kill_9},
		{"a certificate is remembered with its last fate",
			test_a_certificate_is_remembered_with_its_last_fate},
		{"certificates are listed in pages", test_certificates_are_listed_in_pages},
		{"strangers push no phone out", test_strangers_push_no_phone_out},
		{"what did not come for long is forgotten",
			test_what_did_not_come_for_long_is_forgotten},
		{"pruning goes in bounded steps", test_pruning_goes_in_bounded_steps},
		{"a chain is whole certificates of which the first is the leaf",
			test_a_chain_is_whole_certificates_of_which_the_first_is_the_leaf},
		{"lengths of a chain are not believed", test_lengths_of_a_chain_are_not_believed},
	};

	return check_run("proxy/state_store", checks, sizeof(checks) / sizeof(checks[0]));
}
