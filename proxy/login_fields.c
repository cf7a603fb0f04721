#include "proxy/login_fields.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

char *login_fields_negotiate(struct span token)
{
	static const char scheme[] = "Negotiate ";
	size_t len = sizeof(scheme) - 1;
	char *value = malloc(len + 4 * ((token.len + 2) / 3) + 1);

	if (value == NULL)
		return NULL;
	memcpy(value, scheme, len);
	EVP_EncodeBlock((unsigned char *)value + len, token.data, (int)token.len);
	return value;
}

void login_fields_negotiate_free(char *value)
{
	if (value != NULL)
		OPENSSL_cleanse(value, strlen(value));
	free(value);
}

static void write_bearer(struct http_writer *writer, struct span token)
{
	static const char scheme[] = "Bearer ";
	char value[sizeof(scheme) + LOGIN_SECRET_MAX];

	if (token.len == 0 || token.len > LOGIN_SECRET_MAX) {
		writer->has_failed = true;
		return;
	}
	memcpy(value, scheme, sizeof(scheme) - 1);
	memcpy(value + sizeof(scheme) - 1, token.data, token.len);
	http_write_field(writer, span_of_string("Authorization"),
		span_of(value, sizeof(scheme) - 1 + token.len));
	OPENSSL_cleanse(value, sizeof(scheme) - 1 + token.len);
}

void login_fields_write(struct http_writer *writer, const struct config *config,
	const struct login *login, const char *negotiate)
{
	struct span assertion;

	if (negotiate != NULL)
		http_write_field_text(writer, "Authorization", negotiate);
	if (config->upstream.login == CONFIG_LOGIN_BEARER)
		write_bearer(writer, login_secret(login, LOGIN_BEARER));
	if (config->assertion.header[0] != '\0') {
		assertion = login_secret(login, LOGIN_ASSERTION);
		writer->has_failed |= assertion.len == 0;
		http_write_field(writer, span_of_string(config->assertion.header), assertion);
	}
}
