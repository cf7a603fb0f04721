#include "proxy/rewrite.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/field_list.h"
#include "proxy/http_chars.h"

/* Fields that are ours to write, or that no phone has business sending; "*": any further characters. */
static const char *const taken_out[] = {
	"authorization",
	"proxy-*",
	"host",
	"content-length",
	"transfer-encoding",
	"te",
	"trailer",
	"upgrade",
	"http2-settings",
	"expect",
	"keep-alive",
	"connection",
	"client-cert",
	"client-cert-chain",
	"client-verify",
	"ssl-*",
	"x-ssl-*",
	"x-client-*",
	"x-tls-*",
	"x-arr-*",
	"forwarded",
	"x-forwarded*",
	"x-original-*",
	"x-rewrite-*",
	"x-http-method*",
	"x-method-override",
	"x-real-ip",
	"x-cluster-client-ip",
	"true-client-ip",
	"via",
	"remote-*",
	"x-remote-*",
	"auth-*",
	"x-auth*",
	"x-user*",
	"x-webauth*",
	"x-webobjects-*",
	"x-ms-client-principal*",
	"x-ms-token-*",
	"x-commonaccesstoken",
	"x-isfrom*",
	"x-anchormailbox",
	"x-ms-exchange-*",
	"msexch*",
};

/* Exactly but for case. What only resembles a name is not plain, and never gets here. */
static bool is_ours(const struct http_field *field)
{
	static struct field_list list;
	static uint64_t numbers; /* of the names that have one */

	if (list.count == 0) {
		for (size_t i = 0; i < sizeof(taken_out) / sizeof(taken_out[0]); i++)
			field_list_add(&list, taken_out[i]);
		for (unsigned int i = HTTP_NAME_OTHER + 1; i < HTTP_NAME_COUNT; i++)
			if (field_list_find(
				    &list, span_of_string(http_name_text((enum http_name)i))) != -1)
				numbers |= HTTP_NAME_BIT(i);
	}
	return field->number != HTTP_NAME_OTHER ? http_name_is_in(numbers, field->number)
						: field_list_find(&list, field->name) != -1;
}

/* Some servers read "_" and other characters as "-", or drop them: such names do not pass. */
static bool is_plain_name(const struct http_field *field)
{
	struct span name = field->name;

	return field->number != HTTP_NAME_OTHER ||
	       (http_chars_are(name, HTTP_CHAR_HOST) && memchr(name.data, '_', name.len) == NULL &&
		       memchr(name.data, '.', name.len) == NULL);
}

static uint32_t letter_bit(uint8_t letter)
{
	return UINT32_C(1) << (http_letter_folded(letter) & 31);
}

/* The letters, some of them as one, that the configured identity headers begin with. */
static uint32_t configured_letters(const struct config *config)
{
	uint32_t letters = letter_bit((uint8_t)config->assertion.header[0]);

	for (size_t i = 0; i < config->upstream.header_count; i++)
		letters |= letter_bit((uint8_t)config->upstream.headers[i].name[0]);
	for (size_t i = 0; i < config->identity_header_count; i++)
		letters |= letter_bit((uint8_t)config->identity_headers[i][0]);
	return letters;
}

/* Whether it could be mistaken for one of the configured identity headers. */
static bool is_configured(const struct config *config, struct span name)
{
	for (size_t i = 0; i < config->upstream.header_count; i++)
		if (http_field_resembles(name, config->upstream.headers[i].name))
			return true;
	if (config->assertion.header[0] != '\0' &&
		http_field_resembles(name, config->assertion.header))
		return true;
	for (size_t i = 0; i < config->identity_header_count; i++)
		if (http_field_resembles(name, config->identity_headers[i]))
			return true;
	return false;
}

/* Whether a phone's field is kept from the endpoint: hop-by-hop ones, framing, Host, Expect,
 * credentials, every field by which some server learns who a user is, the configured identity
 * headers (that begin with one of the letters), and whatever could be mistaken for one of them. */
static bool is_taken_out(const struct config *config, uint32_t letters,
	const struct http_head *head, const struct http_field *field)
{
	/* All that is hop by hop by its name is ours. */
	return !is_plain_name(field) || is_ours(field) || http_field_is_connections(head, field) ||
	       ((letters & letter_bit(field->name.data[0])) != 0 &&
		       is_configured(config, field->name));
}

static void write_basic(struct http_writer *writer, const struct config_upstream *upstream,
	const struct template_values *values)
{
	struct error ignored;
	char credentials[1024];
	char text[1400] = "Basic ";
	size_t password_len = 0;
	char *password = config_file_read(&upstream->basic_password, &password_len, &ignored);
	size_t user_len;

	if (password == NULL || template_fill(upstream->basic_user, values, credentials,
					sizeof(credentials)) != 0) {
		writer->has_failed = true;
		goto out;
	}
	password[strcspn(password, "\r\n")] = '\0';
	user_len = strlen(credentials);
	credentials[user_len++] = ':';
	if (user_len >= sizeof(credentials) - 1 ||
		template_fill(password, values, credentials + user_len,
			sizeof(credentials) - user_len) != 0) {
		writer->has_failed = true;
		goto out;
	}
	EVP_EncodeBlock((unsigned char *)text + 6, (const unsigned char *)credentials,
		(int)strlen(credentials));
	http_write_field_text(writer, "Authorization", text);
out:
	if (password != NULL)
		OPENSSL_cleanse(password, password_len);
	OPENSSL_cleanse(credentials, sizeof(credentials));
	OPENSSL_cleanse(text, sizeof(text));
	free(password);
}

static void write_headers(struct http_writer *writer, const struct config_upstream *upstream,
	const struct template_values *values)
{
	char value[1024];

	for (size_t i = 0; i < upstream->header_count; i++) {
		if (template_fill(upstream->headers[i].value, values, value, sizeof(value)) != 0)
			writer->has_failed = true;
		else
			http_write_field_text(writer, upstream->headers[i].name, value);
	}
}

void rewrite_request_fields(struct http_writer *writer, const struct config *config,
	const struct http_head *head, const struct template_values *values,
	const char *content_type, const struct client_fields *client)
{
	uint32_t letters = configured_letters(config);

	/* The login comes first: some servers take the first of two fields of a name. */
	write_headers(writer, &config->upstream, values);
	if (config->upstream.login == CONFIG_LOGIN_CLIENT_CERT && client != NULL)
		client_fields_write(client, writer);
	else if (config->upstream.login == CONFIG_LOGIN_CLIENT_CERT)
		writer->has_failed = true;
	if (config->upstream.login == CONFIG_LOGIN_BASIC)
		write_basic(writer, &config->upstream, values);
	if (content_type != NULL)
		http_write_field_text(writer, "Content-Type", content_type);
	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (content_type != NULL && (field->number == HTTP_NAME_CONTENT_TYPE ||
						    field->number == HTTP_NAME_ACCEPT_ENCODING))
			continue;
		if (is_taken_out(config, letters, head, field))
			continue;
		http_write_field_again(writer, field);
	}
}
