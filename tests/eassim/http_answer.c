#include "http_answer.h"

#include <stdlib.h>

static const char *reason_of(unsigned int status)
{
	static const struct {
		unsigned int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{449, "Retry after sending a PROVISION command"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

static void answer_write_head(
	const struct server_answer *answer, enum answer_manner manner, struct evbuffer *out)
{
	evbuffer_add_printf(out, "HTTP/1.%d %u %s\r\n", manner == ANSWER_UNTIL_CLOSE ? 0 : 1,
		answer->status,
		answer->reason != NULL ? answer->reason : reason_of(answer->status));
	evbuffer_add_printf(out, "Server: eassim\r\nX-EAS-Stand-In: eassim\r\n");
	for (size_t i = 0; i < answer->field_count; i++)
		evbuffer_add_printf(
			out, "%s: %s\r\n", answer->fields[i].name, answer->fields[i].value);
	if (answer->content_type != NULL && answer->body.len > 0)
		evbuffer_add_printf(out, "Content-Type: %s\r\n", answer->content_type);
	if (manner == ANSWER_CHUNKED)
		evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
	else if (manner != ANSWER_UNTIL_CLOSE)
		evbuffer_add_printf(out, "Content-Length: %zu\r\n", answer->body.len);
	evbuffer_add_printf(out, "\r\n");
}

static void answer_write_chunks(struct span body, struct evbuffer *out)
{
	size_t size = 1;

	while (body.len > 0) {
		size_t len = size < body.len ? size : body.len;

		evbuffer_add_printf(out, "%zx\r\n", len);
		evbuffer_add(out, body.data, len);
		evbuffer_add_printf(out, "\r\n");
		body = span_of(body.data + len, body.len - len);
		size = size * 3 + 4;
	}
	evbuffer_add_printf(out, "0\r\n\r\n");
}

/* As long as it should be, and wrong in its middle. */
static void answer_write_flipped(struct span body, struct evbuffer *out)
{
	size_t middle = body.len / 2;
	uint8_t wrong;

	if (body.len == 0)
		return;
	wrong = body.data[middle] ^ 1;
	evbuffer_add(out, body.data, middle);
	evbuffer_add(out, &wrong, 1);
	evbuffer_add(out, body.data + middle + 1, body.len - middle - 1);
}

bool http_answer_write(
	const struct server_answer *answer, enum answer_manner manner, struct evbuffer *out)
{
	size_t head_len;

	if (manner == ANSWER_GARBAGE) {
		evbuffer_add_printf(out, "\x01\x02 this is not HTTP \xff\r\n\r\n");
		return true;
	}
	if (manner == ANSWER_DROP)
		return true;
	answer_write_head(answer, manner, out);
	head_len = evbuffer_get_length(out);
	if (manner == ANSWER_CHUNKED)
		answer_write_chunks(answer->body, out);
	else if (manner == ANSWER_FLIP)
		answer_write_flipped(answer->body, out);
	else if (manner != ANSWER_CUT)
		evbuffer_add(out, answer->body.data, answer->body.len);
	else if (answer->body.len > 0)
		evbuffer_add(out, answer->body.data, answer->body.len / 2);
	else {
		char *head = malloc(head_len);

		if (head != NULL && evbuffer_remove(out, head, head_len) > 0)
			evbuffer_add(out, head, head_len / 2);
		free(head);
	}
	return manner == ANSWER_CUT || manner == ANSWER_UNTIL_CLOSE;
}
