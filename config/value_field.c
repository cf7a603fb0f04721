#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/memory.h"
#include "config/value.h"

static const char *const template_names[] = {"mailbox", "local-part", "domain", "device-id",
	"device-type", "request-id", "client-address", NULL};
static const char *const login_names[] = {
	"mailbox", "local-part", "domain", "account", "realm", "upn", "sid", NULL};

/* Fields that easproxyd writes itself, or whose meaning ends at the next hop (RFC 9110 7.6.1). */
static const char *const reserved_fields[] = {"connection", "content-encoding", "content-length",
	"content-type", "date", "expect", "host", "keep-alive", "proxy-authenticate",
	"proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	NULL};

void value_lower(char *text)
{
	for (; *text != '\0'; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static bool is_listed(const char *const *list, const char *text, size_t len)
{
	for (; *list != NULL; list++)
		if (strlen(*list) == len && strncasecmp(*list, text, len) == 0)
			return true;
	return false;
}

/* "%{a}, %{b} and %{c}" */
static void write_names(const char *const *names, char text[256])
{
	size_t len = 0;

	for (size_t i = 0; names[i] != NULL && len < 256; i++)
		len += (size_t)snprintf(text + len, 256 - len, "%s%%{%s}",
			i == 0                 ? ""
			: names[i + 1] == NULL ? " and "
					       : ", ",
			names[i]);
}

/* Its %{…} alone. */
static int check_names(const char *text, const char *const *names, struct error *err)
{
	const char *p = text;
	char known[256];

	while ((p = strchr(p, '%')) != NULL) {
		const char *end;

		p++;
		if (*p == '%') {
			p++;
			continue;
		}
		end = *p == '{' ? strchr(p, '}') : NULL;
		if (end == NULL)
			return error_set(err,
				"'%.100s': after %% comes {mailbox} or another name; a percent "
				"sign itself is %%%%",
				text);
		if (!is_listed(names, p + 1, (size_t)(end - p) - 1)) {
			write_names(names, known);
			return error_set(err, "%%%.*s is unknown; there are %s",
				(int)(end - p < 60 ? end - p + 1 : 60), p, known);
		}
		p = end + 1;
	}
	return 0;
}

static int check_line(const char *text, const char *const *names, struct error *err)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			return error_set(
				err, "'%.100s' has characters other than printable ASCII", text);
	return check_names(text, names, err);
}

int value_check_template(const char *text, struct error *err)
{
	return check_line(text, template_names, err);
}

int value_check_login_name(const char *text, struct error *err)
{
	return check_line(text, login_names, err);
}

/* How many bytes the character has, or 0 where it is none of RFC 3629, or a control character. */
static size_t character_len(const unsigned char *at)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	uint32_t code = len == 1 ? at[0] : at[0] & (0x7fu >> len);

	if ((at[0] >= 0x80 && at[0] < 0xc2) || at[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < least[len] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ||
		(code & 0xfffe) == 0xfffe)
		return 0;
	return (code >= 0x20 && code < 0x7f) || code >= 0xa0 || strchr("\t\r\n", (int)code) != NULL
		       ? len
		       : 0;
}

int value_check_message(const char *text, struct error *err)
{
	size_t len;

	for (const char *p = text; *p != '\0'; p += len) {
		len = character_len((const unsigned char *)p);
		if (len == 0)
			return error_set(err, "byte %zu is a control character, or not UTF-8",
				(size_t)(p - text) + 1);
	}
	if (check_names(text, template_names, err) == 0)
		return 0;
	/* A fault is one line. */
	for (char *p = err->text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	return -1;
}

/* Only ever called with a template that was checked. "%%{mailbox}" is a text like any other. */
static bool has_name(const char *text, const char *const *names)
{
	for (; (text = strchr(text, '%')) != NULL; text += 2) {
		const char *end = text[1] == '{' ? strchr(text, '}') : NULL;

		if (end != NULL && is_listed(names, text + 2, (size_t)(end - text) - 2))
			return true;
	}
	return false;
}

bool value_names_mailbox(const char *text)
{
	static const char *const names[] = {"mailbox", "local-part", NULL};

	return has_name(text, names);
}

bool value_names_somebody(const char *text)
{
	static const char *const names[] = {"mailbox", "local-part", "account", "upn", "sid", NULL};

	return has_name(text, names);
}

bool value_names_account(const char *text)
{
	static const char *const names[] = {"account", "realm", "upn", "sid", NULL};

	return has_name(text, names);
}

static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && strchr("!#$%&'*+-.^_`|~", text[i]) == NULL)
			return false;
	return len > 0;
}

static int check_field_name(const char *text, size_t len, struct error *err)
{
	if (!is_token(text, len) || len > 100)
		return error_set(err, "'%.*s' is not the name of a field",
			(int)(len < 100 ? len : 100), text);
	if (is_listed(reserved_fields, text, len))
		return error_set(err, "the field '%.*s' belongs to HTTP and is not configurable",
			(int)len, text);
	return 0;
}

int value_check_field_name(const char *text, struct error *err)
{
	return check_field_name(text, strlen(text), err);
}

int value_read_field(const char *text, struct config_header *header, struct error *err)
{
	const char *colon = strchr(text, ':');
	const char *value;
	size_t len;

	if (colon == NULL)
		return error_set(err,
			"'%.100s' is not a field; write its name, a colon and its value", text);
	if (check_field_name(text, (size_t)(colon - text), err) == -1)
		return -1;
	value = colon + 1 + strspn(colon + 1, " ");
	len = strlen(value);
	if (len == 0 || value[len - 1] == ' ' || len > 1000)
		return error_set(err,
			"'%.100s': the value of a field is not empty, ends in no space and has at "
			"most "
			"1,000 characters",
			text);
	if (value_check_template(value, err) == -1)
		return -1;
	header->name = memory_copy_part(text, (size_t)(colon - text));
	header->value = memory_copy(value);
	return 0;
}

/* RFC 1123 2.1: labels of letters, digits and hyphens; underscores are met in the wild. */
int value_check_host_name(const char *text, bool may_have_wildcard, struct error *err)
{
	const char *p = text;

	if (may_have_wildcard && strncmp(p, "*.", 2) == 0)
		p += 2;
	if (*p == '\0' || strlen(text) > 253)
		goto wrong;
	while (true) {
		size_t len = strspn(
			p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

		if (len == 0 || len > 63 || p[0] == '-' || p[len - 1] == '-')
			goto wrong;
		if (p[len] == '\0')
			return 0;
		if (p[len] != '.')
			goto wrong;
		p += len + 1;
	}
wrong:
	return error_set(err, "'%.100s' is not a host name", text);
}

int value_check_title(const char *text, struct error *err)
{
	size_t len =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	if (len > 0 && len <= 64 && text[len] == '\0')
		return 0;
	return error_set(
		err, "'%.100s' is not a name; it has 1 to 64 letters, digits, -, _ and .", text);
}
