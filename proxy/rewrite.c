#include "proxy/rewrite.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* A field's name in lower case; a "*" at its end stands for any further characters. */
struct pattern {
	const char *text;
	size_t len;
};

#define PATTERN(text)                                                                              \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* Fields that are ours to write, or that no phone has business sending. */
static const struct pattern taken_out[] = {
	PATTERN("authorization"),
	PATTERN("proxy-*"),
	PATTERN("host"),
	PATTERN("content-length"),
	PATTERN("transfer-encoding"),
	PATTERN("te"),
	PATTERN("trailer"),
	PATTERN("upgrade"),
	PATTERN("http2-settings"),
	PATTERN("expect"),
	PATTERN("keep-alive"),
	PATTERN("connection"),
	PATTERN("client-cert"),
	PATTERN("client-cert-chain"),
	PATTERN("client-verify"),
	PATTERN("ssl-*"),
	PATTERN("x-ssl-*"),
	PATTERN("x-client-*"),
	PATTERN("x-tls-*"),
	PATTERN("x-arr-*"),
	PATTERN("forwarded"),
	PATTERN("x-forwarded*"),
	PATTERN("x-original-*"),
	PATTERN("x-rewrite-*"),
	PATTERN("x-http-method*"),
	PATTERN("x-method-override"),
	PATTERN("x-real-ip"),
	PATTERN("x-cluster-client-ip"),
	PATTERN("true-client-ip"),
	PATTERN("via"),
	PATTERN("remote-*"),
	PATTERN("x-remote-*"),
	PATTERN("auth-*"),
	PATTERN("x-auth*"),
	PATTERN("x-user*"),
	PATTERN("x-webauth*"),
	PATTERN("x-webobjects-*"),
	PATTERN("x-ms-client-principal*"),
	PATTERN("x-ms-token-*"),
	PATTERN("x-commonaccesstoken"),
	PATTERN("x-isfrom*"),
	PATTERN("x-anchormailbox"),
	PATTERN("x-ms-exchange-*"),
	PATTERN("msexch*"),
};

/* Exactly but for case. What only resembles a name is not plain, and never gets here. */
static bool is_listed(struct span name, const struct pattern *patterns, size_t count)
{
	int first = name.len > 0 ? name.data[0] | 0x20 : 0; /* a letter in lower case */

	for (size_t i = 0; i < count; i++) {
		const char *text = patterns[i].text;
		size_t len = patterns[i].len;
		bool is_prefix = text[len - 1] == '*';

		if (text[0] != first)
			continue;
		if (is_prefix ? name.len < --len : name.len != len)
			continue;
		if (strncasecmp((const char *)name.data, text, len) == 0)
			return true;
	}
	return false;
}

/* Some servers read "_" and other characters as "-", or drop them: such names do not pass. */
static bool is_plain_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			    c == '-'))
			return false;
	}
	return true;
}

/* Whether a phone's field is kept from the endpoint: hop-by-hop ones, framing, Host, Expect,
 * credentials, every field by which some server learns who a user is, the configured identity
 * headers, and whatever could be mistaken for one of them. */
static bool is_taken_out(
	const struct config *config, const struct http_head *head, const struct http_field *field)
{
	if (!is_plain_name(field->name) || http_field_is_hop_by_hop(head, field))
		return true;
	if (is_listed(field->name, taken_out, sizeof(taken_out) / sizeof(taken_out[0])))
		return true;
	for (size_t i = 0; i < config->upstream.header_count; i++)
		if (http_field_resembles(field->name, config->upstream.headers[i].name))
			return true;
	if (config->assertion.header[0] != '\0' &&
		http_field_resembles(field->name, config->assertion.header))
		return true;
	for (size_t i = 0; i < config->identity_header_count; i++)
		if (http_field_resembles(field->name, config->identity_headers[i]))
			return true;
	return false;
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

		if (is_taken_out(config, head, field))
			continue;
		if (content_type != NULL &&
			(span_equal_nocase(field->name, "content-type") ||
				span_equal_nocase(field->name, "accept-encoding")))
			continue;
		http_write_field(writer, field->name, field->value);
	}
}
