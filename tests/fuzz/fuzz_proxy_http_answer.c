/* Answers: what is accepted, written anew, is the same answer. */
#include <stdlib.h>

#include "proxy/http.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void written_anew_is_the_same(const struct http_head *head)
{
	static char page[1 << 16];
	static struct http_head again;
	struct http_writer writer = {.data = page, .capacity = sizeof(page)};

	http_write_status_line(&writer, head->status, head->reason);
	for (size_t i = 0; i < head->field_count; i++)
		http_write_field(&writer, head->fields[i].name, head->fields[i].value);
	http_write_end(&writer);
	require(!writer.has_failed);
	require(http_answer_parse(&again, page, writer.len, HTTP_POST) == HTTP_DONE);
	require(again.status == head->status && again.framing == head->framing &&
		again.content_length == head->content_length);
	require(span_equal(again.reason, head->reason));
	require(again.field_count == head->field_count);
	for (size_t i = 0; i < head->field_count; i++)
		require(span_equal(again.fields[i].name, head->fields[i].name) &&
			span_equal(again.fields[i].value, head->fields[i].value));
	if (head->minor_version == 1)
		require(again.keeps_alive == head->keeps_alive);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct http_head head;
	const char *data = (const char *)bytes;
	size_t scanned = 0, head_len = len;

	if (len > 16000)
		return 0;
	if (http_head_find_end(data, len, &scanned, &head_len) != HTTP_DONE)
		head_len = len;
	if (http_answer_parse(&head, data, head_len, HTTP_POST) != HTTP_DONE) {
		require(head.refusal == REFUSAL_UPSTREAM_MALFORMED);
		return 0;
	}
	require(head.refusal == REFUSAL_NONE);
	require(head.status >= 100 && head.status <= 599);
	require(head.framing != HTTP_UNTIL_CLOSE || !head.keeps_alive);
	for (size_t i = 0; i < head.field_count; i++)
		http_field_is_hop_by_hop(&head, &head.fields[i]);
	written_anew_is_the_same(&head);
	return 0;
}
