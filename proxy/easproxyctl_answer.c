#include "proxy/easproxyctl_answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base64.h"

enum { BASE64_SIZE_MAX = 131072 };

const char *answer_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

long long answer_number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

bool answer_is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const char *answer_crl_number(
	const json_t *object, const char *key, char text[ANSWER_CRL_NUMBER_SIZE])
{
	char hex_key[40];

	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	if (answer_text(object, key)[0] == '\0')
		snprintf(text, ANSWER_CRL_NUMBER_SIZE, "none");
	else
		snprintf(text, ANSWER_CRL_NUMBER_SIZE, "%s (0x%s)", answer_text(object, key),
			answer_text(object, hex_key));
	return text;
}

const char *answer_moment(int64_t moment, char text[MOMENT_TEXT_SIZE])
{
	if (moment == 0)
		snprintf(text, MOMENT_TEXT_SIZE, "-");
	else
		moment_write(moment, text);
	return text;
}

X509 *answer_certificate(const json_t *base64)
{
	struct span text = span_of(json_string_value(base64), json_string_length(base64));
	uint8_t *der = text.len > 0 && text.len <= BASE64_SIZE_MAX ? malloc(text.len) : NULL;
	const unsigned char *at = der;
	X509 *certificate = NULL;
	size_t len;

	if (der != NULL && base64_decode(text, der, &len) == 0)
		certificate = d2i_X509(NULL, &at, (long)len);
	free(der);
	return certificate;
}

void answer_print(const json_t *value, size_t flags)
{
	json_dumpf(value, stdout, flags);
	putchar('\n');
}
