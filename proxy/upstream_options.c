#include "proxy/upstream_options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/http_chars.h"

/* Texts */

static void append(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
	size_t len = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + len, size - len, format, arguments);
	va_end(arguments);
}

/* A server's words are shown on a terminal. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* ", LABEL VALUE" of a field that is there. */
static void append_field(
	char *text, size_t size, const struct http_head *head, const char *name, const char *label)
{
	struct span value;

	if (http_field_find(head, name, &value) > 0 && value.len > 0)
		append(text, size, ", %s %.*s", label, SPAN_PRINT(value));
}

/* Schemes */

static size_t token_len(struct span value, size_t at)
{
	size_t from = at;

	while (at < value.len && http_char_is(value.data[at], HTTP_CHAR_TOKEN))
		at++;
	return at - from;
}

/* To behind the next comma that is in no quoted string. */
static size_t pass_element(struct span value, size_t at)
{
	bool is_quoted = false;

	for (; at < value.len; at++) {
		if (is_quoted && value.data[at] == '\\')
			at++;
		else if (value.data[at] == '"')
			is_quoted = !is_quoted;
		else if (value.data[at] == ',' && !is_quoted)
			return at + 1;
	}
	return value.len;
}

static size_t pass_spaces(struct span value, size_t at)
{
	while (at < value.len && (value.data[at] == ' ' || value.data[at] == '\t'))
		at++;
	return at;
}

static bool has_word(const char *list, struct span word)
{
	size_t len;

	for (; *list != '\0'; list += len + strspn(list + len, ", ")) {
		len = strcspn(list, ",");
		if (len == word.len && strncasecmp(list, (const char *)word.data, len) == 0)
			return true;
	}
	return false;
}

/* An element of the list is a scheme, perhaps with its first parameter, or another parameter of the
 * scheme before it, which has a "=" behind its name. */
static void append_schemes(struct span value, char *text, size_t size)
{
	size_t at = 0;

	while (at < value.len) {
		size_t start = pass_spaces(value, at);
		size_t len = token_len(value, start);
		size_t behind = pass_spaces(value, start + len);
		struct span scheme = span_of(value.data + start, len);

		at = pass_element(value, start);
		if (len == 0 || (behind < value.len && value.data[behind] == '='))
			continue;
		if (!has_word(text, scheme))
			append(text, size, "%s%.*s", text[0] == '\0' ? "" : ", ",
				SPAN_PRINT(scheme));
	}
}

void upstream_options_schemes(const struct http_head *head, char *text, size_t size)
{
	text[0] = '\0';
	for (size_t i = 0; i < head->field_count; i++)
		if (span_equal_nocase(head->fields[i].name, "www-authenticate"))
			append_schemes(head->fields[i].value, text, size);
}

/* What the answers mean */

static const char *hint_of_401(enum config_login login, const char *schemes)
{
	switch (login) {
	case CONFIG_LOGIN_KERBEROS:
		if (!has_word(schemes, span_of_string("Negotiate")))
			return "Negotiate is not offered: enable Windows authentication on the "
			       "server's ActiveSync directory (-WindowsAuthEnabled $true)";
		return "see that upstream/spn is registered once, with the account whose key the "
		       "server has, that Extended Protection is not set to Require there, and "
		       "that all clocks agree";
	case CONFIG_LOGIN_BEARER:
		if (!has_word(schemes, span_of_string("Bearer")))
			return "Bearer is not offered: enable modern authentication on the server";
		return "see that bearer/audience and bearer/scope are what the server wants, and "
		       "that it trusts the authorization server";
	case CONFIG_LOGIN_MINTED:
		return "the server wants another login beside the certificate, or did not ask for "
		       "it in the handshake, or maps it to nobody: see docs/exchange.md";
	case CONFIG_LOGIN_BASIC:
		return "see upstream/basic-user and upstream/basic-password-file, and that the "
		       "server lets that user act for others";
	case CONFIG_LOGIN_NONE:
	case CONFIG_LOGIN_HEADER:
	case CONFIG_LOGIN_CLIENT_CERT: break;
	}
	return "this server does not take a field's word: see upstream/headers, or choose another "
	       "upstream/login";
}

static void judge_401(
	const struct http_head *head, enum config_login login, struct upstream_options *options)
{
	char schemes[128];

	upstream_options_schemes(head, schemes, sizeof(schemes));
	append(options->text, sizeof(options->text), ": the login was not accepted; offered are %s",
		schemes[0] == '\0' ? "no ways to log in" : schemes);
	append(options->hint, sizeof(options->hint), "%s", hint_of_401(login, schemes));
}

