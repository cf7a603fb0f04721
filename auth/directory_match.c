#include "auth/directory_match.h"

#include <inttypes.h>
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

int directory_sid_text(struct span bytes, char *text, size_t size)
{
	uint64_t authority = 0;
	int len;

	if (bytes.len < 12 || bytes.data[0] != 1 || bytes.data[1] > SID_PARTS_MAX ||
		bytes.len != 8 + 4 * (size_t)bytes.data[1])
		return -1;
	for (size_t i = 2; i < 8; i++)
		authority = authority << 8 | bytes.data[i];
	len = snprintf(text, size, "S-1-%" PRIu64, authority);
	for (const uint8_t *at = bytes.data + 8; at < bytes.data + bytes.len; at += 4) {
		uint32_t part = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
				(uint32_t)at[3] << 24;

		if (len < 0 || (size_t)len >= size)
			return -1;
		len += snprintf(text + len, size - (size_t)len, "-%" PRIu32, part);
	}
	return len > 0 && (size_t)len < size ? 0 : -1;
}

/* The end of an attribute's value: a comma that is not escaped (RFC 4514 2.4). */
static const char *rdn_end(const char *at)
{
	while (*at != '\0' && *at != ',')
		at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
	return at;
}

/* Appends ".label" in capitals. False: it is no label of a realm's, or does not fit. */
static bool append_label(char *realm, size_t *len, size_t size, const char *label, size_t label_len)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";

	if (label_len == 0 || strspn(label, letters) < label_len || *len + label_len + 2 > size)
		return false;
	if (*len > 0)
		realm[(*len)++] = '.';
	for (size_t i = 0; i < label_len; i++) {
		bool is_small = label[i] >= 'a' && label[i] <= 'z';

		realm[(*len)++] = (char)(is_small ? label[i] - 'a' + 'A' : label[i]);
	}
	realm[*len] = '\0';
	return true;
}

void directory_realm(const char *dn, char *realm, size_t size)
{
	const char *at = dn;
	size_t len = 0;

	realm[0] = '\0';
	while (*at != '\0') {
		const char *end = rdn_end(at);

		if (strncasecmp(at, "DC=", 3) == 0 &&
			!append_label(realm, &len, size, at + 3, (size_t)(end - at) - 3)) {
			realm[0] = '\0';
			return;
		}
		at = *end == ',' ? end + 1 : end;
	}
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
