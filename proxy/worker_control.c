#include "proxy/worker_control.h"

#include <errno.h>
#include <unistd.h>

#include "proxy/device_client.h"
#include "proxy/governor.h"
#include "proxy/upstream_test.h"
#include "proxy/worker_history.h"
#include "proxy/worker_trace.h"

enum { MESSAGES_MAX = 16 }; /* of control's in one turn */

static void detach(struct worker *worker)
{
	/* Who followed phones did so through that process. */
	worker_trace_forget(worker);
	upstream_test_end_all(worker);
	if (worker->control_event != NULL)
		event_free(worker->control_event);
	worker->control_event = NULL;
	if (worker->control_fd != -1)
		close(worker->control_fd);
	worker->control_fd = -1;
}

/* False for what no control process of ours sends. */
static bool take_message(struct worker *worker, const struct message *message)
{
	switch (message->type) {
	case MESSAGE_DEVICE_ANSWER: device_client_answer(worker, message); return true;
	case MESSAGE_DEVICE_NOTED:
		device_client_noted(worker, message->u.device_noted.number);
		return true;
	case MESSAGE_HISTORY_QUERY: worker_history_answer(worker, message); return true;
	case MESSAGE_TRACE: worker_trace_take(worker, message); return true;
	case MESSAGE_TRACE_MORE: worker_trace_more(worker); return true;
	case MESSAGE_UPSTREAM_TEST: upstream_test_take(worker, message); return true;
	case MESSAGE_POLL_SUPERSEDED: governor_take_superseded(worker, message); return true;
	default: return false;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static struct message message; /* large */
	struct worker *worker = arg;
	int passed_fd;

	(void)what;
	for (int i = 0; i < MESSAGES_MAX; i++) {
		int result = message_receive(fd, &message, &passed_fd);

		if (result == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (passed_fd != -1)
			close(passed_fd);
		if (result != 1 || !take_message(worker, &message)) {
			detach(worker);
			return;
		}
	}
}

void worker_control_attach(struct worker *worker, int fd)
{
	detach(worker);
	worker->control_fd = fd;
	worker->control_event =
		event_new(worker->base, fd, EV_READ | EV_PERSIST, on_readable, worker);
	if (worker->control_event == NULL || event_add(worker->control_event, NULL) != 0)
		detach(worker);
	device_client_attached(worker);
}

bool worker_control_tell(struct worker *worker, const struct message *message)
{
	if (worker->control_fd == -1)
		return false;
	if (message_send(worker->control_fd, message, -1) == 0)
		return true;
	if (errno != EAGAIN && errno != ENOBUFS)
		detach(worker);
	return false;
}
