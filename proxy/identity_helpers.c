#include "proxy/identity_helpers.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/child_files.h"
#include "proxy/keep_list.h"
#include "proxy/log.h"
#include "proxy/message.h"
#include "proxy/timeval.h"

enum { BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 3000 };

enum helper_state {
	HELPER_ABSENT, /* until its timer */
	HELPER_STARTING,
	HELPER_IDLE,
	HELPER_BUSY,
};

struct helper {
	struct helpers *helpers;
	uint32_t slot;
	enum helper_state state;
	int fd;
	struct event *readable, *timer;
	struct helper_job *job;
	uint32_t backoff_ms; /* before the next start; 0 once it has answered */
};

TAILQ_HEAD(job_list, helper_job);

struct helpers {
	struct event_base *base;
	const struct helper_work *work;
	int spawner;
	struct event *spawner_readable;
	const struct helper_calls *calls;
	void *context;
	struct job_list waiting;
	struct helper *list;
};

/* Blocks until the spawner has said that it is prepared (0), or has died (-1). */
static int wait_until_ready(int spawner)
{
	struct pollfd wanted = {.fd = spawner, .events = POLLIN};
	struct message message;
	int passed_fd;

	while (poll(&wanted, 1, -1) == -1)
		if (errno != EINTR)
			return -1;
	return message_receive(spawner, &message, &passed_fd) == 1 && message.type == MESSAGE_READY
		       ? 0
		       : -1;
}

/* The spawner has them now. */
static void close_files(const struct child *child, const struct helper_work *work)
{
	struct keep_list files;

	files.count = child_files(child->config, child->role, work->part, files.fds, KEEP_LIST_MAX);
	for (size_t i = 0; i < files.count; i++)
		close(files.fds[i]);
}

int helpers_fork(const struct child *child, const struct helper_work *work, struct error *err)
{
	pid_t self = getpid(), pid;
	int pair[2];

	assert(work->count > 0 && work->count <= HELPER_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return error_sys(err, "making a channel to the helpers %s", work->name);
	pid = fork();
	if (pid == 0)
		spawner_run(child, work, pair[1], self);
	if (pid == -1)
		error_sys(err, "forking the helpers %s", work->name);
	close(pair[1]);
	close_files(child, work);
	if (pid != -1) {
		if (wait_until_ready(pair[0]) == 0)
			return pair[0];
		error_set(err, "the helpers %s could not be prepared; the line before says why",
			work->name);
	}
	close(pair[0]);
	return -1;
}

static void helper_request(struct helper *helper)
{
	const struct message message = {.type = MESSAGE_HELPER, .u.helper = {.slot = helper->slot}};

	helper->state = HELPER_STARTING;
	/* Without its spawner the process cannot do its job; the supervisor starts another. */
	if (message_send(helper->helpers->spawner, &message, -1) == -1)
		event_base_loopbreak(helper->helpers->base);
}

static void on_helper_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	helper_request(arg);
}

/* It has gone, or is to go: the spawner ends what is left of it when it starts the next. */
static void helper_lose(struct helper *helper)
{
	const struct helpers *helpers = helper->helpers;
	bool was_there = helper->fd != -1;
	struct timeval wait;

	if (helper->readable != NULL)
		event_free(helper->readable);
	if (helper->fd != -1)
		close(helper->fd);
	helper->readable = NULL;
	helper->fd = -1;
	helper->job = NULL;
	helper->state = HELPER_ABSENT;
	wait = timeval_of_ms(helper->backoff_ms);
	helper->backoff_ms = helper->backoff_ms == 0 ? BACKOFF_MIN_MS : helper->backoff_ms * 2;
	if (helper->backoff_ms > BACKOFF_MAX_MS)
		helper->backoff_ms = BACKOFF_MAX_MS;
	event_add(helper->timer, &wait);
	if (was_there && helpers->calls->lost != NULL)
		helpers->calls->lost(helpers->context);
}

static void helper_give(struct helper *helper, struct helper_job *job)
{
	const struct helpers *helpers = helper->helpers;
	struct message question = {.type = helpers->work->questions[0]};
	int fd = -1;

	TAILQ_REMOVE(&helper->helpers->waiting, job, entry);
	helper->state = HELPER_BUSY;
	helper->job = job;
	job->helper = helper;
	helpers->calls->ask(helpers->context, job, &question, &fd);
	/* Where this fails the end of the channel is about to be read. */
	message_send(helper->fd, &question, fd);
	if (fd != -1)
		close(fd);
	message_wipe(&question);
}

static void helpers_dispatch(struct helpers *helpers)
{
	for (size_t i = 0; i < helpers->work->count && !TAILQ_EMPTY(&helpers->waiting); i++)
		if (helpers->list[i].state == HELPER_IDLE)
			helper_give(&helpers->list[i], TAILQ_FIRST(&helpers->waiting));
}

