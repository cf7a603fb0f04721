#include "proxy/profile_write.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/xml_write.h"

enum { UUID_SIZE = 37, IDENTIFIER_MAX = 500 };

struct writing {
	struct xml_writing xml;
	const struct profile_content *content;
};

static void string(struct writing *writing, const char *key, const char *text)
{
	if (text == NULL)
		return;
	xml_element(&writing->xml, "key", key);
	xml_element(&writing->xml, "string", text);
}

static void integer(struct writing *writing, const char *key, const char *digits)
{
	xml_element(&writing->xml, "key", key);
	xml_element(&writing->xml, "integer", digits);
}

static void boolean(struct writing *writing, const char *key, bool value)
{
	xml_element(&writing->xml, "key", key);
	xml_element_begin(&writing->xml, value ? "true" : "false");
	xml_element_end(&writing->xml);
}

static void data(struct writing *writing, const char *key, struct span bytes)
{
	char *text = malloc(4 * ((bytes.len + 2) / 3) + 1);

	xml_element(&writing->xml, "key", key);
	if (text == NULL) {
		writing->xml.has_failed = true;
		return;
	}
	EVP_EncodeBlock((unsigned char *)text, bytes.data, (int)bytes.len);
	xml_element(&writing->xml, "data", text);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
}

/* RFC 9562 5.5 in form, with SHA-256 for SHA-1: the same for the same part of the same content. */
static int make_uuid(const struct profile_content *content, const char *part, char uuid[UUID_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char d[EVP_MAX_MD_SIZE];
	const char *texts[] = {
		"easproxy configuration profile", part, content->mailbox, content->host};
	int status = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 ? 0 : -1;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && status == 0; i++)
		if (EVP_DigestUpdate(ctx, texts[i], strlen(texts[i]) + 1) != 1)
			status = -1;
	if (status == 0 && (EVP_DigestUpdate(ctx, content->pkcs12.data, content->pkcs12.len) != 1 ||
				   EVP_DigestFinal_ex(ctx, d, NULL) != 1))
		status = -1;
	EVP_MD_CTX_free(ctx);
	if (status != 0)
		return -1;
	d[6] = (unsigned char)((d[6] & 0x0f) | 0x50);
	d[8] = (unsigned char)((d[8] & 0x3f) | 0x80);
	snprintf(uuid, UUID_SIZE,
		"%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", d[0], d[1],
		d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14],
		d[15]);
	return 0;
}

/* "easproxy.mail.example.com.alice.example.com.account": by it a phone knows that a profile is a newer one
 * of the same. */
static void make_identifier(
	const struct profile_content *content, const char *part, char identifier[IDENTIFIER_MAX])
{
	snprintf(identifier, IDENTIFIER_MAX, "easproxy.%.200s.%.200s%s%s", content->host,
		content->mailbox, part[0] != '\0' ? "." : "", part);
	for (char *c = identifier; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
			*c = *c == '@' ? '.' : '-';
}

static void common(struct writing *writing, const char *type, const char *part, const char *name)
{
	char identifier[IDENTIFIER_MAX], uuid[UUID_SIZE] = "";

	make_identifier(writing->content, part, identifier);
	if (make_uuid(writing->content, part, uuid) != 0)
		writing->xml.has_failed = true;
	string(writing, "PayloadType", type);
	integer(writing, "PayloadVersion", "1");
	string(writing, "PayloadIdentifier", identifier);
	string(writing, "PayloadUUID", uuid);
	string(writing, "PayloadDisplayName", name);
	string(writing, "PayloadOrganization", writing->content->organization);
}

static void write_certificate(struct writing *writing)
{
	xml_element_begin(&writing->xml, "dict");
	common(writing, "com.apple.security.pkcs12", "certificate", writing->content->mailbox);
	string(writing, "PayloadCertificateFileName", "certificate.p12");
	string(writing, "Password", writing->content->password);
	data(writing, "PayloadContent", writing->content->pkcs12);
	xml_element_end(&writing->xml);
}

static void write_account(struct writing *writing)
{
	char uuid[UUID_SIZE] = "";

	if (make_uuid(writing->content, "certificate", uuid) != 0)
		writing->xml.has_failed = true;
	xml_element_begin(&writing->xml, "dict");
	common(writing, "com.apple.eas.account", "account", writing->content->mailbox);
	string(writing, "EmailAddress", writing->content->mailbox);
	string(writing, "UserName", writing->content->mailbox);
	string(writing, "Host", writing->content->host);
	boolean(writing, "SSL", true);
	string(writing, "PayloadCertificateUUID", uuid);
	xml_element_end(&writing->xml);
}

static void write_authority(struct writing *writing, size_t nth)
{
	char part[32];

	snprintf(part, sizeof(part), "authority-%zu", nth + 1);
	xml_element_begin(&writing->xml, "dict");
	common(writing,
		writing->content->authority_is_root[nth] ? "com.apple.security.root"
							 : "com.apple.security.pkcs1",
		part, "Certificate authority of the mail server");
	data(writing, "PayloadContent", writing->content->authorities[nth]);
	xml_element_end(&writing->xml);
}

static void write_document(struct writing *writing)
{
	xml_write_check(&writing->xml, xmlTextWriterSetIndent(writing->xml.writer, 1));
	xml_write_check(
		&writing->xml, xmlTextWriterSetIndentString(writing->xml.writer, BAD_CAST "\t"));
	xml_write_check(&writing->xml,
		xmlTextWriterStartDocument(writing->xml.writer, NULL, "UTF-8", NULL));
	xml_write_check(&writing->xml,
		xmlTextWriterWriteDTD(writing->xml.writer, BAD_CAST "plist",
			BAD_CAST "-//Apple//DTD PLIST 1.0//EN",
			BAD_CAST "http://www.apple.com/DTDs/PropertyList-1.0.dtd", NULL));
	xml_element_begin(&writing->xml, "plist");
	xml_attribute(&writing->xml, "version", "1.0");
	xml_element_begin(&writing->xml, "dict");
	common(writing, "Configuration", "", writing->content->mailbox);
	string(writing, "PayloadDescription",
		"Mail, calendar and contacts by Exchange ActiveSync with a certificate");
	xml_element(&writing->xml, "key", "PayloadContent");
	xml_element_begin(&writing->xml, "array");
	write_certificate(writing);
	for (size_t i = 0; i < writing->content->authority_count; i++)
		write_authority(writing, i);
	write_account(writing);
	xml_write_check(&writing->xml, xmlTextWriterEndDocument(writing->xml.writer));
}

int profile_write(
	const struct profile_content *content, struct wbxml_buffer *out, struct error *err)
{
	struct writing writing = {.content = content};

	if (xml_write_begin(&writing.xml))
		write_document(&writing);
	if (xml_write_end(&writing.xml, out) != 0)
		return error_set(err, "writing the profile: out of memory, or too large");
	return 0;
}
