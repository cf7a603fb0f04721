/*
 * Answers of an authorization server's token endpoint. The first byte chooses the HTTP status, the second
 * the server's clock.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/bearer_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t now = 1795705400;

/* What goes into a field of a request, and what goes into a log line. */
static void check_token(const struct login_secret *token)
{
	if (token->len == 0 || token->len > LOGIN_SECRET_MAX || token->valid_until <= now ||
		token->valid_until > now + BEARER_LIFE_MAX_S)
		abort();
	for (size_t i = 0; i < token->len; i++)
		if (token->bytes[i] <= ' ' || token->bytes[i] >= 0x7f || token->bytes[i] == ',' ||
			token->bytes[i] == '"')
			abort();
}

static void check_text(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text >= 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = {200, 400, 401, 500, 302, 204, 100, 0};
	struct bearer_answer answer = {.asked_at = now};
	struct login_fault fault = {.text = ""};
	struct login_secret token;
	enum login_status status;

	if (size < 2)
		return 0;
	answer.http_status = statuses[data[0] % 8];
	answer.server_time = data[1] == 0 ? -1 : now + (data[1] - 128) * 30;
	answer.body = span_of(data + 2, size - 2);
	status = bearer_answer_read(&answer, &token, &fault);
	if (status == LOGIN_GIVEN) {
		check_token(&token);
		return 0;
	}
	if (token.len != 0 || status >= LOGIN_STATUS_COUNT || fault.text[0] == '\0')
		abort();
	check_text(fault.text);
	check_text(fault.hint);
	return 0;
}
