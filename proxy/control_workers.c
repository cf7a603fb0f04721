#include "proxy/control_workers.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/control_devices.h"
#include "proxy/control_history.h"
#include "proxy/control_seen.h"
#include "proxy/control_trace.h"
#include "proxy/control_upstream_test.h"

enum { MESSAGES_MAX = 32 }; /* of one worker in one turn */

struct control_worker {
	LIST_ENTRY(control_worker) link;
	struct control *control;
	uint32_t slot;
	int fd;
	struct event *readable;
};

static void worker_free(struct control_worker *worker)
{
	LIST_REMOVE(worker, link);
	control_trace_worker_gone(worker->control, worker);
	control_upstream_test_worker_gone(worker->control, worker);
	if (worker->readable != NULL)
		event_free(worker->readable);
	close(worker->fd);
	free(worker);
}

/* False for what no worker of ours sends. */
static bool take_message(struct control_worker *worker, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_SEEN: control_seen_take(worker->control, message); return true;
	case MESSAGE_DEVICE_QUERY:
	case MESSAGE_DEVICE_REPORT:
	case MESSAGE_DEVICE_ORDER:
	case MESSAGE_DEVICE_WIPED:
		control_devices_take(worker->control, worker->slot, message);
		return true;
	case MESSAGE_HISTORY:
		control_history_take(worker->control, worker->slot, message);
		return true;
	case MESSAGE_TRACED: control_trace_take(worker->control, worker, message); return true;
	case MESSAGE_UPSTREAM_STEP:
		control_upstream_test_take(worker->control, worker, message);
		return true;
	case MESSAGE_POLL_SUPERSEDED:
		control_workers_tell(worker->control, message->u.poll_superseded.slot, message);
		return true;
	default: return false;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static struct message message; /* large */
	struct control_worker *worker = arg;
	int passed_fd;

	(void)what;
	for (int i = 0; i < MESSAGES_MAX; i++) {
		int result = message_receive(fd, &message, &passed_fd);

		if (result == -1 && errno == EAGAIN)
			return;
		if (passed_fd != -1)
			close(passed_fd);
		if (result != 1 || !take_message(worker, &message)) {
			worker_free(worker);
			return;
		}
	}
}

void control_workers_attach(struct control *control, uint32_t slot, int fd)
{
	struct control_worker *worker = calloc(1, sizeof(*worker));

	if (worker == NULL) {
		close(fd);
		return;
	}
	worker->control = control;
	worker->slot = slot;
	worker->fd = fd;
	LIST_INSERT_HEAD(&control->workers, worker, link);
	worker->readable = event_new(control->base, fd, EV_READ | EV_PERSIST, on_readable, worker);
	if (worker->readable == NULL || event_add(worker->readable, NULL) == -1)
		worker_free(worker);
	else
		control_trace_worker_came(control, worker);
}

bool control_worker_tell(struct control_worker *worker, const struct message *message)
{
	return message_send(worker->fd, message, -1) == 0;
}

unsigned int control_workers_tell(
	struct control *control, uint32_t slot, const struct message *message)
{
	struct control_worker *worker;
	unsigned int told = 0;

	LIST_FOREACH(worker, &control->workers, link)
		if (worker->slot == slot)
			told += control_worker_tell(worker, message);
	return told;
}

unsigned int control_workers_tell_all(struct control *control, const struct message *message)
{
	struct control_worker *worker;
	unsigned int told = 0;

	LIST_FOREACH(worker, &control->workers, link)
		told += control_worker_tell(worker, message);
	return told;
}

const struct control_worker *control_workers_tell_one(
	struct control *control, const struct message *message)
{
	struct control_worker *worker;

	LIST_FOREACH(worker, &control->workers, link)
		if (control_worker_tell(worker, message))
			return worker;
	return NULL;
}

uint32_t control_worker_slot(const struct control_worker *worker)
{
	return worker->slot;
}

unsigned int control_workers_count(const struct control *control)
{
	const struct control_worker *worker;
	unsigned int count = 0;

	LIST_FOREACH(worker, &control->workers, link)
		count++;
	return count;
}
