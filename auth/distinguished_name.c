#include "auth/distinguished_name.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/unicode.h"

struct writer {
	char *text;
	size_t size, len;
	bool is_full;
};

static void put(struct writer *out, const char *bytes, size_t len)
{
	if (out->is_full || len >= out->size - out->len) {
		out->is_full = true;
		return;
	}
	memcpy(out->text + out->len, bytes, len);
	out->len += len;
	out->text[out->len] = '\0';
}

static void put_type(struct writer *out, const ASN1_OBJECT *type)
{
	/* Windows' words (CertNameToStr) where they are not OpenSSL's. */
	static const struct {
		int nid;
		const char *word;
	} words[] = {
		{NID_commonName, "CN"},
		{NID_localityName, "L"},
		{NID_organizationName, "O"},
		{NID_organizationalUnitName, "OU"},
		{NID_pkcs9_emailAddress, "E"},
		{NID_countryName, "C"},
		{NID_stateOrProvinceName, "S"},
		{NID_streetAddress, "STREET"},
		{NID_title, "T"},
		{NID_givenName, "G"},
		{NID_initials, "I"},
		{NID_surname, "SN"},
		{NID_domainComponent, "DC"},
		{NID_serialNumber, "SERIALNUMBER"},
		{NID_description, "Description"},
		{NID_postalCode, "PostalCode"},
		{NID_postOfficeBox, "POBox"},
		{NID_telephoneNumber, "Phone"},
		{NID_dnQualifier, "dnQualifier"},
	};
	char oid[128];
	int nid = OBJ_obj2nid(type);
	int len;

	for (size_t i = 0; nid != NID_undef && i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].nid == nid) {
			put(out, words[i].word, strlen(words[i].word));
			return;
		}
	}
	len = OBJ_obj2txt(oid, sizeof(oid), type, 1);
	if (len <= 0 || (size_t)len >= sizeof(oid)) {
		out->is_full = true;
		return;
	}
	put(out, "OID.", 4);
	put(out, oid, (size_t)len);
}

static bool needs_quotes(struct span value)
{
	if (value.len == 0 || value.data[0] == ' ' || value.data[value.len - 1] == ' ')
		return true;
	for (size_t i = 0; i < value.len; i++)
		if (strchr(",+=\"<>#;", value.data[i]) != NULL)
			return true;
	return false;
}

static void put_value(struct writer *out, struct span value)
{
	if (!needs_quotes(value)) {
		put(out, (const char *)value.data, value.len);
		return;
	}
	put(out, "\"", 1);
	for (size_t i = 0; i < value.len; i++) {
		put(out, (const char *)value.data + i, 1);
		if (value.data[i] == '"')
			put(out, "\"", 1);
	}
	put(out, "\"", 1);
}

static int put_entry(struct writer *out, const X509_NAME_ENTRY *entry)
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
	int result = -1;

	if (len >= 0 && unicode_is_plain(span_of(utf8, (size_t)len), true)) {
		put_type(out, X509_NAME_ENTRY_get_object(entry));
		put(out, "=", 1);
		put_value(out, span_of(utf8, (size_t)len));
		result = out->is_full ? -1 : 0;
	}
	OPENSSL_free(utf8);
	ERR_clear_error();
	return result;
}

int distinguished_name_write(const X509_NAME *name, char *text, size_t size)
{
	struct writer out = {.text = text, .size = size};
	int count = X509_NAME_entry_count(name), set = -1;

	for (int i = 0; i < count; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);

		/* Those of one relative name share a number. */
		if (i > 0)
			put(&out, X509_NAME_ENTRY_set(entry) == set ? "+" : ",", 1);
		set = X509_NAME_ENTRY_set(entry);
		if (put_entry(&out, entry) == -1)
			return -1;
	}
	return count > 0 ? (int)out.len : -1;
}
