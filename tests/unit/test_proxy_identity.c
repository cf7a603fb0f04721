#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "proxy/child.h"
#include "proxy/identity_client.h"
#include "proxy/session.h"

enum { WAIT_MS = 10 * 1000, QUESTIONS_MAX = 2000 };

static const char before[] = "alice@contoso.test\n";
static const char after[] = "adams@contoso.test upn:alice@contoso.test\n";

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	perror(what);
	exit(1);
}

/* An identity process over a directory file, seen from the supervisor's and from a worker's side. */
static struct {
	char folder[64], file[80];
	enum config_name_kind names[1];
	char domain[32];
	char *domains[1];
	struct config config;
	struct identity_names asked;
	pid_t pid;
	int supervisor, worker;
} it;

static void write_file(const char *text)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s.new", it.file);
	file = fopen(path, "w");
	must(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, path);
	must(rename(path, it.file) == 0, it.file);
}

static void make_pair(int pair[2])
{
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0,
		"socketpair");
}

static struct message receive(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct message message;
	int passed = -1;

	must(poll(&ready, 1, WAIT_MS) == 1, "waiting for a message");
	must(message_receive(fd, &message, &passed) == 1, "a message");
	return message;
}

static void set_up(void)
{
	static struct shared shared;
	struct child child = {.role = ROLE_IDENTITY, .config = &it.config, .shared = &shared};
	struct message peer = {.type = MESSAGE_PEER, .u.peer = {.role = ROLE_WORKER}};
	int supervisor[2], worker[2];

	memset(&it, 0, sizeof(it));
	snprintf(it.folder, sizeof(it.folder), "/tmp/easproxy-test-XXXXXX");
	must(mkdtemp(it.folder) != NULL, it.folder);
	snprintf(it.file, sizeof(it.file), "%s/mailboxes", it.folder);
	write_file(before);
	snprintf(it.domain, sizeof(it.domain), "contoso.test");
	it.domains[0] = it.domain;
	it.names[0] = CONFIG_NAME_PRINCIPAL;
	it.config.mailbox = (struct config_mailbox){
		.name_count = 1, .names = it.names, .domain_count = 1, .domains = it.domains};
	it.config.directory.backend = CONFIG_DIRECTORY_FILE;
	it.config.directory.file = it.file;
	it.config.assertion.header = "";
	identity_names_add(
		&it.asked, IDENTITY_PRINCIPAL_NAME, span_of_string("alice@contoso.test"));
	make_pair(supervisor);
	make_pair(worker);
	child.supervisor = supervisor[1];
	it.supervisor = supervisor[0];
	it.worker = worker[0];
	it.pid = fork();
	must(it.pid != -1, "fork");
	if (it.pid == 0) {
		close(supervisor[0]);
		close(worker[0]);
		close(worker[1]);
		_exit(identity_main(&child));
	}
	close(supervisor[1]);
	CU_ASSERT_EQUAL(receive(it.supervisor).type, MESSAGE_READY);
	must(message_send(it.supervisor, &peer, worker[1]) == 0, "connecting");
	close(worker[1]);
}

static void tear_down(void)
{
	int status = -1;

	close(it.worker);
	close(it.supervisor); /* its end */
	must(waitpid(it.pid, &status, 0) == it.pid, "waitpid");
	CU_ASSERT_EQUAL(status, 0);
	unlink(it.file);
	rmdir(it.folder);
}

/* As many as go without an answer being read: false once there is no room. */
static bool ask(uint64_t id)
{
	const struct message query = {
		.type = MESSAGE_MAILBOX_QUERY, .u.mailbox_query = {.id = id, .names = it.asked}};

	return message_send(it.worker, &query, -1) == 0;
}

static void test_no_answer_of_before_comes_after_the_change(void)
{
	size_t asked = 0, answered = 0, stale = 0;
	bool has_changed = false;

	set_up();
	/* Until both directions are full, for a while: whatever it does meanwhile makes room. */
	for (int i = 0; i < 50; i++) {
		while (asked < QUESTIONS_MAX && ask(asked))
			asked++;
		usleep(2000);
	}
	write_file(after);
	usleep(400 * 1000); /* until it has settled and been read */
	while (answered < asked || !has_changed) {
		struct message message = receive(it.worker);

		if (message.type == MESSAGE_DIRECTORY_CHANGED) {
			has_changed = true;
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(message.type, MESSAGE_MAILBOX_ANSWER);
		answered++;
		stale += has_changed &&
			 strcmp(message.u.mailbox_answer.mailbox, "alice@contoso.test") == 0;
	}
	CU_ASSERT_TRUE(answered > 10);
	CU_ASSERT_EQUAL(stale, 0);
	tear_down();
}

/* Whoever was told before has died, or has just been started. */
static void test_control_is_told_at_once_who_is_down(void)
{
	struct message peer = {.type = MESSAGE_PEER, .u.peer = {.role = ROLE_CONTROL}};
	unsigned int told = 0;
	int control[2];

	set_up();
	make_pair(control);
	must(message_send(it.supervisor, &peer, control[1]) == 0, "connecting");
	close(control[1]);
	for (unsigned int i = 0; i <= LOGIN_KIND_COUNT; i++) {
		struct message message = receive(control[0]);

		CU_ASSERT_EQUAL_FATAL(message.type, MESSAGE_LOGIN_STATE);
		CU_ASSERT_EQUAL(message.u.login_state.is_down, 0);
		told |= 1u << message.u.login_state.kind;
	}
	CU_ASSERT_EQUAL(told, (1u << (LOGIN_KIND_COUNT + 1)) - 1);
	close(control[0]);
	tear_down();
}

/* A worker's side: what it was told by an identity process that has gone since. */
static uint32_t changes_by_another(enum config_directory_backend backend)
{
	static struct worker worker;
	struct session_list sessions = TAILQ_HEAD_INITIALIZER(sessions);
	struct config config = {.directory = {.backend = backend}};
	int first[2], second[2];
	uint32_t was, is;

	memset(&worker, 0, sizeof(worker));
	worker.config = &config;
	worker.base = event_base_new();
	worker.identity = identity_client_new(&worker);
	must(worker_identity_init(&worker.reidentify, worker.base, &sessions, NULL) == 0, "walk");
	make_pair(first);
	make_pair(second);
	identity_client_attach(worker.identity, first[0]);
	was = identity_client_changes(worker.identity);
	close(first[1]);
	event_base_loop(worker.base, EVLOOP_NONBLOCK);
	identity_client_attach(worker.identity, second[0]);
	event_base_loop(worker.base, EVLOOP_NONBLOCK);
	is = identity_client_changes(worker.identity);
	close(second[1]);
	event_base_loop(worker.base, EVLOOP_NONBLOCK);
	event_base_free(worker.base);
	free(worker.identity);
	return is - was;
}

static void test_another_process_may_have_read_another_file(void)
{
	CU_ASSERT_NOT_EQUAL(changes_by_another(CONFIG_DIRECTORY_FILE), 0);
	/* These answers end by themselves; asking for all of them at once would be a burden. */
	CU_ASSERT_EQUAL(changes_by_another(CONFIG_DIRECTORY_LDAP), 0);
}

int main(void)
{
	static const struct check checks[] = {
		{"no answer of before comes after the change",
			test_no_answer_of_before_comes_after_the_change},
		{"control is told at once who is down", test_control_is_told_at_once_who_is_down},
		{"another process may have read another file",
			test_another_process_may_have_read_another_file},
	};

	return check_run("proxy/identity", checks, sizeof(checks) / sizeof(checks[0]));
}
