/* Values of an answer's fields: what of them goes on to a phone fits, ends, and says nothing that it must
 * not. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/answer_field.h"
#include "proxy/answer_table.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void ends_within(const char *text, size_t size)
{
	require(memchr(text, '\0', size) != NULL);
}

/* No attribute before ours has one of our names. */
static void cookie_is_ours(const char *text)
{
	static const char ours[] = "; Path=/; Secure; HttpOnly";
	size_t len = strlen(text);

	require(len > sizeof(ours) - 1 && strcmp(text + len - (sizeof(ours) - 1), ours) == 0);
	for (const char *at = strchr(text, ';'); at != NULL; at = strchr(at + 1, ';'))
		require(strncasecmp(at, "; domain=", 9) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct config_endpoint endpoint = {.host = (char *)"ex1.corp.test"};
	const struct config_upstream upstream = {.endpoint_count = 1, .endpoints = &endpoint};
	struct span value = span_of(bytes, len);
	/* As little room as possible, so that what does not fit is met. */
	size_t size = 1 + len % 200;
	char text[200];

	/* A head with other characters is not parsed. */
	for (size_t i = 0; i < len; i++)
		if (bytes[i] < ' ' || bytes[i] == 0x7f)
			return 0;
	answer_field_versions(value, 121, 160, text, size);
	ends_within(text, size);
	answer_field_commands(value, 1u << 16, text, size);
	ends_within(text, size);
	require(strstr(text, "Search") == NULL);
	if (answer_field_cookie(value, text, size))
		cookie_is_ours(text);
	ends_within(text, size);
	answer_field_is_retry(value);
	answer_field_names_endpoint(value, &upstream);
	answer_field_way(value);
	return 0;
}
