/* Bodies: the same content and the same end, fed at once or in pieces. The first byte says which
 * framing, the second how large the pieces are. */
#include <stdlib.h>

#include "proxy/http.h"

struct outcome {
	enum http_result result;
	size_t used;
	uint64_t content_len, content_sum;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct outcome feed(struct http_body body, const char *bytes, size_t len, size_t piece)
{
	struct outcome outcome = {.result = http_body_is_done(&body) ? HTTP_DONE : HTTP_MORE};

	while (outcome.used < len && outcome.result == HTTP_MORE) {
		size_t size = len - outcome.used < piece ? len - outcome.used : piece, left = size;
		const char *data = bytes + outcome.used;
		struct span content;

		do {
			size_t before = left;

			outcome.result = http_body_next(&body, &data, &left, &content);
			require(left <= before);
			require(data == bytes + outcome.used + size - left);
			require(content.len == 0 || outcome.result == HTTP_MORE);
			for (size_t i = 0; i < content.len; i++)
				outcome.content_sum = outcome.content_sum * 31 + content.data[i];
			outcome.content_len += content.len;
		} while (outcome.result == HTTP_MORE && content.len > 0);
		require(outcome.result != HTTP_MORE || left == 0);
		outcome.used += size - left;
	}
	/* By length the end is seen with the last byte, and said at the next call. */
	if (http_body_is_done(&body))
		outcome.result = HTTP_DONE;
	require(body.total == outcome.content_len);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const enum http_framing framings[] = {
		HTTP_CHUNKED, HTTP_CHUNKED, HTTP_LENGTH, HTTP_UNTIL_CLOSE};
	struct http_head head = {.framing = HTTP_NO_BODY};
	struct http_body body;
	struct outcome whole, pieces;

	if (len < 2 || len > 16000)
		return 0;
	head.framing = framings[bytes[0] % 4];
	head.content_length = head.framing == HTTP_LENGTH ? bytes[1] : 0;
	http_body_begin(&body, &head);
	whole = feed(body, (const char *)bytes + 2, len - 2, len);
	pieces = feed(body, (const char *)bytes + 2, len - 2, 1u + bytes[1] % 16);
	require(whole.result == pieces.result && whole.used == pieces.used);
	require(whole.content_len == pieces.content_len && whole.content_sum == pieces.content_sum);
	require(whole.content_len <= len - 2);
	return 0;
}
