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

#include "proxy/identity_helpers.h"
#include "proxy/log.h"
#include "proxy/message.h"
#include "proxy/sandbox.h"
#include "proxy/supervisor_children.h"

enum { HELPER_MAX = 64, REAP_MS = 1000, OVERRUN_MS = 2000 };

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

/* The helper ends itself by SIGALRM should nobody else do so: libldap cannot be interrupted. */
static void limit_time(uint32_t time_ms)
{
	const struct itimerval limit = {.it_value = {.tv_sec = time_ms / 1000,
						.tv_usec = (suseconds_t)(time_ms % 1000) * 1000}};

	setitimer(ITIMER_REAL, &limit, NULL);
}

static _Noreturn void helper_run(
	const struct child *child, struct directory *directory, int channel)
{
	const struct config_directory *config = &child->config->directory;
	uint32_t limit_ms = config->connect_time_ms + config->answer_time_ms + OVERRUN_MS;
	struct message message;
	int passed_fd, result;

	while (wait_for(channel, -1)) {
		result = message_receive(channel, &message, &passed_fd);
		if (result == -1 && errno == EAGAIN)
			continue;
		if (result != 1 || message.type != MESSAGE_DIRECTORY_QUESTION)
			break;
		limit_time(limit_ms);
		{
			const struct directory_question question = message.u.directory_question;

			message = (struct message){.type = MESSAGE_DIRECTORY_ANSWER};
			directory_ask(directory, &question, &message.u.directory_answer);
		}
		limit_time(0);
		if (message_send(channel, &message, -1) == -1)
			break;
	}
	_exit(0);
}

static _Noreturn void helper_live(
	const struct child *spawner, struct directory *directory, int channel, pid_t parent)
{
	struct child helper = *spawner;
	struct error err;

	helper.part = PART_DIRECTORY;
	prctl(PR_SET_NAME, "eas-directory");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (sandbox_enter(&helper, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		_exit(1);
	}
	helper_run(&helper, directory, channel);
}

struct spawner {
	const struct child *child;
	struct directory *directory;
	int channel;
	pid_t self, pids[HELPER_MAX]; /* 0: none, reaped, or ended by us */
};

static void reap(struct spawner *spawner)
{
	char how[160];
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < HELPER_MAX; i++) {
			if (spawner->pids[i] != pid)
				continue;
			spawner->pids[i] = 0;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
				continue;
			child_describe_end(status, how, sizeof(how));
			log_message(CONFIG_LOG_WARNING, "directory-helper-died", "%s", how);
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
		helper_live(spawner->child, spawner->directory, pair[1], spawner->self);
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

_Noreturn void spawner_run(
	const struct child *child, struct directory *directory, int channel, pid_t parent)
{
	struct child own = *child;
	struct spawner spawner = {
		.child = &own, .directory = directory, .channel = channel, .self = getpid()};
	struct error err;

	own.part = PART_SPAWNER;
	prctl(PR_SET_NAME, "eas-spawner");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (sandbox_enter(&own, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		_exit(1);
	}
	for (;;) {
		reap(&spawner);
		if (wait_for(channel, REAP_MS) && serve(&spawner) == -1)
			_exit(0);
	}
}
