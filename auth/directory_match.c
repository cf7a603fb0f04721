#include "auth/directory_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/address.h"
#include "auth/unicode.h"

enum { SID_PARTS_MAX = 15 };

struct filter {
	char *text;
	size_t size, len, count;
	bool is_full;
};

static void put(struct filter *out, const char *text)
{
	size_t len = strlen(text);

	if (out->is_full || len >= out->size - out->len) {
		out->is_full = true;
		return;
	}
	memcpy(out->text + out->len, text, len + 1);
	out->len += len;
}

static bool is_letter_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 4515 3: any byte may be escaped, so all are that could ever mean something. */
static void put_escaped(struct filter *out, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		char text[4] = {(char)value.data[i]};

		if (!is_letter_or_digit(value.data[i]))
			snprintf(text, sizeof(text), "\\%02x", value.data[i]);
		put(out, text);
	}
}

static void put_equal(
	struct filter *out, const char *attribute, const char *prefix, struct span value)
{
	if (attribute[0] == '\0')
		return;
	put(out, "(");
	put(out, attribute);
	put(out, "=");
	put_escaped(out, span_of_string(prefix));
	put_escaped(out, value);
	put(out, ")");
	out->count++;
}

static void put_bindings(struct filter *out, const struct config_directory *config,
	const char *prefix, struct span value)
{
	for (size_t i = 0; i < config->binding_attribute_count; i++)
		put_equal(out, config->binding_attributes[i], prefix, value);
}

size_t directory_sid_bytes(const char *sid, uint8_t bytes[68])
{
	unsigned long long number;
	size_t count = 0;
	char *end;

	if (strncmp(sid, "S-1-", 4) != 0)
		return 0;
	number = strtoull(sid + 4, &end, 10);
	if (end == sid + 4 || number >> 48 != 0)
		return 0;
	memset(bytes, 0, 68);
	bytes[0] = 1;
	for (size_t i = 0; i < 6; i++)
		bytes[2 + i] = (uint8_t)(number >> (40 - 8 * i));
	while (*end == '-' && count < SID_PARTS_MAX) {
		const char *part = end + 1;

		number = strtoull(part, &end, 10);
		if (end == part || number > UINT32_MAX)
			return 0;
		for (size_t i = 0; i < 4; i++)
			bytes[8 + 4 * count + i] = (uint8_t)(number >> (8 * i));
		count++;
	}
	bytes[1] = (uint8_t)count;
	return *end == '\0' && count > 0 ? 8 + 4 * count : 0;
}

static void put_question(struct filter *out, const struct config_directory *config,
	const struct directory_question *question)
{
	struct span value = span_of_string(question->value);
	uint8_t sid[68];

	switch (question->kind) {
	case CONFIG_NAME_PRINCIPAL:
		put_equal(out, config->upn_attribute, "", value);
		put_bindings(out, config, "X509:<PN>", value);
		break;
	case CONFIG_NAME_RFC822:
	case CONFIG_NAME_SMTP_UTF8:
		put_equal(out, config->address_attribute, "smtp:", value);
		put_equal(out, config->address_attribute, "", value);
		put_equal(out, config->mail_attribute, "", value);
		put_bindings(out, config, "X509:<RFC822>", value);
		break;
	case CONFIG_NAME_SID:
		put_equal(out, config->sid_attribute, "",
			span_of(sid, directory_sid_bytes(question->value, sid)));
		break;
	default: put_bindings(out, config, "", value);
	}
}

int directory_filter_write(const struct config_directory *config,
	const struct directory_question *question, char *filter, size_t size)
{
	struct filter out = {.text = filter, .size = size};

	put(&out, "(&");
	put(&out, config->filter);
	put(&out, "(|");
	put_question(&out, config, question);
	put(&out, "))");
	return out.is_full || out.count == 0 ? -1 : 0;
}

static bool skip_prefix(struct span *value, const char *prefix)
{
	size_t len = strlen(prefix);

	if (value->len < len || strncasecmp((const char *)value->data, prefix, len) != 0)
		return false;
	*value = span_of(value->data + len, value->len - len);
	return true;
}

static bool is_address(struct span value, const char *wanted)
{
	char folded[IDENTITY_ADDRESS_MAX + 1];

	return address_fold(value, folded) == 0 && strcmp(folded, wanted) == 0;
}

static bool is_same_text(struct span value, const char *wanted)
{
	char one[DIRECTORY_VALUE_MAX + 1], two[DIRECTORY_VALUE_MAX + 1];
	int one_len = unicode_fold(value, one, sizeof(one));
	int two_len = unicode_fold(span_of_string(wanted), two, sizeof(two));

	return one_len > 0 && one_len == two_len && memcmp(one, two, (size_t)one_len) == 0;
}

static bool is_binding_attribute(const struct config_directory *config, const char *attribute)
{
	for (size_t i = 0; i < config->binding_attribute_count; i++)
		if (strcasecmp(config->binding_attributes[i], attribute) == 0)
			return true;
	return false;
}

static bool is_attribute(const char *configured, const char *attribute)
{
	return configured[0] != '\0' && strcasecmp(configured, attribute) == 0;
}

bool directory_value_matches(const struct config_directory *config,
	const struct directory_question *question, const char *attribute, struct span value)
{
	bool is_binding = is_binding_attribute(config, attribute);
	uint8_t sid[68];
	size_t sid_len;

	switch (question->kind) {
	case CONFIG_NAME_PRINCIPAL:
		if (is_attribute(config->upn_attribute, attribute) &&
			is_address(value, question->value))
			return true;
		return is_binding && skip_prefix(&value, "X509:<PN>") &&
		       is_address(value, question->value);
	case CONFIG_NAME_RFC822:
	case CONFIG_NAME_SMTP_UTF8:
		if (is_attribute(config->address_attribute, attribute))
			skip_prefix(&value, "smtp:"); /* some directories have none */
		else if (!is_attribute(config->mail_attribute, attribute) &&
			 !(is_binding && skip_prefix(&value, "X509:<RFC822>")))
			return false;
		return is_address(value, question->value);
	case CONFIG_NAME_SID:
		sid_len = directory_sid_bytes(question->value, sid);
		return sid_len > 0 && is_attribute(config->sid_attribute, attribute) &&
		       span_equal(value, span_of(sid, sid_len));
	default: return is_binding && is_same_text(value, question->value);
	}
}

bool directory_is_primary(struct span value, struct span *address)
{
	static const char prefix[] = "SMTP:";

	if (value.len < sizeof(prefix) - 1 || memcmp(value.data, prefix, sizeof(prefix) - 1) != 0)
		return false;
	*address = span_of(value.data + sizeof(prefix) - 1, value.len - (sizeof(prefix) - 1));
	return true;
}

void directory_skip_smtp(struct span *value)
{
	skip_prefix(value, "smtp:");
}
