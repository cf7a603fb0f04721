/* Requests: what is accepted, written anew, is the same request; and it is the same in pieces. */
#include <stdlib.h>

#include "proxy/http.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void end_is_the_same_in_pieces(const char *data, size_t len)
{
	size_t whole_scanned = 0, whole_len = 0, scanned = 0, head_len = 0;
	enum http_result whole = http_head_find_end(data, len, &whole_scanned, &whole_len);
	enum http_result result = HTTP_MORE;

	for (size_t i = 1; i <= len && result == HTTP_MORE; i++)
		result = http_head_find_end(data, i, &scanned, &head_len);
	require(result == whole);
	require(whole != HTTP_DONE || (head_len == whole_len && head_len <= len));
}

static bool is_within(struct span span, const char *data, size_t len)
{
	const char *start = (const char *)span.data;

	return span.data == NULL ||
	       (start >= data && start <= data + len && span.len <= (size_t)(data + len - start));
}

static void accepted_bytes_are_plain(const char *data, size_t len)
{
	require(len >= 4 && memcmp(data + len - 4, "\r\n\r\n", 4) == 0);
	for (size_t i = 0; i < len; i++) {
		require(data[i] != '\0');
		require((data[i] == '\n') == (i > 0 && data[i - 1] == '\r'));
	}
}

static void written_anew_is_the_same(const struct http_head *head)
{
	static char page[1 << 16];
	static struct http_head again;
	struct http_writer writer = {.data = page, .capacity = sizeof(page)};

	http_write_request_line(&writer, head->method, span_of(NULL, 0), head->path, head->query);
	for (size_t i = 0; i < head->field_count; i++)
		http_write_field(&writer, head->fields[i].name, head->fields[i].value);
	http_write_end(&writer);
	require(!writer.has_failed);
	/* Written as HTTP/1.1, whatever it was before. */
	require(http_request_parse(&again, page, writer.len) == HTTP_DONE);
	require(again.method == head->method && again.framing == head->framing &&
		again.content_length == head->content_length);
	require(span_equal(again.path, head->path) && span_equal(again.query, head->query) &&
		span_equal(again.host, head->host));
	require((again.query.data == NULL) == (head->query.data == NULL));
	require(again.field_count == head->field_count);
	for (size_t i = 0; i < head->field_count; i++)
		require(span_equal(again.fields[i].name, head->fields[i].name) &&
			span_equal(again.fields[i].value, head->fields[i].value));
	if (head->minor_version == 1)
		require(again.keeps_alive == head->keeps_alive &&
			again.expects_continue == head->expects_continue);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct http_head head;
	const char *data = (const char *)bytes;
	size_t scanned = 0, head_len = len;

	if (len > 16000)
		return 0;
	end_is_the_same_in_pieces(data, len);
	if (http_head_find_end(data, len, &scanned, &head_len) != HTTP_DONE)
		head_len = len;
	if (http_request_parse(&head, data, head_len) != HTTP_DONE) {
		require(head.refusal != REFUSAL_NONE);
		return 0;
	}
	require(head.refusal == REFUSAL_NONE);
	require(scanned == head_len);
	accepted_bytes_are_plain(data, head_len);
	require(is_within(head.query, data, head_len) && is_within(head.host, data, head_len));
	require(head.path.data[0] == '/' || head.path.data[0] == '*');
	for (size_t i = 0; i < head.field_count; i++) {
		require(is_within(head.fields[i].name, data, head_len));
		require(is_within(head.fields[i].value, data, head_len));
		http_field_is_hop_by_hop(&head, &head.fields[i]);
	}
	written_anew_is_the_same(&head);
	return 0;
}
