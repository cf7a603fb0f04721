/*
 * What LDAP servers answer, and what of a certificate becomes a question to them: the first byte is
 * the kind, then a value that is asked for, a NUL, and a value that an entry has. A filter holds no
 * character of the value that has a meaning in filters; what matches does so in both directions.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "auth/binding.h"
#include "auth/directory_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *bindings[] = {"b"};
static const struct config_directory config = {.filter = "",
	.address_attribute = "a",
	.mail_attribute = "m",
	.upn_attribute = "u",
	.sid_attribute = "s",
	.control_attribute = "c",
	.binding_attributes = bindings,
	.binding_attribute_count = 1};

static void require(bool is_so)
{
	if (!is_so)
		abort();
}

static void check_filter(const struct directory_question *question)
{
	static char filter[DIRECTORY_FILTER_SIZE];
	size_t open = 0, close = 0, equal = 0;

	require(directory_filter_write(&config, question, filter, sizeof(filter)) == 0);
	for (const char *c = filter; *c != '\0'; c++) {
		open += *c == '(';
		close += *c == ')';
		equal += *c == '=';
		require(*c != '*' && *c > 0x20 && *c < 0x7f);
	}
	require(open == close && open == equal + 2);
}

static void check_match(struct directory_question *question, struct span value)
{
	static const char *const attributes[] = {"a", "m", "u", "s", "b", "c"};

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (directory_value_matches(&config, question, attributes[i], value))
			require(i < 5 && value.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct directory_question question = {.kind = 0};
	char folded[IDENTITY_ADDRESS_MAX + 1], again[IDENTITY_ADDRESS_MAX + 1];
	const uint8_t *end;
	size_t len;

	if (size < 2)
		return 0;
	end = memchr(data + 1, '\0', size - 1);
	len = end != NULL ? (size_t)(end - data) - 1 : size - 1;
	if (len > DIRECTORY_VALUE_MAX)
		return 0;
	question.kind = data[0] % CONFIG_NAME_COUNT;
	memcpy(question.value, data + 1, len);
	check_filter(&question);
	check_match(&question, span_of(data + 1 + len, size - 1 - len));
	check_match(&question, span_of(data + 1, len));
	(void)binding_is_sid(span_of(data + 1, len));
	if (binding_is_value(span_of(data + 1, len)))
		require(memcmp(data + 5, ":", 1) == 0);
	/* To bring an address into its one form twice is to do it once. */
	if (address_fold(span_of(data + 1, len), folded) == 0) {
		require(address_fold(span_of_string(folded), again) == 0);
		require(strcmp(folded, again) == 0);
	}
	return 0;
}