static void judge_success(const struct http_head *head, struct upstream_options *options)
{
	struct span versions;

	if (http_field_find(head, "ms-asprotocolversions", &versions) == 0) {
		append(options->text, sizeof(options->text),
			": no ActiveSync server, as MS-ASProtocolVersions is missing");
		append(options->hint, sizeof(options->hint),
			"see that upstream/endpoints has the right host and path, and that "
			"ActiveSync is enabled there");
		return;
	}
	options->is_good = true;
	append(options->text, sizeof(options->text), ", versions %.*s", SPAN_PRINT(versions));
}

static void judge_redirect(const struct http_head *head, struct upstream_options *options)
{
	struct span location;

	if (http_field_find(head, "location", &location) > 0)
		append(options->text, sizeof(options->text), ", to %.*s", SPAN_PRINT(location));
	append(options->hint, sizeof(options->hint),
		"the request did not reach ActiveSync: a page to sign in stands before it, or the "
		"endpoint is another one");
}

/* The mailbox is at another server: which this one could only know of a user that is logged in. */
static void judge_451(const struct http_head *head, struct upstream_options *options)
{
	options->is_good = true;
	append_field(options->text, sizeof(options->text), head, "x-ms-location", "mailbox is at");
	append(options->hint, sizeof(options->hint),
		"list that server in upstream/endpoints, too, so that it can be followed "
		"(upstream/redirects)");
}

static void judge_400(enum config_login login, struct upstream_options *options)
{
	append(options->hint, sizeof(options->hint), "%s",
		login == CONFIG_LOGIN_KERBEROS
			? "the ticket may be too large for the server: see MaxFieldLength and "
			  "MaxRequestBytes in docs/exchange.md"
		: login == CONFIG_LOGIN_MINTED
			? "the server does not accept the certificate: see that it trusts "
			  "minted-certificate/issuer"
			: "the server does not understand the request: see upstream/host and "
			  "upstream/endpoints");
}

static void judge_403(enum config_login login, struct upstream_options *options)
{
	append(options->hint, sizeof(options->hint), "%s",
		login == CONFIG_LOGIN_MINTED
			? "the server does not accept the certificate, maps it to nobody, or has "
			  "ActiveSync disabled for this mailbox (Get-CASMailbox)"
			: "the server knows the user, who may not use ActiveSync (Get-CASMailbox: "
			  "ActiveSyncEnabled), or not from here");
}

static void judge_status(
	const struct http_head *head, enum config_login login, struct upstream_options *options)
{
	if (head->status >= 200 && head->status <= 299)
		judge_success(head, options);
	else if (head->status == 401)
		judge_401(head, login, options);
	else if (head->status == 451)
		judge_451(head, options);
	else if (head->status >= 300 && head->status <= 399)
		judge_redirect(head, options);
	else if (head->status == 403)
		judge_403(login, options);
	else if (head->status == 400)
		judge_400(login, options);
	else if (head->status == 404)
		append(options->hint, sizeof(options->hint),
			"there is no /Microsoft-Server-ActiveSync behind this endpoint: see its "
			"host and path");
	else
		append(options->hint, sizeof(options->hint),
			"the server has a trouble of its own: look at its logs");
}

void upstream_options_judge(
	const struct http_head *head, enum config_login login, struct upstream_options *options)
{
	*options = (struct upstream_options){.is_good = false};
	append(options->text, sizeof(options->text), "%u", head->status);
	judge_status(head, login, options);
	append_field(options->text, sizeof(options->text), head, "server", "server");
	append_field(options->text, sizeof(options->text), head, "x-feserver", "X-FEServer");
	append_field(options->text, sizeof(options->text), head, "x-calculatedbetarget",
		"X-CalculatedBETarget");
	make_printable(options->text);
}

void upstream_options_judge_anonymous(
	const struct http_head *head, struct upstream_options *options)
{
	char schemes[128];

	*options = (struct upstream_options){.is_good = true};
	upstream_options_schemes(head, schemes, sizeof(schemes));
	append(options->text, sizeof(options->text), "%u", head->status);
	if (head->status >= 200 && head->status <= 299) {
		append(options->text, sizeof(options->text),
			": whoever reaches this server is let in without a login");
		append(options->hint, sizeof(options->hint),
			"see that nothing but easproxyd can reach it, or have it ask for a login");
	} else if (schemes[0] != '\0') {
		append(options->text, sizeof(options->text),
			": refused, as it should be; offered "
			"are %s",
			schemes);
	} else {
		append(options->text, sizeof(options->text), ": refused, as it should be");
	}
	make_printable(options->text);
}
