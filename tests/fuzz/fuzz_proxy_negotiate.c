/* What an endpoint answers a login with: a token lies within its buffer, whatever the challenges are. */
#include <stdlib.h>

#include "proxy/negotiate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct http_head head;
	static uint8_t token[256];
	size_t scanned = 0, head_len = 0, token_len = 0;

	if (http_head_find_end((const char *)bytes, len, &scanned, &head_len) != HTTP_DONE ||
		http_answer_parse(&head, (const char *)bytes, head_len, HTTP_POST) != HTTP_DONE)
		return 0;
	if (negotiate_read(&head, token, sizeof(token), &token_len) == NEGOTIATE_TOKEN &&
		(token_len == 0 || token_len > sizeof(token)))
		abort();
	return 0;
}
