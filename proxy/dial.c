#include "proxy/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <unistd.h>

#include "proxy/upstream.h"

/* Connects from that address; the kernel chooses the port only when it knows where to, so that each port is used
 * towards every endpoint. 0 or -1. */
static int connect_from(
	int fd, const struct config_address *source, const struct sockaddr *to, socklen_t to_len)
{
	const int on = 1;

	if (source != NULL) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&source->addr, source->addr_len) != 0)
			return -1;
	}
	return connect(fd, to, to_len) == 0 || errno == EINPROGRESS ? 0 : -1;
}

/* A socket that connects to the address. -1 with errno set. */
static int dial_from(
	const struct config_address *source, const struct sockaddr *to, socklen_t to_len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;
	int reason;

	if (fd == -1)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect_from(fd, source, to, to_len) == 0)
		return fd;
	reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

/* From the source addresses of its kind in turn, where there are some. One that has no port left, or is not on this
 * machine now, is passed over. */
int dial_address(struct upstream *upstream, const struct sockaddr *to, socklen_t to_len)
{
	const struct config_upstream *config = upstream->config;
	bool has_kind = false;

	for (size_t i = 0; i < config->source_count; i++) {
		const struct config_address *source =
			&config->sources[upstream->next_source++ % config->source_count];
		int fd;

		if (source->addr.ss_family != to->sa_family)
			continue;
		has_kind = true;
		fd = dial_from(source, to, to_len);
		if (fd != -1 || (errno != EADDRNOTAVAIL && errno != EADDRINUSE))
			return fd;
	}
	return has_kind ? -1 : dial_from(NULL, to, to_len);
}
