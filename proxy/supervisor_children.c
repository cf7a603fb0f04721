#include "proxy/supervisor_children.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/clock.h"
#include "proxy/child.h"
#include "proxy/child_files.h"
#include "proxy/keep_list.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"

enum { START_TIME_MS = 60 * 1000 };

/* Birth, in the child */

static void close_inherited(const struct child *child, int log_fd)
{
	struct keep_list list = {.count = 0};

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		keep_list_add(&list, fd);
	keep_list_add(&list, log_fd);
	keep_list_add(&list, child->supervisor);
	keep_list_add(&list, child->state_directory);
	keep_list_add(&list, child->spool_directory);
	keep_list_add(&list, child->control_socket);
	for (size_t i = 0; i < child->socket_count; i++)
		keep_list_add(&list, child->sockets[i].fd);
	list.count += child_files(child->config, child->role, child->part, list.fds + list.count,
		KEEP_LIST_MAX - list.count);
	keep_list_close_others(&list);
}

static void reset_signals(void)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int run(const struct child *child)
{
	switch (child->role) {
	case ROLE_WORKER: return worker_main(child);
	case ROLE_REVOCATION: return revocation_main(child);
	case ROLE_IDENTITY: return identity_main(child);
	case ROLE_CONTROL: return control_main(child);
	default: return 1;
	}
}

static _Noreturn void live(
	struct children *children, const struct child_record *record, int channel, pid_t supervisor)
{
	const struct generation *generation = record->generation;
	bool is_worker = record->role == ROLE_WORKER;
	struct child child = {
		.role = record->role,
		.slot = record->slot,
		.config = generation->config,
		.trust = generation->trust,
		.shared = children->shared,
		.folders = is_worker ? children->folders : NULL,
		.log_batch = record->log_batch,
		.supervisor = channel,
		.state_directory = record->role == ROLE_REVOCATION || record->role == ROLE_CONTROL
					   ? generation->state_directory
					   : -1,
		.spool_directory = is_worker ? generation->spool_directory : -1,
		.control_socket = record->role == ROLE_CONTROL ? generation->control_socket : -1,
		.has_store =
			generation->has_store || generation->lists[GENERATION_LIST_USERS] != -1,
		.has_sandbox = children->has_sandbox,
	};
	struct error err;
	char name[16];

	snprintf(name, sizeof(name), is_worker ? "eas-%s-%u" : "eas-%s", role_name(record->role),
		record->number);
	prctl(PR_SET_NAME, name);
	reset_signals();
	if (is_worker) {
		child.sockets = sockets_share(
			children->sockets, generation->config, record->number, &child.socket_count);
		if (child.sockets == NULL)
			_exit(1);
	}
	close_inherited(&child, children->log_fd);
	log_open(&generation->config->log, children->log_fd, role_name(record->role),
		is_worker ? (int)record->slot : -1,
		is_worker ? &children->shared->workers[record->slot].log_lines_dropped : NULL);
	if (sandbox_drop_user(&child, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		_exit(1);
	}
	/* After the change of user, which the kernel takes as a reason to forget it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(1);
	_exit(run(&child));
}

/* Records */

static struct child_record *find_free(struct children *children)
{
	for (size_t i = 0; i < CHILD_MAX; i++)
		if (children->records[i].state == CHILD_FREE)
			return &children->records[i];
	return NULL;
}

/* A slot that no record owns: draining workers of the last generation keep theirs. */
static int find_slot(const struct children *children)
{
	bool is_used[WORKER_MAX] = {false};

	for (size_t i = 0; i < CHILD_MAX; i++) {
		const struct child_record *record = &children->records[i];

		if (record->state != CHILD_FREE && record->role == ROLE_WORKER)
			is_used[record->slot] = true;
	}
	for (int slot = 0; slot < WORKER_MAX; slot++)
		if (!is_used[slot])
			return slot;
	return -1;
}

bool child_is_alive(const struct child_record *record)
{
	return record->state >= CHILD_STARTING;
}

struct child_record *children_find(struct children *children, pid_t pid)
{
	for (size_t i = 0; i < CHILD_MAX; i++)
		if (child_is_alive(&children->records[i]) && children->records[i].pid == pid)
			return &children->records[i];
	return NULL;
}

struct child_record *children_next(struct children *children, const struct generation *generation,
	const struct child_record *record)
{
	size_t i = record == NULL ? 0 : (size_t)(record - children->records) + 1;

	for (; i < CHILD_MAX; i++)
		if (children->records[i].state != CHILD_FREE &&
			(generation == NULL || children->records[i].generation == generation))
			return &children->records[i];
	return NULL;
}

size_t children_count(const struct children *children, const struct generation *generation,
	enum role role, enum child_state at_least)
{
	size_t count = 0;

	for (size_t i = 0; i < CHILD_MAX; i++) {
		const struct child_record *record = &children->records[i];

		if (record->state != CHILD_FREE && record->state >= at_least &&
			(generation == NULL || record->generation == generation) &&
			(role == ROLE_COUNT || record->role == role))
			count++;
	}
	return count;
}

/* Channels */

void child_kill(struct child_record *record, const char *why)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_ERROR, "child-killed");
	log_text(&line, "child", role_name(record->role));
	log_number(&line, "pid", record->pid);
	log_text(&line, "message", why);
	log_end(&line);
	kill(record->pid, SIGKILL);
}

