#include "auth/bearer_answer.h"

#include <ctype.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/openssl_error.h"

enum {
	SECRET_LOOKS_MIN =
		24, /* a word so long may be a token, or an assertion, that was sent back */
	SAID_SIZE = 120,
};

static void free_wiped(void *memory)
{
	if (memory == NULL)
		return;
	OPENSSL_cleanse(memory, malloc_usable_size(memory));
	free(memory);
}

void bearer_answer_wipe_json(void)
{
	json_set_alloc_funcs(malloc, free_wiped);
}

/* What it says, shown */

static bool is_one_of(const char *others, char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr(others, c) != NULL);
}

/* Of what encoded octets are made; names of hosts have dots. */
static bool is_word(char c)
{
	return is_one_of("-_+=%~", c);
}

/* Printable, cut, and without words that are long enough for a secret; "" where it is none. */
static void show(const json_t *text, char said[SAID_SIZE])
{
	const char *from = json_string_value(text);
	size_t len = 0, word = 0;

	for (; from != NULL && *from != '\0' && len + 1 < SAID_SIZE; from++) {
		bool is_shown = *from >= 0x20 && *from < 0x7f;

		said[len++] = (char)(is_shown ? *from : ' ');
		word = is_word(*from) ? word + 1 : 0;
		if (word < SECRET_LOOKS_MIN)
			continue;
		len -= word;
		word = 0;
		len += (size_t)snprintf(said + len, SAID_SIZE - len, "(hidden)");
		while (is_word(from[1]))
			from++;
	}
	said[len] = '\0';
}

static bool says(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strcasestr(at, word)) != NULL; at += len)
		if ((at == text || !isalnum((unsigned char)at[-1])) &&
			!isalnum((unsigned char)at[len]))
			return true;
	return false;
}

/* Claims and conditions by their names: "expired" alone may be said of a user's account. */
static bool complains_of_time(const char *text)
{
	static const char *const words[] = {"exp", "nbf", "iat", "clock", "skew", "NotBefore",
		"NotOnOrAfter", "not yet valid", "assertion expired", "assertion has expired",
		"assertion is expired", "token has expired"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (says(text, words[i]))
			return true;
	return false;
}

/* Errors */

static const char clock_hint[] =
	"the clocks of this host and of the authorization server differ: synchronise them (NTP)";

/* RFC 6749 5.2, and what servers say beside it. */
static const struct reason {
	const char *error;
	enum login_status status;
	const char *hint;
} reasons[] = {
	{"invalid_grant", LOGIN_REFUSED,
		"if it refuses everybody: is our key or certificate known there, are "
		"bearer/issuer, "
		"audience and subject what it expects?"},
	{"access_denied", LOGIN_REFUSED, "it does not let this user have a token"},
	{"interaction_required", LOGIN_REFUSED,
		"it wants this user to do something, which a phone behind a proxy cannot"},
	{"invalid_client", LOGIN_MISCONFIGURED,
		"it does not know bearer/client-id, or not its secret or key"},
	{"unauthorized_client", LOGIN_MISCONFIGURED,
		"let the client of bearer/client-id use this grant there"},
	{"unsupported_grant_type", LOGIN_MISCONFIGURED,
		"it does not know this grant: try another bearer/grant, or allow it there"},
	{"invalid_scope", LOGIN_MISCONFIGURED, "it does not give the client bearer/scope"},
	{"invalid_target", LOGIN_MISCONFIGURED, "it does not give the client bearer/scope"},
	{"invalid_request", LOGIN_MISCONFIGURED,
		"it misses something, or does not want it: look at its log, and at bearer"},
	{"temporarily_unavailable", LOGIN_UNAVAILABLE, NULL},
	{"server_error", LOGIN_UNAVAILABLE, NULL},
	{"slow_down", LOGIN_UNAVAILABLE, NULL},
};

static const struct reason *find_reason(const char *error)
{
	for (size_t i = 0; error != NULL && i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(reasons[i].error, error) == 0)
			return &reasons[i];
	return NULL;
}

static int64_t skew_of(const struct bearer_answer *answer)
{
	int64_t skew = answer->server_time - answer->asked_at;

	if (answer->server_time < 0 || (skew <= BEARER_SKEW_S && skew >= -BEARER_SKEW_S))
		return 0;
	return skew;
}

/* An assertion that is good for another time is refused as one about a wrong user is; but it is about us,
 * and gets better once the clocks do. */
static enum login_status refuse(const struct bearer_answer *answer, const struct reason *reason,
	const char *error, const char *said, struct login_fault *fault)
{
	int64_t skew = skew_of(answer);
	bool is_grant = strcmp(error, "invalid_grant") == 0;

	if (is_grant && skew != 0)
		return login_fault_set(fault, LOGIN_MISCONFIGURED, clock_hint,
			"the authorization server, whose clock is %lld s %s ours, said %s: %s",
			(long long)(skew < 0 ? -skew : skew), skew < 0 ? "behind" : "ahead of",
			error, said);
	if (is_grant && complains_of_time(said))
		return login_fault_set(fault, LOGIN_MISCONFIGURED, clock_hint,
			"the authorization server said %s: %s", error, said);
	return login_fault_set(fault, reason->status, reason->hint,
		"the authorization server said %s%s%s", error, said[0] == '\0' ? "" : ": ", said);
}

static enum login_status read_error(
	const struct bearer_answer *answer, const json_t *body, struct login_fault *fault)
{
	char error[SAID_SIZE] = "", said[SAID_SIZE] = "";
	const struct reason *reason;
	long status = answer->http_status;

	show(json_object_get(body, "error"), error);
	show(json_object_get(body, "error_description"), said);
	reason = find_reason(json_string_value(json_object_get(body, "error")));
	if (status >= 500 || status == 429)
		return login_fault_set(fault, LOGIN_UNAVAILABLE, NULL,
			"the authorization server answered with HTTP status %ld%s%s", status,
			error[0] == '\0' ? "" : ": ", error);
	if (reason != NULL)
		return refuse(answer, reason, error, said, fault);
	if (error[0] != '\0')
		return login_fault_set(fault, LOGIN_MISCONFIGURED,
			"look for it in the log of the authorization server",
			"the authorization server said %s%s%s", error, said[0] == '\0' ? "" : ": ",
			said);
	return login_fault_set(fault, LOGIN_MISCONFIGURED,
		"is bearer/endpoint the URL of its token endpoint?",
		"the authorization server answered with HTTP status %ld and no error of OAuth",
		status);
}

/* Tokens */

/* RFC 6750 2.1: b64token. */
static bool is_token(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && is_one_of("-._~+/", text[at]))
		at++;
	if (at == 0)
		return false;
	while (at < len && text[at] == '=')
		at++;
	return at == len;
}

