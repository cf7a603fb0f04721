#include "proxy/peer_channel.h"

#include <errno.h>
#include <unistd.h>

void peer_channel_init(struct peer_channel *channel, void *owner,
	void (*take)(void *owner, const struct message *message), void (*gone)(void *owner))
{
	*channel = (struct peer_channel){.fd = -1, .take = take, .gone = gone, .owner = owner};
}

void peer_channel_detach(struct peer_channel *channel)
{
	if (channel->readable != NULL)
		event_free(channel->readable);
	if (channel->fd != -1)
		close(channel->fd);
	channel->readable = NULL;
	channel->fd = -1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer_channel *channel = arg;
	struct message message;
	int passed, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed)) == 1) {
		if (passed != -1)
			close(passed);
		channel->take(channel->owner, &message);
		if (message.type == MESSAGE_LOGIN_ANSWER)
			message_wipe(&message);
	}
	if (result == 0 || (errno != EAGAIN && errno != EINTR))
		channel->gone(channel->owner);
}

int peer_channel_attach(struct peer_channel *channel, struct event_base *base, int fd)
{
	peer_channel_detach(channel);
	channel->fd = fd;
	channel->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, channel);
	if (channel->readable != NULL && event_add(channel->readable, NULL) == 0)
		return 0;
	peer_channel_detach(channel);
	return -1;
}

bool peer_channel_send(const struct peer_channel *channel, const struct message *message)
{
	if (channel->fd == -1) {
		errno = ENOTCONN;
		return false;
	}
	return message_send(channel->fd, message, -1) == 0;
}