void child_send(struct child_record *record, const struct message *message, int passed_fd)
{
	if (message_send(record->channel, message, passed_fd) == 0)
		return;
	/* EPIPE: it is dead already and will be reaped. */
	if (errno != EPIPE && errno != ECONNRESET)
		child_kill(record, "it does not read its messages");
}

bool child_has_pending(const struct child_record *record)
{
	for (size_t i = 0; i < GENERATION_LIST_COUNT; i++)
		if (record->has_pending_list[i])
			return true;
	for (size_t i = 0; i < AUTHORITY_MAX; i++)
		if (record->pending[i] != 0)
			return true;
	return false;
}

/* What one CRL location has of news for this child. Control gets the reports too. */
static int send_index(const struct child_record *record, const struct generation_index *index)
{
	const struct message message = {.type = MESSAGE_INDEX, .u.index = index->index};
	bool is_control = record->role == ROLE_CONTROL;

	if (index->fd != -1 && message_send(record->channel, &message, index->fd) == -1)
		return -1;
	for (size_t i = 0; is_control && i < 2; i++) {
		const struct message report = {.type = MESSAGE_CRL, .u.crl = index->reports[i]};

		if (index->has_report[i] && message_send(record->channel, &report, -1) == -1)
			return -1;
	}
	return 0;
}

static int send_indexes(struct child_record *record, size_t authority)
{
	for (size_t place = 0; place < CRL_LOCATION_MAX; place++) {
		uint8_t bit = (uint8_t)(1u << place);

		if ((record->pending[authority] & bit) == 0)
			continue;
		if (send_index(record, &record->generation->indexes[authority][place]) == -1)
			return -1;
		record->pending[authority] &= (uint8_t)~bit;
	}
	return 0;
}

bool child_wants_list(const struct child_record *record, enum generation_list list)
{
	return record->role == ROLE_WORKER ||
	       (record->role == ROLE_IDENTITY && list == GENERATION_LIST_USERS);
}

/* Nothing, where control has not said yet. */
static int send_list(struct child_record *record, enum generation_list list)
{
	const struct message message = {.type = generation_list_message(list)};
	int fd = record->generation->lists[list];

	if (record->has_pending_list[list] && fd != -1 &&
		message_send(record->channel, &message, fd) == -1)
		return -1;
	record->has_pending_list[list] = false;
	return 0;
}

static void child_stall(struct child_record *record)
{
	if (record->stalled_at_ms == 0)
		record->stalled_at_ms = clock_ms();
}

void child_flush(struct child_record *record)
{
	for (unsigned int i = 0; i < GENERATION_LIST_COUNT; i++)
		if (send_list(record, (enum generation_list)i) == -1) {
			child_stall(record);
			return;
		}
	for (size_t i = 0; i < AUTHORITY_MAX; i++)
		if (send_indexes(record, i) == -1) {
			child_stall(record);
			return;
		}
	record->stalled_at_ms = 0;
	if (record->role == ROLE_WORKER && !record->was_told_to_start) {
		const struct message start = {.type = MESSAGE_START};

		record->was_told_to_start = true;
		child_send(record, &start, -1);
	}
}

static void queue_all_news(struct child_record *record)
{
	for (size_t i = 0; i < GENERATION_LIST_COUNT; i++)
		record->has_pending_list[i] = child_wants_list(record, (enum generation_list)i);
	for (size_t i = 0; i < record->generation->trust->count; i++)
		record->pending[i] = UINT8_MAX;
}

static void send_peer(struct child_record *to, const struct child_record *peer, int fd)
{
	const struct message message = {
		.type = MESSAGE_PEER, .u.peer = {.role = peer->role, .slot = peer->slot}};

	child_send(to, &message, fd);
}

static void connect_peers(struct child_record *a, struct child_record *b)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1) {
		child_kill(a, "no channel to another process could be made");
		return;
	}
	send_peer(a, b, pair[0]);
	send_peer(b, a, pair[1]);
	close(pair[0]);
	close(pair[1]);
}

