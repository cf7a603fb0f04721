#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/memory.h"
#include "config/value.h"

enum { HOST_MAX = 255, PORT_TEXT_MAX = 5 };

struct host_port {
	char host[HOST_MAX + 1];
	char port[PORT_TEXT_MAX + 1];
};

static bool is_port(const char *text)
{
	size_t len = strspn(text, "0123456789");
	int number;

	if (len == 0 || len > PORT_TEXT_MAX || text[len] != '\0')
		return false;
	number = atoi(text);
	return number >= 1 && number <= 65535;
}

static int split(const char *text, struct host_port *parts, struct error *err)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t len;

	if (colon == NULL || !is_port(colon + 1))
		return error_set(err,
			"'%.100s' is not an address; write HOST:PORT, such as 0.0.0.0:443, "
			"[::]:443 or *:443",
			text);
	len = (size_t)(colon - text);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len) != NULL) {
		return error_set(
			err, "'%.100s': an IPv6 address is written in brackets, [::1]:443", text);
	}
	if (len == 0 || len > HOST_MAX)
		return error_set(
			err, "'%.100s' has no host; write *:%s for all addresses", text, colon + 1);
	snprintf(parts->host, sizeof(parts->host), "%.*s", (int)len, host);
	snprintf(parts->port, sizeof(parts->port), "%s", colon + 1);
	return 0;
}

/* Where IPv6 is switched off, names and "*" mean IPv4 alone. */
static bool can_bind_ipv6(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool can;

	if (fd == -1)
		return false;
	can = bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
	close(fd);
	return can;
}

static void append(
	const char *text, const struct addrinfo *found, struct config_address **list, size_t *count)
{
	struct config_address *address;

	*list = memory_grow(*list, *count, sizeof(**list));
	address = &(*list)[(*count)++];
	*address =
		(struct config_address){.text = memory_copy(text), .addr_len = found->ai_addrlen};
	memcpy(&address->addr, found->ai_addr, found->ai_addrlen);
}

int value_read_address(
	const char *text, struct config_address **list, size_t *count, struct error *err)
{
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	struct host_port parts;
	size_t before = *count;
	bool is_literal;
	int status;

	if (split(text, &parts, err) == -1)
		return -1;
	is_literal = text[0] == '[' || parts.host[strspn(parts.host, "0123456789.")] == '\0';
	if (is_literal)
		hints.ai_flags |= AI_NUMERICHOST;
	status = getaddrinfo(
		strcmp(parts.host, "*") == 0 ? NULL : parts.host, parts.port, &hints, &found);
	if (status != 0)
		return error_set(
			err, "'%.100s' cannot be resolved: %s", text, gai_strerror(status));
	for (struct addrinfo *a = found; a != NULL; a = a->ai_next)
		if (a->ai_family == AF_INET ||
			(a->ai_family == AF_INET6 && (is_literal || can_bind_ipv6())))
			append(text, a, list, count);
	freeaddrinfo(found);
	if (*count == before)
		return error_set(err, "'%.100s' has no address that can be listened on", text);
	return 0;
}

static bool is_unicast(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET6) {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)address)->sin6_addr;

		return !IN6_IS_ADDR_UNSPECIFIED(in6) && !IN6_IS_ADDR_MULTICAST(in6);
	}
	if (address->ss_family == AF_INET) {
		uint32_t in = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);

		return in != INADDR_ANY && in != INADDR_BROADCAST && !IN_MULTICAST(in);
	}
	return false;
}

static int refuse_mapped(const char *text, const struct in6_addr *in6, struct error *err)
{
	char plain[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &in6->s6_addr[12], plain, sizeof(plain));
	return error_set(
		err, "'%.100s' is an IPv4 address written as an IPv6 one; write %s", text, plain);
}

int value_read_local_address(const char *text, struct config_address *address, struct error *err)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&address->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->addr;

	*address = (struct config_address){.addr_len = 0};
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		address->addr_len = sizeof(*in);
	} else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		address->addr_len = sizeof(*in6);
	} else {
		return error_set(err,
			"'%.100s' is not an address; write it without a port or brackets, such as "
			"192.0.2.7 or 2001:db8::7",
			text);
	}
	if (address->addr.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return refuse_mapped(text, &in6->sin6_addr, err);
	if (!is_unicast(&address->addr))
		return error_set(
			err, "'%.100s' is no single address that a connection can come from", text);
	address->text = memory_copy(text);
	return 0;
}
