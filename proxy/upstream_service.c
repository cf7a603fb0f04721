#include "proxy/upstream_service.h"

#include <stdio.h>
#include <string.h>

void upstream_name(const struct config_upstream *upstream, const struct config_endpoint *endpoint,
	char *name, size_t size)
{
	const char *host = upstream->host;

	if (host[0] == '\0')
		snprintf(name, size, "%s", endpoint->host);
	else if (host[0] == '[')
		snprintf(name, size, "%.*s", (int)strcspn(host + 1, "]"), host + 1);
	else
		snprintf(name, size, "%.*s", (int)strcspn(host, ":"), host);
}

/* 0, or -1 where it does not fit. */
static int append(char *text, size_t *len, const char *piece, size_t piece_len)
{
	if (piece_len > LOGIN_SERVICE_MAX - *len)
		return -1;
	memcpy(text + *len, piece, piece_len);
	*len += piece_len;
	text[*len] = '\0';
	return 0;
}

int upstream_service(const struct config_upstream *upstream, const struct config_endpoint *endpoint,
	char service[LOGIN_SERVICE_MAX + 1])
{
	static const char host[] = "%{host}";
	const char *at = upstream->spn;
	char name[LOGIN_SERVICE_MAX + 2]; /* one that is too long does not fit afterwards either */
	size_t len = 0;

	service[0] = '\0';
	upstream_name(upstream, endpoint, name, sizeof(name));
	while (*at != '\0') {
		size_t plain = strcspn(at, "%");

		if (append(service, &len, at, plain) == -1)
			return -1;
		at += plain;
		if (strncmp(at, host, sizeof(host) - 1) == 0) {
			if (append(service, &len, name, strlen(name)) == -1)
				return -1;
			at += sizeof(host) - 1;
		} else if (at[0] == '%' && at[1] == '%') {
			if (append(service, &len, at, 1) == -1)
				return -1;
			at += 2;
		} else if (at[0] == '%') {
			return -1;
		}
	}
	return 0;
}
