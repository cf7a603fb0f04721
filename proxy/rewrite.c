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

/* ":BASE64:", the byte sequence of RFC 8941 3.3.5, appended to text. Returns the new length, or 0
 * where it does not fit. */
static size_t append_certificate(char *text, size_t len, size_t size, X509 *certificate)
{
	unsigned char *der = NULL;
	int der_len = i2d_X509(certificate, &der);
	size_t needed;

	if (der_len <= 0)
		return 0;
	needed = 4 * (((size_t)der_len + 2) / 3) + 2;
	if (needed + 1 > size - len) {
		OPENSSL_free(der);
		return 0;
	}
	text[len] = ':';
	EVP_EncodeBlock((unsigned char *)text + len + 1, der, der_len);
	text[len + needed - 1] = ':';
	OPENSSL_free(der);
	return len + needed;
}

/* RFC 9440 2.2 and 2.3. The chain is what the phone sent, without its own certificate. */
static void write_client_certificate(
	struct http_writer *writer, X509 *leaf, const STACK_OF(X509) * chain)
{
	enum { SIZE = 12 * 1024 };
	char *text = malloc(SIZE);
	size_t len = text != NULL && leaf != NULL ? append_certificate(text, 0, SIZE, leaf) : 0;

	if (len == 0) {
		writer->has_failed = true;
		free(text);
		return;
	}
	http_write_field(writer, span_of_string("Client-Cert"), span_of(text, len));
	len = 0;
	for (int i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
		X509 *certificate = sk_X509_value(chain, i);
		size_t start = len;

		if (X509_cmp(certificate, leaf) == 0)
			continue;
		if (len > 0 && len + 2 < SIZE) {
			text[len] = ',';
			text[len + 1] = ' ';
			start += 2;
		}
		len = append_certificate(text, start, SIZE, certificate);
		if (len == 0)
			break; /* too long for a field: the leaf alone is sent */
	}
	if (len > 0)
		http_write_field(writer, span_of_string("Client-Cert-Chain"), span_of(text, len));
	free(text);
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
	const char *content_type, X509 *leaf, const STACK_OF(X509) * chain)
{
	/* The login comes first: some servers take the first of two fields of a name. */
	write_headers(writer, &config->upstream, values);
	if (config->upstream.login == CONFIG_LOGIN_CLIENT_CERT)
		write_client_certificate(writer, leaf, chain);
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
