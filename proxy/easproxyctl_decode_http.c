#include <stdio.h>
#include <string.h>

#include "proxy/easproxyctl_decode.h"
#include "proxy/http.h"

static bool begins_with(const struct wbxml_buffer *input, const char *text)
{
	size_t len = strlen(text);

	return input->len >= len && memcmp(input->data, text, len) == 0;
}

static void describe_request(const struct http_head *head, struct decode_message *message)
{
	struct eas_request request = {.command = EAS_NO_COMMAND};
	enum refusal refusal = eas_request_read(head, &request);
	size_t len;

	message->command = request.command;
	len = (size_t)snprintf(
		message->text, sizeof(message->text), "%s", http_method_name(head->method));
	if (request.command != EAS_NO_COMMAND)
		len += (size_t)snprintf(message->text + len, sizeof(message->text) - len,
			" %s %u.%u", eas_command_name(request.command), request.version / 10,
			request.version % 10);
	if (request.device_id[0] != '\0')
		len += (size_t)snprintf(message->text + len, sizeof(message->text) - len,
			" of device %s", request.device_id);
	if (refusal != REFUSAL_NONE)
		snprintf(message->text + len, sizeof(message->text) - len,
			", which easproxyd refuses: %s", refusal_row(refusal)->name);
}

/* The content of the body, in the place of the message. */
static int body_take(struct wbxml_buffer *input, const struct http_head *head, size_t head_len,
	struct error *err)
{
	const char *data = (const char *)input->data + head_len;
	struct wbxml_buffer content = {.limit = input->limit};
	size_t len = input->len - head_len;
	struct http_body body;
	int result = 0;

	http_body_begin(&body, head);
	while (!http_body_is_done(&body)) {
		struct span piece = {0};
		enum http_result got = http_body_next(&body, &data, &len, &piece);

		if (got == HTTP_REFUSED)
			result = error_set(err, "byte %zu of the HTTP message: wrong chunks",
				input->len - len);
		if (got == HTTP_REFUSED || (piece.len == 0 && got == HTTP_MORE))
			break;
		wbxml_buffer_append(&content, piece.data, piece.len);
	}
	if (result == 0 && !http_body_is_done(&body) && head->framing != HTTP_UNTIL_CLOSE)
		fprintf(stderr, "easproxyctl decode: the HTTP message ends before its body does\n");
	if (result == 0 && content.has_failed)
		result = error_set(err, "out of memory");
	wbxml_buffer_free(input);
	*input = content;
	return result;
}

int decode_unwrap_http(
	struct wbxml_buffer *input, struct decode_message *message, struct error *err)
{
	bool is_answer = begins_with(input, "HTTP/1.");
	struct http_head head = {0};
	size_t scanned = 0, head_len = 0;
	enum http_result result;

	*message = (struct decode_message){.command = EAS_NO_COMMAND};
	if (!is_answer && !begins_with(input, "POST ") && !begins_with(input, "OPTIONS "))
		return 0;
	message->is_http = true;
	result = http_head_find_end((const char *)input->data, input->len, &scanned, &head_len);
	if (result == HTTP_MORE)
		return error_set(
			err, "the HTTP message ends within its head: expected an empty line");
	if (result == HTTP_DONE)
		result = is_answer ? http_answer_parse(
					     &head, (const char *)input->data, head_len, HTTP_POST)
				   : http_request_parse(&head, (const char *)input->data, head_len);
	if (result != HTTP_DONE)
		return error_set(err,
			"the HTTP message has a head that easproxyd refuses (%s): lines must end "
			"in "
			"CR LF",
			head.refusal != REFUSAL_NONE ? refusal_row(head.refusal)->name
						     : "http-malformed");
	if (is_answer)
		snprintf(message->text, sizeof(message->text), "HTTP %u", head.status);
	else
		describe_request(&head, message);
	return body_take(input, &head, head_len, err);
}
