#include "proxy/control_ocsp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/control_explain.h"

static void detach(struct control *control)
{
	if (control->ocsp_readable != NULL)
		event_free(control->ocsp_readable);
	if (control->ocsp_fd != -1)
		close(control->ocsp_fd);
	control->ocsp_readable = NULL;
	control->ocsp_fd = -1;
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
		if (message.type == MESSAGE_OCSP_ANSWER)
			control_explain_ocsp(control, message.u.ocsp_answer.leaf_sha256,
				&message.u.ocsp_answer.result);
	}
	/* The supervisor starts another one and sends us the channel to it. */
	if (result == 0 || (errno != EAGAIN && errno != EINTR)) {
		detach(control);
		control_explain_ocsp(control, NULL, NULL);
	}
}

void control_ocsp_attach(struct control *control, int fd)
{
	detach(control);
	control->ocsp_fd = fd;
	control->ocsp_readable =
		event_new(control->base, fd, EV_READ | EV_PERSIST, on_answer, control);
	if (control->ocsp_readable == NULL || event_add(control->ocsp_readable, NULL) == -1)
		detach(control);
}

bool control_ocsp_ask(struct control *control, const uint8_t leaf_sha256[32], uint32_t authority,
	const struct serial *serial, const char *url)
{
	struct message query = {.type = MESSAGE_OCSP_QUERY,
		.u.ocsp_query = {.authority = authority, .serial = *serial}};

	memcpy(query.u.ocsp_query.leaf_sha256, leaf_sha256, sizeof(query.u.ocsp_query.leaf_sha256));
	snprintf(query.u.ocsp_query.url, sizeof(query.u.ocsp_query.url), "%s", url);
	return control->ocsp_fd != -1 && message_send(control->ocsp_fd, &query, -1) == 0;
}
