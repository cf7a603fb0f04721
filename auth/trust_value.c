#include "auth/trust_value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/moment.h"

enum { URL_SIZE_MAX = 2048 };

const char *trust_value_text(struct trust_reader *reader, json_t *value, const char *name)
{
	if (value == NULL)
		return "";
	if (!json_is_string(value)) {
		trust_reader_fault(reader, "%s: must be a string", name);
		return NULL;
	}
	return json_string_value(value);
}

static char *copy_text(struct trust_reader *reader, const char *text, const char *name)
{
	char *copy = strdup(text);

	if (copy == NULL)
		trust_reader_fault(reader, "%s: out of memory", name);
	return copy;
}

char *trust_value_copy(struct trust_reader *reader, json_t *value, const char *name, size_t max)
{
	const char *text = trust_value_text(reader, value, name);

	if (text == NULL)
		return NULL;
	if (strlen(text) > max) {
		trust_reader_fault(reader, "%s: longer than %zu bytes", name, max);
		return NULL;
	}
	for (const char *c = text; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c)) {
			trust_reader_fault(reader, "%s: a control character", name);
			return NULL;
		}
	return copy_text(reader, text, name);
}

/* With a host after "//", by name or address. */
static bool has_scheme(const char *url, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncasecmp(url, scheme, len) == 0 &&
	       (scheme[len - 2] != '/' || isalnum((unsigned char)url[len]) || url[len] == '[');
}

static bool has_any_scheme(const char *url, const char *const *schemes)
{
	for (size_t i = 0; schemes[i] != NULL; i++)
		if (has_scheme(url, schemes[i]))
			return true;
	return false;
}

char *trust_value_url(
	struct trust_reader *reader, json_t *value, const char *name, const char *const *schemes)
{
	const char *url = trust_value_text(reader, value, name);
	char expected[64] = "";

	if (url == NULL)
		return NULL;
	for (const char *c = url; *c != '\0'; c++)
		if (*c < 0x21 || *c > 0x7e || c - url >= URL_SIZE_MAX) {
			trust_reader_fault(reader, "%s: %s", name,
				c - url < URL_SIZE_MAX ? "a blank or a character that is not ASCII"
						       : "too long");
			return NULL;
		}
	if (url[0] == '\0' || has_any_scheme(url, schemes))
		return copy_text(reader, url, name);
	for (size_t i = 0; schemes[i] != NULL; i++)
		snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%s%s%s",
			i == 0 ? "" : " or ", schemes[i],
			schemes[i][strlen(schemes[i]) - 2] == '/' ? "host" : "");
	trust_reader_fault(reader, "%s: must begin with %s", name, expected);
	return NULL;
}

void trust_value_number(struct trust_reader *reader, json_t *value, const char *name,
	const struct option *option, uint64_t *number)
{
	const char *text = trust_value_text(reader, value, name);
	uint64_t found;
	struct error err;

	if (value == NULL || text == NULL)
		return;
	if (option_read_number(option, text, &found, &err) == -1)
		trust_reader_fault(reader, "%s: %s", name, err.text);
	else
		*number = found;
}

void trust_value_moment(
	struct trust_reader *reader, json_t *value, const char *name, int64_t *moment)
{
	const char *text = trust_value_text(reader, value, name);
	struct error err;

	if (value != NULL && text != NULL && moment_read(text, moment, &err) == -1)
		trust_reader_fault(reader, "%s: %s", name, err.text);
}
