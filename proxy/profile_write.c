#include "proxy/profile_write.h"

#include <ctype.h>
#include <libxml/xmlwriter.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UUID_SIZE = 37, IDENTIFIER_MAX = 500 };

/* Each write returns a negative number where memory runs out; one of them is enough to know. */
struct writing {
	xmlTextWriterPtr xml;
	const struct profile_content *content;
	bool has_failed;
};

static void check(struct writing *writing, int written)
{
	writing->has_failed |= written < 0;
}

static void begin(struct writing *writing, const char *name)
{
	check(writing, xmlTextWriterStartElement(writing->xml, BAD_CAST name));
}

static void end(struct writing *writing)
{
	check(writing, xmlTextWriterEndElement(writing->xml));
}

static void element(struct writing *writing, const char *name, const char *text)
{
	begin(writing, name);
	check(writing, xmlTextWriterWriteString(writing->xml, BAD_CAST text));
	end(writing);
}

static void string(struct writing *writing, const char *key, const char *text)
{
	if (text == NULL)
		return;
	element(writing, "key", key);
	element(writing, "string", text);
}

static void integer(struct writing *writing, const char *key, const char *digits)
{
	element(writing, "key", key);
	element(writing, "integer", digits);
}

static void boolean(struct writing *writing, const char *key, bool value)
{
	element(writing, "key", key);
	begin(writing, value ? "true" : "false");
	end(writing);
}

static void data(struct writing *writing, const char *key, struct span bytes)
{
	char *text = malloc(4 * ((bytes.len + 2) / 3) + 1);

	element(writing, "key", key);
	if (text == NULL) {
		writing->has_failed = true;
		return;
	}
	EVP_EncodeBlock((unsigned char *)text, bytes.data, (int)bytes.len);
	element(writing, "data", text);
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
		writing->has_failed = true;
	string(writing, "PayloadType", type);
	integer(writing, "PayloadVersion", "1");
	string(writing, "PayloadIdentifier", identifier);
	string(writing, "PayloadUUID", uuid);
	string(writing, "PayloadDisplayName", name);
	string(writing, "PayloadOrganization", writing->content->organization);
}

static void write_certificate(struct writing *writing)
{
	begin(writing, "dict");
	common(writing, "com.apple.security.pkcs12", "certificate", writing->content->mailbox);
	string(writing, "PayloadCertificateFileName", "certificate.p12");
	string(writing, "Password", writing->content->password);
	data(writing, "PayloadContent", writing->content->pkcs12);
	end(writing);
}

static void write_account(struct writing *writing)
{
	char uuid[UUID_SIZE] = "";

	if (make_uuid(writing->content, "certificate", uuid) != 0)
		writing->has_failed = true;
	begin(writing, "dict");
	common(writing, "com.apple.eas.account", "account", writing->content->mailbox);
	string(writing, "EmailAddress", writing->content->mailbox);
	string(writing, "UserName", writing->content->mailbox);
	string(writing, "Host", writing->content->host);
	boolean(writing, "SSL", true);
	string(writing, "PayloadCertificateUUID", uuid);
	end(writing);
}

static void write_authority(struct writing *writing, size_t nth)
{
	char part[32];

	snprintf(part, sizeof(part), "authority-%zu", nth + 1);
	begin(writing, "dict");
	common(writing,
		writing->content->authority_is_root[nth] ? "com.apple.security.root"
							 : "com.apple.security.pkcs1",
		part, "Certificate authority of the mail server");
	data(writing, "PayloadContent", writing->content->authorities[nth]);
	end(writing);
}

static void write_document(struct writing *writing)
{
	check(writing, xmlTextWriterSetIndent(writing->xml, 1));
	check(writing, xmlTextWriterSetIndentString(writing->xml, BAD_CAST "\t"));
	check(writing, xmlTextWriterStartDocument(writing->xml, NULL, "UTF-8", NULL));
	check(writing, xmlTextWriterWriteDTD(writing->xml, BAD_CAST "plist",
			       BAD_CAST "-//Apple//DTD PLIST 1.0//EN",
			       BAD_CAST "http://www.apple.com/DTDs/PropertyList-1.0.dtd", NULL));
	begin(writing, "plist");
	check(writing,
		xmlTextWriterWriteAttribute(writing->xml, BAD_CAST "version", BAD_CAST "1.0"));
	begin(writing, "dict");
	common(writing, "Configuration", "", writing->content->mailbox);
	string(writing, "PayloadDescription",
		"Mail, calendar and contacts by Exchange ActiveSync with a certificate");
	element(writing, "key", "PayloadContent");
	begin(writing, "array");
	write_certificate(writing);
	for (size_t i = 0; i < writing->content->authority_count; i++)
		write_authority(writing, i);
	write_account(writing);
	check(writing, xmlTextWriterEndDocument(writing->xml));
}

int profile_write(
	const struct profile_content *content, struct wbxml_buffer *out, struct error *err)
{
	xmlBufferPtr buffer = xmlBufferCreate();
	struct writing writing = {.content = content, .has_failed = buffer == NULL};

	if (buffer != NULL)
		writing.xml = xmlNewTextWriterMemory(buffer, 0);
	if (writing.xml == NULL)
		writing.has_failed = true;
	else
		write_document(&writing);
	if (writing.xml != NULL)
		xmlFreeTextWriter(writing.xml); /* writes what it still has */
	if (!writing.has_failed)
		wbxml_buffer_append(out, xmlBufferContent(buffer), (size_t)xmlBufferLength(buffer));
	xmlBufferFree(buffer);
	if (writing.has_failed || out->has_failed)
		return error_set(err, "writing the profile: out of memory, or too large");
	return 0;
}
