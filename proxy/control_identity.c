#include "proxy/control_identity.h"

#include <errno.h>
#include <unistd.h>

#include "proxy/control_explain.h"

static void detach(struct control *control)
{
	if (control->identity_readable != NULL)
		event_free(control->identity_readable);
	if (control->identity_fd != -1)
		close(control->identity_fd);
	control->identity_readable = NULL;
	control->identity_fd = -1;
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		if (passed_fd != -1)
			close(passed_fd);
		if (message.type == MESSAGE_MAILBOX_ANSWER)
			control_explain_identified(control, &message.u.mailbox_answer);
	}
	/* The supervisor starts another one and sends us the channel to it. */
	if (result == 0 || (errno != EAGAIN && errno != EINTR))
		detach(control);
}

void control_identity_attach(struct control *control, int fd)
{
	detach(control);
	control->identity_fd = fd;
	control->identity_readable =
		event_new(control->base, fd, EV_READ | EV_PERSIST, on_answer, control);
	if (control->identity_readable == NULL || event_add(control->identity_readable, NULL) == -1)
		detach(control);
}

bool control_identity_ask(struct control *control, uint64_t id, const struct identity_names *names)
{
	struct message query = {
		.type = MESSAGE_MAILBOX_QUERY, .u.mailbox_query = {.id = id, .names = *names}};

	return control->identity_fd != -1 && message_send(control->identity_fd, &query, -1) == 0;
}
