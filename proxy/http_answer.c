/* An answer's head: RFC 9112 4 and 6.3. */
#include "proxy/http.h"

#include "proxy/http_chars.h"
#include "proxy/http_parse.h"

/* status-line = HTTP-version SP status-code SP [ reason-phrase ]; servers are known to leave out
 * the second space together with the phrase. */
static bool status_line_take(struct http_cursor *cursor, struct http_head *head)
{
	struct span digits;
	uint64_t status;

	if (http_take_version(cursor, &head->minor_version) != REFUSAL_NONE ||
		!http_take_text(cursor, " "))
		return false;
	digits = http_take(cursor, HTTP_CHAR_DIGIT);
	if (digits.len != 3 || !http_number_parse(digits, 599, &status) || status < 100)
		return false;
	head->status = (unsigned int)status;
	if (http_take_text(cursor, " "))
		head->reason = http_take_value(cursor);
	return http_take_text(cursor, "\r\n");
}

static bool answer_framing_read(struct http_head *head)
{
	bool has_no_content = head->status < 200 || head->status == 204;

	if (http_framing_read(head) != REFUSAL_NONE)
		return false;
	if (has_no_content || head->status == 304) {
		/* RFC 9110 8.6: neither may have a length; IIS sends a 0 with 204. The length of a
		 * 304 is that of another answer. */
		if (has_no_content && (head->framing == HTTP_CHUNKED || head->content_length > 0))
			return false;
		head->framing = HTTP_NO_BODY;
		head->content_length = 0;
	} else if (head->framing == HTTP_NO_BODY) {
		head->framing = HTTP_UNTIL_CLOSE;
	}
	return true;
}

static bool answer_take(struct http_cursor *cursor, struct http_head *head)
{
	if (!status_line_take(cursor, head) || http_take_fields(cursor, head) != REFUSAL_NONE ||
		!answer_framing_read(head))
		return false;
	/* Never asked for: Upgrade is not passed on. */
	if (head->status == 101)
		return false;
	http_connection_read(head);
	if (head->framing == HTTP_UNTIL_CLOSE)
		head->keeps_alive = false;
	return true;
}

enum http_result http_answer_parse(
	struct http_head *head, const char *data, size_t head_len, enum http_method request_method)
{
	const uint8_t *bytes = (const uint8_t *)data;
	struct http_cursor cursor = {.at = bytes, .end = bytes + head_len};
	static const struct http_head nothing;

	memcpy(head, &nothing, offsetof(struct http_head, fields));
	head->method = request_method; /* none of them changes the framing; HEAD would */
	head->refusal = answer_take(&cursor, head) ? REFUSAL_NONE : REFUSAL_UPSTREAM_MALFORMED;
	return head->refusal == REFUSAL_NONE ? HTTP_DONE : HTTP_REFUSED;
}
