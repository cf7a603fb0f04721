/* Queries and the fields beside them: first line the method, path and query, then "name: value"
 * lines, as in a request but freely malformed: this room trusts no other with its bytes. */
#include <stdlib.h>

#include "proxy/eas.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct span part_take(struct span *rest, char end)
{
	const uint8_t *found = rest->len == 0 ? NULL : memchr(rest->data, end, rest->len);
	struct span part = *rest;

	if (found != NULL)
		part.len = (size_t)(found - part.data);
	rest->data += part.len + (found != NULL);
	rest->len -= part.len + (found != NULL);
	return part;
}

static struct http_head head_make(struct span text)
{
	struct http_head head = {.method = HTTP_POST, .minor_version = 1, .framing = HTTP_LENGTH};
	struct span line = part_take(&text, '\n');

	if (line.len > 0 && line.data[0] == 'O')
		head.method = HTTP_OPTIONS;
	part_take(&line, ' ');
	head.path = part_take(&line, '?');
	head.query = line;
	head.content_length = text.len;
	while (text.len > 0 && head.field_count < HTTP_FIELD_MAX) {
		struct span name;

		line = part_take(&text, '\n');
		name = part_take(&line, ':');
		http_field_add(&head, name, line);
	}
	return head;
}

static void text_is_printable(const char *text, size_t size, bool may_be_8_bit)
{
	const char *end = memchr(text, '\0', size);

	require(end != NULL);
	for (; text < end; text++)
		require((*text >= ' ' && *text <= '~') || (may_be_8_bit && *text < 0));
}

static void refusal_can_be_said(enum refusal refusal, const struct eas_request *request)
{
	char page[2048];
	struct http_writer writer = {.data = page, .capacity = sizeof(page)};

	eas_refusal_write(&writer, refusal, request,
		&(struct eas_refusal_terms){.retry_after_s = 30, .close = true});
	require(!writer.has_failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct http_head head;
	struct eas_request request;
	enum eas_body_kind kind;
	enum refusal refusal;

	if (len > 8000)
		return 0;
	head = head_make(span_of(bytes, len));
	refusal = eas_request_read(&head, &request);
	text_is_printable(request.device_id, sizeof(request.device_id), false);
	text_is_printable(request.device_type, sizeof(request.device_type), false);
	text_is_printable(request.user, sizeof(request.user), true);
	require((unsigned int)request.command <= EAS_NO_COMMAND);
	if (refusal == REFUSAL_NONE && request.path == EAS_PATH_SYNC && head.method == HTTP_POST)
		require(request.command != EAS_NO_COMMAND && request.version >= 25 &&
			request.version <= 161 && request.device_id[0] != '\0');
	if (refusal == REFUSAL_NONE)
		refusal = eas_request_body_kind(&request, &head, &kind);
	if (refusal != REFUSAL_NONE)
		refusal_can_be_said(refusal, &request);
	return 0;
}
