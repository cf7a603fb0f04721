#include "proxy/template.h"

#include <string.h>

#include "config/span.h"

static struct span value_of(struct span name, const struct template_values *values)
{
	const char *at = strchr(values->mailbox, '@');

	if (span_equal_nocase(name, "mailbox"))
		return span_of_string(values->mailbox);
	if (span_equal_nocase(name, "local-part") && at != NULL)
		return span_of(values->mailbox, (size_t)(at - values->mailbox));
	if (span_equal_nocase(name, "domain") && at != NULL)
		return span_of_string(at + 1);
	if (span_equal_nocase(name, "device-id"))
		return span_of_string(values->device_id);
	if (span_equal_nocase(name, "device-type"))
		return span_of_string(values->device_type);
	if (span_equal_nocase(name, "request-id"))
		return span_of_string(values->request_id);
	if (span_equal_nocase(name, "client-address"))
		return span_of_string(values->client_address);
	return (struct span){0};
}

/* The next piece of the template, which *at is moved past: text, a value, or a "%". data NULL: it
 * makes no sense. */
static struct span next_piece(const char **at, const struct template_values *values)
{
	const char *start = *at;
	const char *end;

	if (start[0] != '%') {
		*at += strcspn(start, "%");
		return span_of(start, (size_t)(*at - start));
	}
	if (start[1] == '%') {
		*at += 2;
		return span_of(start, 1);
	}
	end = start[1] == '{' ? strchr(start, '}') : NULL;
	if (end == NULL)
		return (struct span){0};
	*at = end + 1;
	return value_of(span_of(start + 2, (size_t)(end - start - 2)), values);
}

int template_fill(
	const char *template, const struct template_values *values, char *text, size_t size)
{
	size_t len = 0;

	while (*template != '\0') {
		struct span piece = next_piece(&template, values);

		if (piece.data == NULL || piece.len >= size - len)
			return -1;
		memcpy(text + len, piece.data, piece.len);
		len += piece.len;
	}
	text[len] = '\0';
	return 0;
}
