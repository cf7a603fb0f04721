#include "proxy/identity_helpers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
	int spawner;
	struct event *spawner_readable;
	helper_answered *answered;
	void *context;
	struct job_list waiting;
	size_t count;
	struct helper *list;
};

int helpers_fork(const struct child *child, struct directory *directory, struct error *err)
{
	pid_t self = getpid(), pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return error_sys(err, "making a channel to the directory's helpers");
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		close(child->supervisor);
		spawner_run(child, directory, pair[1], self);
	}
	close(pair[1]);
	if (pid != -1)
		return pair[0];
	error_sys(err, "forking the directory's helpers");
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
}

static void helper_give(struct helper *helper, struct helper_job *job)
{
	struct message message = {
		.type = MESSAGE_DIRECTORY_QUESTION, .u.directory_question = job->question};

	TAILQ_REMOVE(&helper->helpers->waiting, job, entry);
	helper->state = HELPER_BUSY;
	helper->job = job;
	job->helper = helper;
	/* Where this fails the end of the channel is about to be read. */
	message_send(helper->fd, &message, -1);
}

static void helpers_dispatch(struct helpers *helpers)
{
	for (size_t i = 0; i < helpers->count && !TAILQ_EMPTY(&helpers->waiting); i++)
		if (helpers->list[i].state == HELPER_IDLE)
			helper_give(&helpers->list[i], TAILQ_FIRST(&helpers->waiting));
}

static void helper_answer(struct helper *helper, const struct directory_answer *answer)
{
	struct helper_job *job = helper->job;

	helper->job = NULL;
	job->helper = NULL;
	helper->helpers->answered(helper->helpers->context, job, answer);
}

static void on_helper_readable(evutil_socket_t fd, short what, void *arg)
{
	struct helper *helper = arg;
	struct helpers *helpers = helper->helpers;
	struct directory_answer lost;
	struct message message;
	int passed_fd, result = message_receive(fd, &message, &passed_fd);

	(void)what;
	if (result == -1 && errno == EAGAIN)
		return;
	if (result == 1 && message.type == MESSAGE_DIRECTORY_ANSWER &&
		helper->state == HELPER_BUSY) {
		helper->backoff_ms = 0;
		helper->state = HELPER_IDLE;
		helper_answer(helper, &message.u.directory_answer);
	} else {
		struct helper_job *job = helper->job;

		directory_answer_set(&lost, DIRECTORY_UNAVAILABLE, "",
			"the process that asked the directory has died");
		helper_lose(helper);
		if (job != NULL) {
			job->helper = NULL;
			helpers->answered(helpers->context, job, &lost);
		}
	}
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
		if (message.type == MESSAGE_HELPER && message.u.helper.slot < helpers->count)
			helper_take_channel(&helpers->list[message.u.helper.slot], passed_fd);
		else if (passed_fd != -1)
			close(passed_fd);
	}
	if (result == 0 || errno != EAGAIN) {
		log_message(CONFIG_LOG_ERROR, "directory",
			"the process that starts the directory's helpers has died");
		event_base_loopbreak(helpers->base);
		return;
	}
	helpers_dispatch(helpers);
}

struct helpers *helpers_new(struct event_base *base, const struct child *child, int spawner,
	helper_answered *answered, void *context)
{
	struct helpers *helpers = calloc(1, sizeof(*helpers));

	if (helpers == NULL)
		return NULL;
	helpers->base = base;
	helpers->spawner = spawner;
	helpers->answered = answered;
	helpers->context = context;
	TAILQ_INIT(&helpers->waiting);
	helpers->count = child->config->directory.helpers;
	helpers->list = calloc(helpers->count, sizeof(*helpers->list));
	helpers->spawner_readable =
		event_new(base, spawner, EV_READ | EV_PERSIST, on_spawner_readable, helpers);
	if (helpers->list == NULL || helpers->spawner_readable == NULL ||
		event_add(helpers->spawner_readable, NULL) == -1)
		return NULL;
	for (size_t i = 0; i < helpers->count; i++) {
		struct helper *helper = &helpers->list[i];

		*helper = (struct helper){.helpers = helpers, .slot = (uint32_t)i, .fd = -1};
		helper->timer = evtimer_new(base, on_helper_timer, helper);
		if (helper->timer == NULL)
			return NULL;
		helper_request(helper);
	}
	return helpers;
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
