#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/memory.h"
#include "config/value.h"

/* Unreserved characters of RFC 3986 and the slash: what a path before EAS's own needs. */
static bool is_plain_path(const char *path)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";

	return path[strspn(path, plain)] == '\0' && strstr(path, "//") == NULL &&
	       strstr(path, "/.") == NULL;
}

int value_check_url_path(const char *text, struct error *err)
{
	if (text[0] == '/' && is_plain_path(text))
		return 0;
	return error_set(err,
		"'%.100s' is not a path; it begins with / and has letters, digits, -, ., _, ~ and "
		"/",
		text);
}

/* Reads ":8443"; what ends the text. 0 where it is no port. */
static unsigned int read_port(const char *text)
{
	size_t len = strspn(text + 1, "0123456789");
	int port;

	if (text[0] != ':' || len == 0 || len > 5 || text[1 + len] != '\0')
		return 0;
	port = atoi(text + 1);
	return port <= 65535 ? (unsigned int)port : 0;
}

/* Splits HOST[:PORT]; *port stays as it is where none is given. host gets no brackets. */
static int split_authority(
	const char *text, size_t len, char host[256], unsigned int *port, struct error *err)
{
	char copy[300];
	char *after;
	struct in6_addr ipv6;

	if (len >= sizeof(copy))
		return error_set(err, "the host is too long");
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (copy[0] == '[') {
		after = strchr(copy, ']');
		if (after == NULL)
			return error_set(err, "an IPv6 address is written in brackets, [::1]");
		*after++ = '\0';
		snprintf(host, 256, "%.255s", copy + 1);
		if (inet_pton(AF_INET6, host, &ipv6) != 1)
			return error_set(err, "'%.100s' is not an IPv6 address", host);
	} else {
		after = copy + strcspn(copy, ":");
		snprintf(host, 256, "%.*s", (int)(after - copy < 255 ? after - copy : 255), copy);
		if (value_check_host_name(host, false, err) == -1)
			return -1;
	}
	if (*after != '\0' && (*port = read_port(after)) == 0)
		return error_set(err, "'%.100s' is not a port from 1 to 65535", after + 1);
	return 0;
}

int value_check_host(const char *text, struct error *err)
{
	char host[256];
	unsigned int port = 1;

	return split_authority(text, strlen(text), host, &port, err);
}

int value_read_authority(const char *text, char **host, uint16_t *port, struct error *err)
{
	unsigned int given = *port;
	char name[256];

	if (split_authority(text, strlen(text), name, &given, err) == -1)
		return -1;
	*host = memory_copy(name);
	*port = (uint16_t)given;
	return 0;
}

int value_check_base_url(const char *text, struct error *err)
{
	static const char scheme[] = "https://";
	struct error why;

	if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
		return error_set(err,
			"'%.100s' is not where phones find a host; write https://, a name, and a "
			"port if need be",
			text);
	if (value_check_host(text + sizeof(scheme) - 1, &why) == -1)
		return error_set(err, "'%.100s': %s", text, why.text);
	return 0;
}

static size_t scheme_len(const char *text, bool *is_tls)
{
	*is_tls = strncasecmp(text, "https://", 8) == 0;
	if (*is_tls)
		return 8;
	return strncasecmp(text, "http://", 7) == 0 ? 7 : 0;
}

int value_read_endpoint(const char *text, struct config_endpoint *endpoint, struct error *err)
{
	size_t scheme = scheme_len(text, &endpoint->is_tls);
	const char *authority = text + scheme;
	const char *path = authority + strcspn(authority, "/?#");
	unsigned int port = endpoint->is_tls ? 443 : 80;
	size_t path_len = strlen(path);
	struct error why;
	char host[256];

	if (scheme == 0)
		return error_set(err,
			"'%.100s' is not an endpoint; write http:// or https://, a host, and a "
			"port if need be",
			text);
	if (memchr(authority, '@', (size_t)(path - authority)) != NULL)
		return error_set(
			err, "'%.100s': user names and passwords do not belong here", text);
	if (strpbrk(path, "?#") != NULL)
		return error_set(err, "'%.100s': an endpoint has no query and no fragment", text);
	if (!is_plain_path(path))
		return error_set(err,
			"'%.100s': the path may have letters, digits, -, ., _, ~ and single "
			"slashes",
			text);
	if (split_authority(authority, (size_t)(path - authority), host, &port, &why) == -1)
		return error_set(err, "'%.100s': %s", text, why.text);
	if (path_len > 0 && path[path_len - 1] == '/')
		path_len--;
	endpoint->text = memory_copy(text);
	endpoint->host = memory_copy(host);
	endpoint->port = (uint16_t)port;
	endpoint->path_prefix = memory_copy_part(path, path_len);
	return 0;
}
