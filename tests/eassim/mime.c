#include "mime.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The length of the line at the start of text, and of its end (CRLF or LF) beside it. */
static size_t line_len(struct span text, size_t *end)
{
	const uint8_t *feed = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;
	size_t len = feed != NULL ? (size_t)(feed - text.data) : text.len;

	*end = feed != NULL;
	if (feed != NULL && len > 0 && text.data[len - 1] == '\r') {
		len--;
		(*end)++;
	}
	return len;
}

static void span_skip(struct span *text, size_t len)
{
	*text = span_of(text->data + len, text->len - len);
}

bool mime_field(struct span message, const char *name, char *value, size_t size)
{
	size_t name_len = strlen(name), end, at = 0;
	bool is_found = false, is_within = false;

	while (message.len > 0) {
		size_t len = line_len(message, &end);
		size_t skip = 0;

		if (len == 0)
			break;
		if (message.data[0] != ' ' && message.data[0] != '\t') {
			is_within = !is_found && len > name_len && message.data[name_len] == ':' &&
				    strncasecmp((const char *)message.data, name, name_len) == 0;
			skip = is_within ? name_len + 1 : 0;
			is_found = is_found || is_within;
		}
		while (is_within && skip < len && message.data[skip] == ' ')
			skip++;
		if (is_within && at < size)
			at += (size_t)snprintf(value + at, size - at, "%s%.*s", at > 0 ? " " : "",
				(int)(len - skip), (const char *)message.data + skip);
		span_skip(&message, len + end);
	}
	return is_found;
}

struct span mime_body(struct span message)
{
	size_t end, len;

	do {
		len = line_len(message, &end);
		span_skip(&message, len + end);
	} while (len > 0 && message.len > 0);
	return message;
}

bool mime_next_address(const char **list, char *address, size_t size)
{
	const char *start = *list + strspn(*list, " \t,");
	size_t len = strcspn(start, ",");
	const char *open;

	if (*start == '\0')
		return false;
	*list = start + len;
	open = memchr(start, '<', len);
	if (open != NULL) {
		start = open + 1;
		len = strcspn(start, ">,");
	}
	while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t'))
		len--;
	snprintf(address, size, "%.*s", (int)len, start);
	return true;
}
