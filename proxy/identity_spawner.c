/*
 * The spawner and the helpers of identity_helpers.h, seen from inside. The spawner lives in a sandbox
 * in which it may fork; a helper enters one of its own, in which it may not.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/child_files.h"
#include "proxy/identity_helpers.h"
#include "proxy/keep_list.h"
#include "proxy/log.h"
#include "proxy/message.h"
#include "proxy/sandbox.h"
#include "proxy/supervisor_children.h"

enum { REAP_MS = 1000, OVERRUN_MS = 2000 };

/* Blocks until there is something to read; false at the end of time_ms (-1: none). */
static bool wait_for(int fd, int time_ms)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};
	int result;

	do
		result = poll(&wanted, 1, time_ms);
	while (result == -1 && errno == EINTR);
	return result != 0;
}

/* The helper ends itself by SIGALRM should nobody else do so: libraries cannot be interrupted. */
static void limit_time(uint32_t time_ms)
{
	const struct itimerval limit = {.it_value = {.tv_sec = time_ms / 1000,
						.tv_usec = (suseconds_t)(time_ms % 1000) * 1000}};

	setitimer(ITIMER_REAL, &limit, NULL);
}

static bool is_question(const struct helper_work *work, uint32_t type)
{
	for (size_t i = 0; i < HELPER_QUESTIONS_MAX; i++)
		if (work->questions[i] == type)
			return true;
	return false;
}

/* One job: 0, or -1 when the channel has ended or says what it must not, or the helper is spent. */
static int helper_turn(const struct helper_work *work, int channel)
{
	struct message question, answer = {.type = work->answer};
	int question_fd, answer_fd = -1, result;

	result = message_receive(channel, &question, &question_fd);
	if (result == -1 && errno == EAGAIN)
		return 0;
	if (result != 1 || !is_question(work, question.type))
		return -1;
	limit_time(work->limit_ms + OVERRUN_MS);
	work->serve(work->context, &question, question_fd, &answer, &answer_fd);
	limit_time(0);
	message_wipe(&question);
	result = message_send(channel, &answer, answer_fd);
	message_wipe(&answer);
	if (question_fd != -1)
		close(question_fd);
	if (answer_fd != -1)
		close(answer_fd);
	return result == 0 && work->is_spent != NULL && work->is_spent(work->context) ? -1 : result;
}

static _Noreturn void helper_live(
	const struct child *spawner, const struct helper_work *work, int channel, pid_t parent)
{
	struct child helper = *spawner;
	struct error err;

	helper.is_spawner = false;
	prctl(PR_SET_NAME, work->name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if ((work->open != NULL && work->open(work->context, &err) == -1) ||
		sandbox_enter(&helper, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s: %s", work->name, err.text);
		_exit(1);
	}
	while (wait_for(channel, -1))
		if (helper_turn(work, channel) == -1)
			break;
	_exit(0);
}

struct spawner {
	const struct child *child;
	const struct helper_work *work;
	int channel;
	pid_t self, pids[HELPER_MAX]; /* 0: none, reaped, or ended by us */
};

static void log_death(const struct helper_work *work, int status)
{
	struct log_line line;
	char how[160];

	child_describe_end(status, how, sizeof(how));
	log_begin(&line, CONFIG_LOG_WARNING, "helper-died");
	log_text(&line, "helper", work->name);
	log_text(&line, "message", how);
	log_end(&line);
}

static void reap(struct spawner *spawner)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < HELPER_MAX; i++) {
			if (spawner->pids[i] != pid)
				continue;
			spawner->pids[i] = 0;
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				log_death(spawner->work, status);
		}
}

/* The channel to the new helper, or -1. */
static int start_helper(struct spawner *spawner, uint32_t slot)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		close(spawner->channel);
		helper_live(spawner->child, spawner->work, pair[1], spawner->self);
	}
	close(pair[1]);
	if (pid == -1) {
		close(pair[0]);
		return -1;
	}
	spawner->pids[slot] = pid;
	return pair[0];
}

static int serve(struct spawner *spawner)
{
	struct message message;
	uint32_t slot;
	int fd, passed_fd, result = message_receive(spawner->channel, &message, &passed_fd);

	if (result == -1 && errno == EAGAIN)
		return 0;
	if (passed_fd != -1)
		close(passed_fd);
	if (result != 1 || message.type != MESSAGE_HELPER || message.u.helper.slot >= HELPER_MAX)
		return -1;
	slot = message.u.helper.slot;
	if (spawner->pids[slot] != 0)
		kill(spawner->pids[slot], SIGKILL);
	spawner->pids[slot] = 0;
	fd = start_helper(spawner, slot);
	result = message_send(spawner->channel, &message, fd);
	if (fd != -1)
		close(fd);
	return result;
}

/* Whatever the identity process has open besides is none of our business: other kinds' keys least. */
static void close_others(const struct child *child, const struct helper_work *work, int channel)
{
	struct keep_list list = {.count = 0};

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		keep_list_add(&list, fd);
	keep_list_add(&list, log_fd());
	keep_list_add(&list, channel);
	list.count += child_files(child->config, child->role, work->part, list.fds + list.count,
		KEEP_LIST_MAX - list.count);
	keep_list_close_others(&list);
}

_Noreturn void spawner_run(
	const struct child *child, const struct helper_work *work, int channel, pid_t parent)
{
	const struct message ready = {.type = MESSAGE_READY};
	struct child own = *child;
	struct spawner spawner = {
		.child = &own, .work = work, .channel = channel, .self = getpid()};
	struct error err;

	own.part = work->part;
	own.is_spawner = true;
	own.supervisor = -1;
	prctl(PR_SET_NAME, "eas-spawner");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	close_others(child, work, channel);
	if ((work->prepare != NULL && work->prepare(work->context, &err) == -1) ||
		sandbox_enter(&own, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s: %s", work->name, err.text);
		_exit(1);
	}
	if (message_send(channel, &ready, -1) == -1)
		_exit(1);
	for (;;) {
		reap(&spawner);
		if (wait_for(channel, REAP_MS) && serve(&spawner) == -1)
			_exit(0);
	}
}