/* A worker asks each of the helpers, and control asks identity and revocation on an operator's behalf. */
static bool are_peers(enum role a, enum role b)
{
	if (a == ROLE_WORKER || b == ROLE_WORKER)
		return a != b;
	return a != b && (a == ROLE_CONTROL || b == ROLE_CONTROL);
}

/* Whichever of two started last finds the other here. */
static void connect_with_peers(struct children *children, struct child_record *record)
{
	for (size_t i = 0; i < CHILD_MAX; i++) {
		struct child_record *other = &children->records[i];

		if (child_is_alive(other) && other->generation == record->generation &&
			are_peers(record->role, other->role))
			connect_peers(record, other);
	}
}

/* Birth, in the supervisor */

static int give_birth(struct children *children, struct child_record *record, struct error *err)
{
	pid_t supervisor = getpid(), pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return error_sys(err, "making a channel for the %s", role_name(record->role));
	if (record->role == ROLE_WORKER)
		record->log_batch = log_batch_new(); /* without one it writes each line at once */
	pid = fork();
	if (pid == 0)
		live(children, record, pair[1], supervisor);
	close(pair[1]);
	if (record->log_batch != NULL)
		log_batch_keep(record->log_batch);
	if (pid == -1) {
		error_sys(err, "forking the %s", role_name(record->role));
		close(pair[0]);
		child_rescue_log(record);
		return -1;
	}
	record->pid = pid;
	record->channel = pair[0];
	record->state = CHILD_STARTING;
	record->was_ready = false;
	record->was_told_to_start = false;
	record->started_at_ms = clock_ms();
	record->deadline_ms = record->started_at_ms + START_TIME_MS;
	record->stalled_at_ms = 0;
	memset(record->pending, 0, sizeof(record->pending));
	memset(record->has_pending_list, 0, sizeof(record->has_pending_list));
	if (record->role == ROLE_WORKER)
		atomic_store(&children->shared->workers[record->slot].pid, (uint64_t)pid);
	connect_with_peers(children, record);
	if (record->role == ROLE_WORKER || record->role == ROLE_CONTROL) {
		queue_all_news(record);
		child_flush(record);
	}
	return 0;
}

struct child_record *children_start(struct children *children, struct generation *generation,
	enum role role, unsigned int number, struct error *err)
{
	struct child_record *record = find_free(children);
	int slot = role == ROLE_WORKER ? find_slot(children) : 0;

	if (record == NULL || slot == -1) {
		error_set(err, "too many processes are still finishing; try again later");
		return NULL;
	}
	*record = (struct child_record){.role = role,
		.number = number,
		.slot = (unsigned int)slot,
		.generation = generation,
		.channel = -1,
		.backoff_ms = BACKOFF_MIN_MS};
	return give_birth(children, record, err) == 0 ? record : NULL;
}

int children_restart(struct children *children, struct child_record *record, struct error *err)
{
	shared_add(&children->shared->restarts[record->role], 1);
	return give_birth(children, record, err);
}

/* End */

void child_describe_end(int status, char *text, size_t size)
{
	if (WIFEXITED(status))
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		snprintf(text, size,
			"killed by SIGSYS (seccomp): a system call that its sandbox does not "
			"allow");
	else
		snprintf(text, size, "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
}

void child_rescue_log(struct child_record *record)
{
	log_batch_take_over(record->log_batch);
	record->log_batch = NULL;
}

void child_log_end(const struct child_record *record, bool is_wanted, const char *how)
{
	struct log_line line;

	log_begin(&line, is_wanted ? CONFIG_LOG_INFO : CONFIG_LOG_ERROR,
		is_wanted ? "child-ended" : "child-died");
	log_text(&line, "child", role_name(record->role));
	if (record->role == ROLE_WORKER)
		log_number(&line, "child_slot", record->slot);
	log_number(&line, "pid", record->pid);
	log_number(&line, "generation", record->generation->number);
	log_text(&line, "message", how);
	log_end(&line);
}

/* A worker that was killed had no chance to count its connections down. */
static void take_back_gauges(struct shared_worker *worker)
{
	atomic_store(&worker->connections_open, 0);
	atomic_store(&worker->polls_open, 0);
	atomic_store(&worker->upstream_connections_open, 0);
	atomic_store(&worker->pid, 0);
}

void children_bury(struct children *children, struct child_record *record)
{
	if (record->channel != -1)
		close(record->channel);
	record->channel = -1;
	record->pid = 0;
	record->deadline_ms = 0;
	if (record->role == ROLE_WORKER)
		take_back_gauges(&children->shared->workers[record->slot]);
}

void child_release(struct child_record *record)
{
	record->state = CHILD_FREE;
	record->generation = NULL;
}
