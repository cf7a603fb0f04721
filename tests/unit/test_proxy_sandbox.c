#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/sandbox.h"
#include "proxy/state_seen.h"
#include "proxy/state_store.h"
#include "proxy/state_users.h"

/* What each role may do is asked of the kernel: a child enters its sandbox and tries. */

enum { ENDPOINT_PORT = 9, OTHER_PORT = 10, KILLED = -SIGSYS };

static struct fixture {
	char directory[64];
	int state, spool;
	int landlock; /* its version; -1: none */
	struct config config;
	struct config_endpoint endpoint;
	struct authority authority;
	struct trust_store trust;
	char state_path[96], crl_path[96], crl_url[112];
	struct state_store *store; /* in a child that opened it before it entered its sandbox */
} fixture;

static void fixture_open(void)
{
	int fd;

	strcpy(fixture.directory, "/tmp/easproxy-sandbox-XXXXXX");
	if (mkdtemp(fixture.directory) == NULL)
		abort();
	snprintf(fixture.state_path, sizeof(fixture.state_path), "%s/state", fixture.directory);
	mkdir(fixture.state_path, 0700);
	fixture.state = open(fixture.state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(fixture.state, "spool", 0700);
	fixture.spool = openat(fixture.state, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(fixture.crl_path, sizeof(fixture.crl_path), "%s/a.crl", fixture.directory);
	snprintf(fixture.crl_url, sizeof(fixture.crl_url), "file:%s", fixture.crl_path);
	fd = open(fixture.crl_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fixture.state == -1 || fixture.spool == -1 || fd == -1)
		abort();
	close(fd);
	fixture.landlock = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	fixture.endpoint.port = ENDPOINT_PORT;
	fixture.config.upstream.endpoint_count = 1;
	fixture.config.upstream.endpoints = &fixture.endpoint;
	fixture.config.user = fixture.config.group = "";
	fixture.authority.crl_count = 1;
	fixture.authority.crls[0].url = fixture.crl_url;
	fixture.authority.crls[0].delta_url = "";
	fixture.trust.count = 1;
	fixture.trust.authorities = &fixture.authority;
}

static void fixture_close(void)
{
	static const char *const files[] = {"state.db", "state.db-wal", "state.db-shm"};

	unlinkat(fixture.spool, "named", 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlinkat(fixture.state, files[i], 0);
	unlinkat(fixture.state, "spool", AT_REMOVEDIR);
	close(fixture.spool);
	close(fixture.state);
	unlink(fixture.crl_path);
	rmdir(fixture.state_path);
	if (rmdir(fixture.directory) == -1)
		fprintf(stderr, "%s was left behind\n", fixture.directory);
}

/* --- what is tried; each returns 0 or an errno --- */

static int result_of(int fd)
{
	return fd == -1 ? errno : 0;
}

static int open_passwd(void)
{
	return result_of(open("/etc/passwd", O_RDONLY));
}

static int list_root(void)
{
	return result_of(open("/", O_RDONLY | O_DIRECTORY));
}

static int write_tmp(void)
{
	return result_of(open("/tmp/easproxy-sandbox-escape", O_WRONLY | O_CREAT, 0600));
}

static int open_crl(void)
{
	return result_of(open(fixture.crl_path, O_RDONLY));
}

static int overwrite_crl(void)
{
	return result_of(open(fixture.crl_path, O_WRONLY | O_TRUNC));
}

static int spool_body(void)
{
	int fd = openat(fixture.spool, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char back[5] = {0};

	if (fd == -1)
		return errno;
	if (pwrite(fd, "body", 4, 0) != 4 || pread(fd, back, 4, 0) != 4)
		return errno;
	return strcmp(back, "body");
}

static int name_a_spool_file(void)
{
	return result_of(openat(fixture.spool, "named", O_RDWR | O_CREAT, 0600));
}

static int write_index(void)
{
	int fd = openat(fixture.state, "new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd == -1 || write(fd, "x", 1) != 1 || fsync(fd) == -1 ||
		renameat(fixture.state, "new", fixture.state, "index") == -1 ||
		unlinkat(fixture.state, "index", 0) == -1)
		return errno;
	return 0;
}

static int open_state_store(void)
{
	return result_of(openat(fixture.state, "state.db", O_RDWR));
}

static int lock_a_file(void)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	return result_of(fcntl(fixture.spool, F_SETLK, &lock));
}

static int make_memory_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd == -1 ? errno : result_of(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
}

/* More than the log holds, so that it is written back into the file and cut. */
static int write_seen(void)
{
	enum { COUNT = 200, SIZE = 12 * 1024 };
	static uint8_t chain[SIZE];
	struct error err;

	for (int round = 0; round < 5; round++) {
		static struct state_seen seen[COUNT];

		for (int i = 0; i < COUNT; i++) {
			seen[i] = (struct state_seen){.chain = span_of(chain, SIZE),
				.leaf_sha256 = {(uint8_t)i, (uint8_t)round},
				.mailbox = "bob@contoso.test",
				.refusal = ""};
		}
		if (state_seen_put(fixture.store, seen, COUNT, &err) == -1)
			return 1;
	}
	return state_seen_prune(fixture.store, 0, 10, 10, &err) == 0 ? 0 : 1;
}

/* All that the control process does with its store. */
static int use_state_store(void)
{
	struct state_user user = {.mailbox = "bob@contoso.test", .valid_from = 1};
	struct error err;
	int64_t version;
	size_t count;
	int fd;

	if (state_users_revoke(fixture.store, &user, &err) == -1 || write_seen() != 0)
		return 1;
	fd = state_users_index(fixture.store, &version, &count, &err);
	if (fd == -1 || count != 1)
		return 2;
	close(fd);
	if (state_users_allow(fixture.store, user.mailbox, &err) != 1)
		return 3;
	state_store_close(fixture.store);
	return 0;
}

static int execute(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return errno;
}

static int start_process(void)
{
	return result_of(fork());
}

static int trace_parent(void)
{
	return result_of((int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int signal_parent(void)
{
	return result_of(kill(getppid(), 0));
}

/* A descriptor's owner gets SIGIO, or any other signal that F_SETSIG names. */
static int signal_by_descriptor(void)
{
	return result_of(fcntl(0, F_SETOWN, getppid()));
}

static int become_root(void)
{
	return result_of(setuid(0));
}

static int make_executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0) == MAP_FAILED
		       ? errno
		       : 0;
}

static int make_unix_socket(void)
{
	return result_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int make_packet_socket(void)
{
	return result_of(socket(AF_PACKET, SOCK_RAW, 0));
}

static int make_inet_socket(void)
{
	return result_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int connect_port(uint16_t port, int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type, 0);

	if (fd == -1)
		return errno;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result_of(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int connect_to_endpoint(void)
{
	return connect_port(ENDPOINT_PORT, SOCK_STREAM);
}

static int connect_elsewhere(void)
{
	return connect_port(OTHER_PORT, SOCK_STREAM);
}

static int ask_name_server(void)
{
	return connect_port(53, SOCK_DGRAM);
}

static int bind_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result_of(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int listen_on_socket(void)
{
	return result_of(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
}

static int use_memory_and_time(void)
{
	struct timespec now;
	char *memory = malloc(8 << 20);

	if (memory == NULL)
		return errno;
	memset(memory, 1, 8 << 20);
	free(memory);
	return result_of(clock_gettime(CLOCK_MONOTONIC, &now));
}

/* --- the child --- */

enum { ENTER_FAILED = 200 };

/* 0, an errno, or minus the signal that ended the child. */
static int attempt(enum role role, int (*try_it)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		bool is_worker = role == ROLE_WORKER;
		struct child child = {.role = role,
			.config = &fixture.config,
			.trust = &fixture.trust,
			.supervisor = -1,
			.state_directory = role == ROLE_REVOCATION ? fixture.state : -1,
			.spool_directory = is_worker ? fixture.spool : -1,
			.control_socket = -1,
			.has_sandbox = true};
		struct error err;

		if (role == ROLE_CONTROL)
			fixture.store = state_store_open(fixture.state, fixture.state_path, &err);
		if ((role == ROLE_CONTROL && fixture.store == NULL) ||
			sandbox_enter(&child, &err) == -1) {
			fprintf(stderr, "%s\n", err.text);
			_exit(ENTER_FAILED);
		}
		_exit(try_it());
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1000;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

struct rule {
	const char *name;
	int (*try_it)(void);
	int worker, revocation, identity, control; /* what must come of it */
	int landlock; /* from which version on; where the kernel has less, nothing is expected */
};

static void expect_rules(const struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const int wanted[ROLE_COUNT] = {[ROLE_WORKER] = rules[i].worker,
			[ROLE_REVOCATION] = rules[i].revocation,
			[ROLE_IDENTITY] = rules[i].identity,
			[ROLE_CONTROL] = rules[i].control};

		if (rules[i].landlock > fixture.landlock)
			continue;
		for (int role = ROLE_WORKER; role < ROLE_COUNT; role++) {
			int got = attempt((enum role)role, rules[i].try_it);

			if (got != wanted[role])
				fprintf(stderr, "%s: %s: got %d, wanted %d\n",
					role_name((enum role)role), rules[i].name, got,
					wanted[role]);
			CU_ASSERT_EQUAL(got, wanted[role]);
		}
	}
}

static void test_files(void)
{
	static const struct rule rules[] = {
		{"/etc/passwd", open_passwd, EACCES, EACCES, EACCES, EACCES, 1},
		{"list /", list_root, EACCES, EACCES, EACCES, EACCES, 1},
		{"write in /tmp", write_tmp, EACCES, EACCES, EACCES, EACCES, 1},
		{"read a CRL", open_crl, EACCES, 0, EACCES, EACCES, 0},
		{"overwrite a CRL", overwrite_crl, EACCES, EACCES, EACCES, EACCES, 1},
		/* The spool lies in the directory of revocation. */
		{"spool a body", spool_body, 0, 0, EACCES, EACCES, 0},
		{"give a spooled body a name", name_a_spool_file, EACCES, 0, EACCES, EACCES, 1},
		{"write an index", write_index, EACCES, 0, EACCES, EACCES, 0},
		{"make a sealed memory file", make_memory_file, KILLED, 0, KILLED, 0, 0},
		/* Control has it open, and opens nothing any more; it lies in the directory of
		 * revocation. */
		{"open the state store", open_state_store, EACCES, 0, EACCES, EACCES, 0},
	};

	expect_rules(rules, sizeof(rules) / sizeof(rules[0]));
}

static void test_processes(void)
{
	static const struct rule rules[] = {
		{"execute", execute, KILLED, KILLED, KILLED, KILLED, 0},
		{"fork", start_process, KILLED, KILLED, KILLED, KILLED, 0},
		{"ptrace", trace_parent, KILLED, KILLED, KILLED, KILLED, 0},
		{"kill", signal_parent, KILLED, KILLED, KILLED, KILLED, 0},
		{"F_SETOWN", signal_by_descriptor, KILLED, KILLED, KILLED, KILLED, 0},
		{"setuid", become_root, KILLED, KILLED, KILLED, KILLED, 0},
		{"executable memory", make_executable_memory, KILLED, KILLED, KILLED, KILLED, 0},
		{"memory and time", use_memory_and_time, 0, 0, 0, 0, 0},
	};

	expect_rules(rules, sizeof(rules) / sizeof(rules[0]));
}

static void test_network(void)
{
	static const struct rule rules[] = {
		{"UNIX socket", make_unix_socket, EACCES, EACCES, EACCES, EACCES, 0},
		{"packet socket", make_packet_socket, EACCES, EACCES, EACCES, EACCES, 0},
		{"IPv4 socket", make_inet_socket, 0, 0, EACCES, EACCES, 0},
		{"connect to the endpoint", connect_to_endpoint, ECONNREFUSED, ECONNREFUSED, EACCES,
			EACCES, 0},
		{"connect elsewhere", connect_elsewhere, EACCES, ECONNREFUSED, EACCES, EACCES, 4},
		{"ask a name server", ask_name_server, 0, 0, EACCES, EACCES, 0},
		{"bind a port", bind_port, KILLED, EACCES, KILLED, KILLED, 4},
		{"listen", listen_on_socket, KILLED, KILLED, KILLED, KILLED, 0},
	};

	expect_rules(rules, sizeof(rules) / sizeof(rules[0]));
}

static void test_control_keeps_its_store(void)
{
	struct stat log;

	CU_ASSERT_EQUAL(attempt(ROLE_CONTROL, use_state_store), 0);
	CU_ASSERT_EQUAL(fstatat(fixture.state, "state.db-wal", &log, 0), 0);
	CU_ASSERT_EQUAL(log.st_size, 0); /* all is in the one file */
	/* Again, with what the first has left behind. */
	CU_ASSERT_EQUAL(attempt(ROLE_CONTROL, use_state_store), 0);
	CU_ASSERT_EQUAL(attempt(ROLE_WORKER, lock_a_file), KILLED);
	CU_ASSERT_EQUAL(attempt(ROLE_IDENTITY, lock_a_file), KILLED);
}

/* The identity process where the directory is a file, and the two kinds of its helper processes. */
static int attempt_part(enum child_part part, bool is_spawner,
	enum config_directory_backend backend, int (*try_it)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct child child = {.role = ROLE_IDENTITY,
			.part = part,
			.is_spawner = part != PART_MAIN,
			.config = &fixture.config,
			.trust = &fixture.trust,
			.supervisor = -1,
			.state_directory = -1,
			.spool_directory = -1,
			.control_socket = -1,
			.has_sandbox = true};
		struct error err;

		fixture.config.directory = (struct config_directory){.backend = backend,
			.file = fixture.crl_path,
			.url_count = 1,
			.urls = &fixture.endpoint};
		if (sandbox_enter(&child, &err) == -1)
			_exit(ENTER_FAILED);
		/* A helper is born in its spawner's sandbox. */
		if (child.is_spawner && !is_spawner) {
			child.is_spawner = false;
			if (sandbox_enter(&child, &err) == -1)
				_exit(ENTER_FAILED);
		}
		_exit(try_it());
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1000;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int start_process_and_wait(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1 ? errno : result_of(waitpid(pid, NULL, 0) == pid ? 0 : -1);
}

static void test_directory_has_processes_of_its_own(void)
{
	static const struct {
		const char *name;
		int (*try_it)(void);
		int watcher, spawner, helper;
		int landlock;
	} rules[] = {
		{"/etc/passwd", open_passwd, EACCES, EACCES, EACCES, 1},
		{"list /", list_root, EACCES, EACCES, EACCES, 1},
		{"write in /tmp", write_tmp, EACCES, EACCES, EACCES, 1},
		{"read the file", open_crl, 0, EACCES, EACCES, 1},
		{"overwrite the file", overwrite_crl, EACCES, EACCES, EACCES, 1},
		{"make a memory file", make_memory_file, KILLED, KILLED, KILLED, 0},
		{"execute", execute, KILLED, KILLED, KILLED, 0},
		{"fork", start_process_and_wait, KILLED, 0, KILLED, 0},
		{"ptrace", trace_parent, KILLED, KILLED, KILLED, 0},
		{"kill", signal_parent, KILLED, EPERM, KILLED, 6},
		{"setuid", become_root, KILLED, KILLED, KILLED, 0},
		{"executable memory", make_executable_memory, KILLED, KILLED, KILLED, 0},
		{"UNIX socket", make_unix_socket, EACCES, EACCES, EACCES, 0},
		{"connect to the server", connect_to_endpoint, EACCES, ECONNREFUSED, ECONNREFUSED,
			0},
		{"connect elsewhere", connect_elsewhere, EACCES, EACCES, EACCES, 4},
		{"ask a name server", ask_name_server, EACCES, 0, 0, 0},
		{"bind a port", bind_port, KILLED, EACCES, EACCES, 4},
		{"listen", listen_on_socket, KILLED, KILLED, KILLED, 0},
		{"memory and time", use_memory_and_time, 0, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		int watcher, spawner, helper;

		if (rules[i].landlock > fixture.landlock)
			continue;
		watcher = attempt_part(PART_MAIN, false, CONFIG_DIRECTORY_FILE, rules[i].try_it);
		spawner =
			attempt_part(PART_DIRECTORY, true, CONFIG_DIRECTORY_LDAP, rules[i].try_it);
		helper =
			attempt_part(PART_DIRECTORY, false, CONFIG_DIRECTORY_LDAP, rules[i].try_it);
		if (watcher != rules[i].watcher || spawner != rules[i].spawner ||
			helper != rules[i].helper)
			fprintf(stderr, "%s: got %d, %d and %d\n", rules[i].name, watcher, spawner,
				helper);
		CU_ASSERT_EQUAL(watcher, rules[i].watcher);
		CU_ASSERT_EQUAL(spawner, rules[i].spawner);
		CU_ASSERT_EQUAL(helper, rules[i].helper);
	}
}

/* key_uri "": the key is in memory. */
static int attempt_minter(const char *key_uri, bool is_spawner, int (*try_it)(void))
{
	static struct config_word path;

	path.text = fixture.crl_path;
	fixture.config.minted.key_uri = (char *)key_uri;
	fixture.config.minted.pkcs11_paths = (struct config_words){1, &path};
	return attempt_part(PART_MINTER, is_spawner, CONFIG_DIRECTORY_NONE, try_it);
}

static void test_a_minter_reads_its_token_and_nothing_else(void)
{
	static const struct {
		const char *name;
		int (*try_it)(void);
		int with_key, with_token, opening; /* opening: while it begins */
		int landlock;
	} rules[] = {
		{"/etc/passwd", open_passwd, EACCES, EACCES, EACCES, 1},
		{"list /", list_root, EACCES, EACCES, EACCES, 1},
		{"write in /tmp", write_tmp, EACCES, EACCES, EACCES, 0},
		{"read the token", open_crl, EACCES, 0, 0, 0},
		{"overwrite the token", overwrite_crl, EACCES, EACCES, EACCES, 0},
		{"lock the token", lock_a_file, KILLED, 0, 0, 0},
		{"make a memory file", make_memory_file, KILLED, KILLED, KILLED, 0},
		{"execute", execute, KILLED, KILLED, KILLED, 0},
		{"fork", start_process_and_wait, KILLED, KILLED, 0, 0},
		{"ptrace", trace_parent, KILLED, KILLED, KILLED, 0},
		{"kill", signal_parent, KILLED, KILLED, EPERM, 6},
		{"setuid", become_root, KILLED, KILLED, KILLED, 0},
		{"executable memory", make_executable_memory, KILLED, KILLED, KILLED, 0},
		{"UNIX socket", make_unix_socket, EACCES, EACCES, 0, 0},
		{"IPv4 socket", make_inet_socket, EACCES, EACCES, EACCES, 0},
		{"ask a name server", ask_name_server, EACCES, EACCES, EACCES, 0},
		{"memory and time", use_memory_and_time, 0, 0, 0, 0},
	};
	static const char token[] = "pkcs11:object=issuer";

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		int with_key, with_token, opening;

		if (rules[i].landlock > fixture.landlock)
			continue;
		with_key = attempt_minter("", false, rules[i].try_it);
		with_token = attempt_minter(token, false, rules[i].try_it);
		opening = attempt_minter(token, true, rules[i].try_it);
		if (with_key != rules[i].with_key || with_token != rules[i].with_token ||
			opening != rules[i].opening)
			fprintf(stderr, "%s: got %d, %d and %d\n", rules[i].name, with_key,
				with_token, opening);
		CU_ASSERT_EQUAL(with_key, rules[i].with_key);
		CU_ASSERT_EQUAL(with_token, rules[i].with_token);
		CU_ASSERT_EQUAL(opening, rules[i].opening);
	}
}

static void *end_at_once(void *arg)
{
	return arg;
}

static int start_thread(void)
{
	pthread_t thread;
	int result = pthread_create(&thread, NULL, end_at_once, NULL);

	return result != 0 ? result : pthread_join(thread, NULL);
}

/* Who has the assertions' key may reach the authorization server alone, who has the field's key nobody. */
static void test_who_signs_may_do_little_else(void)
{
	static const struct {
		const char *name;
		int (*try_it)(void);
		int bearer, signer;
		int landlock;
	} rules[] = {
		{"/etc/passwd", open_passwd, EACCES, EACCES, 1},
		{"list /", list_root, EACCES, EACCES, 1},
		{"write in /tmp", write_tmp, EACCES, EACCES, 1},
		{"make a memory file", make_memory_file, KILLED, KILLED, 0},
		{"execute", execute, KILLED, KILLED, 0},
		{"fork", start_process_and_wait, KILLED, KILLED, 0},
		{"start a thread", start_thread, 0, KILLED, 0},
		{"ptrace", trace_parent, KILLED, KILLED, 0},
		{"kill", signal_parent, KILLED, KILLED, 0},
		{"executable memory", make_executable_memory, KILLED, KILLED, 0},
		{"UNIX socket", make_unix_socket, EACCES, EACCES, 0},
		{"connect to the server", connect_to_endpoint, ECONNREFUSED, EACCES, 0},
		{"connect elsewhere", connect_elsewhere, EACCES, EACCES, 4},
		{"ask a name server", ask_name_server, 0, EACCES, 0},
		{"listen", listen_on_socket, KILLED, KILLED, 0},
		{"memory and time", use_memory_and_time, 0, 0, 0},
	};

	fixture.config.bearer.port = ENDPOINT_PORT;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		int bearer, signer;

		if (rules[i].landlock > fixture.landlock)
			continue;
		bearer = attempt_part(PART_BEARER, false, CONFIG_DIRECTORY_NONE, rules[i].try_it);
		signer = attempt_part(PART_SIGNER, false, CONFIG_DIRECTORY_NONE, rules[i].try_it);
		if (bearer != rules[i].bearer || signer != rules[i].signer)
			fprintf(stderr, "%s: got %d and %d\n", rules[i].name, bearer, signer);
		CU_ASSERT_EQUAL(bearer, rules[i].bearer);
		CU_ASSERT_EQUAL(signer, rules[i].signer);
	}
}

static int attempt_kerberos(enum child_part part, int (*try_it)(void))
{
	static struct config_word kdcs[] = {{(char *)"kdc1", 0}, {(char *)"[::1]:9", 0}};
	static struct config_kerberos section = {.kdcs = {2, kdcs}};

	fixture.config.kerberos_count = 1;
	fixture.config.kerberos = &section;
	return attempt_part(part, false, CONFIG_DIRECTORY_NONE, try_it);
}

static int connect_to_kdc(void)
{
	return connect_port(88, SOCK_STREAM);
}

static int lock_a_key_table(void)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	return result_of(fcntl(fixture.spool, F_OFD_SETLKW, &lock));
}

static void test_tickets_are_got_by_one_process_and_used_by_another(void)
{
	static const struct {
		const char *name;
		int (*try_it)(void);
		int ticket, tokens;
		int landlock;
	} rules[] = {
		{"/etc/passwd", open_passwd, EACCES, EACCES, 1},
		{"list /", list_root, EACCES, EACCES, 1},
		{"write in /tmp", write_tmp, EACCES, EACCES, 1},
		{"make a sealed memory file", make_memory_file, 0, KILLED, 0},
		{"lock a key table", lock_a_key_table, KILLED, KILLED, 0},
		{"execute", execute, KILLED, KILLED, 0},
		{"fork", start_process_and_wait, KILLED, KILLED, 0},
		{"ptrace", trace_parent, KILLED, KILLED, 0},
		{"kill", signal_parent, KILLED, KILLED, 0},
		{"setuid", become_root, KILLED, KILLED, 0},
		{"executable memory", make_executable_memory, KILLED, KILLED, 0},
		{"UNIX socket", make_unix_socket, EACCES, EACCES, 0},
		{"IPv4 socket", make_inet_socket, 0, EACCES, 0},
		{"connect to a KDC's usual port", connect_to_kdc, ECONNREFUSED, EACCES, 0},
		{"connect to the configured port", connect_to_endpoint, ECONNREFUSED, EACCES, 0},
		{"connect elsewhere", connect_elsewhere, EACCES, EACCES, 4},
		{"ask a name server", ask_name_server, 0, EACCES, 0},
		{"bind a port", bind_port, EACCES, KILLED, 4},
		{"memory and time", use_memory_and_time, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		int ticket, tokens;

		if (rules[i].landlock > fixture.landlock)
			continue;
		ticket = attempt_kerberos(PART_TICKET, rules[i].try_it);
		tokens = attempt_kerberos(PART_TOKENS, rules[i].try_it);
		if (ticket != rules[i].ticket || tokens != rules[i].tokens)
			fprintf(stderr, "%s: got %d and %d\n", rules[i].name, ticket, tokens);
		CU_ASSERT_EQUAL(ticket, rules[i].ticket);
		CU_ASSERT_EQUAL(tokens, rules[i].tokens);
	}
}

static void test_switched_off_sandbox_does_nothing(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct child child = {.role = ROLE_WORKER, .config = &fixture.config};
		struct error err;

		_exit(sandbox_enter(&child, &err) == 0 && open_passwd() == 0 ? 0 : 1);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static void test_root_is_given_up_for_good(void)
{
	pid_t pid;
	int status = 0;

	if (geteuid() != 0)
		return;
	pid = fork();
	if (pid == 0) {
		struct config config = fixture.config;
		struct child child = {.role = ROLE_IDENTITY, .config = &config};
		struct error err;
		uid_t real, effective, saved;

		config.user = "nobody";
		_exit(sandbox_drop_user(&child, &err) == 0 &&
					getresuid(&real, &effective, &saved) == 0 && real != 0 &&
					effective != 0 && saved != 0 && getegid() != 0 &&
					getgroups(0, NULL) == 0 && setuid(0) == -1 &&
					prctl(PR_GET_DUMPABLE) == 0
				? 0
				: 1);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static void test_unknown_user_is_an_error(void)
{
	struct config config = fixture.config;
	struct error err = {""};
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return;
	config.user = "nobody-of-that-name";
	CU_ASSERT_EQUAL(sandbox_find_user(&config, &uid, &gid, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "user: there is no user nobody-of-that-name");
	config.user = "nobody";
	config.group = "nogroup-of-that-name";
	CU_ASSERT_EQUAL(sandbox_find_user(&config, &uid, &gid, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "group: there is no group nogroup-of-that-name");
}

int main(void)
{
	static const struct check checks[] = {
		{"each role reaches its own files and no others", test_files},
		{"no role starts, traces, signals or becomes another process", test_processes},
		{"each role reaches its own ports and no others", test_network},
		{"control keeps the state store that it has open", test_control_keeps_its_store},
		{"the directory has processes of its own", test_directory_has_processes_of_its_own},
		{"tickets are got by one process and used by another",
			test_tickets_are_got_by_one_process_and_used_by_another},
		{"a minter reads its token and nothing else",
			test_a_minter_reads_its_token_and_nothing_else},
		{"who signs may do little else", test_who_signs_may_do_little_else},
		{"a sandbox that is switched off does nothing",
			test_switched_off_sandbox_does_nothing},
		{"root is given up for good", test_root_is_given_up_for_good},
		{"an unknown user is an error", test_unknown_user_is_an_error},
	};
	int status;

	fixture_open();
	status = check_run("proxy/sandbox", checks, sizeof(checks) / sizeof(checks[0]));
	fixture_close();
	return status;
}