/* Some servers write it as a text. -1 for what is no time. */
static int64_t life_of(const json_t *expires_in)
{
	const char *digits = json_string_value(expires_in);
	int64_t life = expires_in == NULL ? BEARER_LIFE_S : -1;

	if (json_is_integer(expires_in))
		life = json_integer_value(expires_in);
	else if (digits != NULL && strlen(digits) >= 1 && strlen(digits) <= 9 &&
		 digits[strspn(digits, "0123456789")] == '\0')
		life = strtol(digits, NULL, 10);
	return life > BEARER_LIFE_MAX_S ? BEARER_LIFE_MAX_S : life;
}

static enum login_status complain(struct login_fault *fault, const char *what)
{
	return login_fault_set(fault, LOGIN_UNAVAILABLE,
		"is bearer/endpoint the URL of its token endpoint?",
		"the authorization server answered with %s", what);
}

static enum login_status read_token(const struct bearer_answer *answer, const json_t *body,
	struct login_secret *out, struct login_fault *fault)
{
	const json_t *token = json_object_get(body, "access_token");
	const char *type = json_string_value(json_object_get(body, "token_type"));
	int64_t life = life_of(json_object_get(body, "expires_in"));
	size_t len = json_string_length(token);

	if (json_string_value(token) == NULL)
		return complain(fault, "something that has no access_token");
	if (type == NULL || strcasecmp(type, "Bearer") != 0)
		return complain(fault, "a token that is not of the type Bearer");
	if (len > sizeof(out->bytes))
		return complain(fault, "a token that is too large");
	if (!is_token(json_string_value(token), len))
		return complain(fault, "a token of characters that none can have");
	if (life <= 0)
		return complain(fault, "a token that is good for no time");
	memcpy(out->bytes, json_string_value(token), len);
	out->len = len;
	out->valid_until = answer->asked_at + life;
	return LOGIN_GIVEN;
}

enum login_status bearer_answer_read(
	const struct bearer_answer *answer, struct login_secret *out, struct login_fault *fault)
{
	json_t *body = NULL;
	enum login_status status;

	*out = (struct login_secret){0};
	if (answer->body.len <= BEARER_ANSWER_MAX)
		body = json_loadb((const char *)answer->body.data, answer->body.len,
			JSON_REJECT_DUPLICATES, NULL);
	if (answer->http_status >= 300 && answer->http_status < 400)
		status = login_fault_set(fault, LOGIN_MISCONFIGURED,
			"write where it leads to into bearer/endpoint",
			"the authorization server answered with a redirect, which is not followed");
	else if (answer->http_status >= 400)
		status = read_error(answer, body, fault);
	else if (answer->http_status != 200)
		status = complain(fault, "a status that is neither 200 nor an error");
	else if (!json_is_object(body))
		status = complain(fault, "something that is not JSON");
	else
		status = read_token(answer, body, out, fault);
	json_decref(body);
	return status;
}