static void helper_answer(struct helper *helper, const struct message *answer, int fd)
{
	const struct helpers *helpers = helper->helpers;
	struct helper_job *job = helper->job;

	helper->backoff_ms = 0;
	helper->state = HELPER_IDLE;
	helper->job = NULL;
	job->helper = NULL;
	helpers->calls->answered(helpers->context, job, answer, fd);
}

static void helper_die(struct helper *helper)
{
	const struct helpers *helpers = helper->helpers;
	struct helper_job *job = helper->job;

	helper_lose(helper);
	if (job == NULL)
		return;
	job->helper = NULL;
	helpers->calls->answered(helpers->context, job, NULL, -1);
}

static void on_helper_readable(evutil_socket_t fd, short what, void *arg)
{
	struct helper *helper = arg;
	struct helpers *helpers = helper->helpers;
	struct message message;
	int passed_fd, result = message_receive(fd, &message, &passed_fd);

	(void)what;
	if (result == -1 && errno == EAGAIN)
		return;
	if (result == 1 && message.type == helpers->work->answer && helper->state == HELPER_BUSY) {
		helper_answer(helper, &message, passed_fd);
	} else {
		if (passed_fd != -1)
			close(passed_fd);
		helper_die(helper);
	}
	message_wipe(&message);
	helpers_dispatch(helpers);
}

static void helper_take_channel(struct helper *helper, int fd)
{
	if (helper->state != HELPER_STARTING || fd == -1) {
		if (fd != -1)
			close(fd);
		if (helper->state == HELPER_STARTING)
			helper_lose(helper);
		return;
	}
	helper->fd = fd;
	helper->readable = event_new(
		helper->helpers->base, fd, EV_READ | EV_PERSIST, on_helper_readable, helper);
	if (helper->readable == NULL || event_add(helper->readable, NULL) == -1)
		helper_lose(helper);
	else
		helper->state = HELPER_IDLE;
}

static void on_spawner_readable(evutil_socket_t fd, short what, void *arg)
{
	struct helpers *helpers = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		if (message.type == MESSAGE_HELPER && message.u.helper.slot < helpers->work->count)
			helper_take_channel(&helpers->list[message.u.helper.slot], passed_fd);
		else if (passed_fd != -1)
			close(passed_fd);
	}
	if (result == 0 || errno != EAGAIN) {
		log_message(CONFIG_LOG_ERROR, "helpers",
			"the process that starts the helpers %s has died", helpers->work->name);
		event_base_loopbreak(helpers->base);
		return;
	}
	helpers_dispatch(helpers);
}

struct helpers *helpers_new(struct event_base *base, const struct helper_work *work, int spawner,
	const struct helper_calls *calls, void *context)
{
	struct helpers *helpers = calloc(1, sizeof(*helpers));

	if (helpers == NULL)
		return NULL;
	helpers->base = base;
	helpers->work = work;
	helpers->spawner = spawner;
	helpers->calls = calls;
	helpers->context = context;
	TAILQ_INIT(&helpers->waiting);
	helpers->list = calloc(work->count, sizeof(*helpers->list));
	helpers->spawner_readable =
		event_new(base, spawner, EV_READ | EV_PERSIST, on_spawner_readable, helpers);
	if (helpers->list == NULL || helpers->spawner_readable == NULL ||
		event_add(helpers->spawner_readable, NULL) == -1)
		goto fail;
	for (size_t i = 0; i < work->count; i++) {
		struct helper *helper = &helpers->list[i];

		*helper = (struct helper){.helpers = helpers, .slot = (uint32_t)i, .fd = -1};
		helper->timer = evtimer_new(base, on_helper_timer, helper);
		if (helper->timer == NULL)
			goto fail;
		helper_request(helper);
	}
	return helpers;
fail:
	helpers_free(helpers);
	return NULL;
}

void helpers_free(struct helpers *helpers)
{
	if (helpers == NULL)
		return;
	for (size_t i = 0; helpers->list != NULL && i < helpers->work->count; i++) {
		struct helper *helper = &helpers->list[i];

		if (helper->timer == NULL)
			break; /* memory has run out here */
		event_free(helper->timer);
		if (helper->readable != NULL)
			event_free(helper->readable);
		if (helper->fd != -1)
			close(helper->fd);
	}
	if (helpers->spawner_readable != NULL)
		event_free(helpers->spawner_readable);
	close(helpers->spawner);
	free(helpers->list);
	free(helpers);
}

void helpers_ask(struct helpers *helpers, struct helper_job *job)
{
	job->helper = NULL;
	TAILQ_INSERT_TAIL(&helpers->waiting, job, entry);
	helpers_dispatch(helpers);
}

void helpers_cancel(struct helpers *helpers, struct helper_job *job)
{
	if (job->helper == NULL)
		TAILQ_REMOVE(&helpers->waiting, job, entry);
	else
		helper_lose(job->helper);
	job->helper = NULL;
}
