#include "config/pkcs11_uri.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/hex.h"
#include "config/span.h"

enum attribute_kind { ATTRIBUTE_TEXT, ATTRIBUTE_ID, ATTRIBUTE_SLOT, ATTRIBUTE_TYPE };

/* RFC 7512 2.3 */
static const struct attribute {
	const char *name;
	enum attribute_kind kind;
	size_t at, max; /* ATTRIBUTE_TEXT: where in the struct, and its longest value in octets */
} attributes[] = {
	{"token", ATTRIBUTE_TEXT, offsetof(struct pkcs11_uri, token), PKCS11_LABEL_MAX},
	{"manufacturer", ATTRIBUTE_TEXT, offsetof(struct pkcs11_uri, manufacturer),
		PKCS11_LABEL_MAX},
	{"model", ATTRIBUTE_TEXT, offsetof(struct pkcs11_uri, model), PKCS11_NUMBER_MAX},
	{"serial", ATTRIBUTE_TEXT, offsetof(struct pkcs11_uri, serial), PKCS11_NUMBER_MAX},
	{"object", ATTRIBUTE_TEXT, offsetof(struct pkcs11_uri, object), PKCS11_OBJECT_MAX},
	{"id", ATTRIBUTE_ID, 0, PKCS11_OBJECT_MAX},
	{"slot-id", ATTRIBUTE_SLOT, 0, PKCS11_NUMBER_MAX},
	{"type", ATTRIBUTE_TYPE, 0, PKCS11_NUMBER_MAX},
};

enum { ATTRIBUTE_COUNT = sizeof(attributes) / sizeof(attributes[0]) };

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char digits[] = "0123456789";
/* pk11-pchar beside letters and digits */
static const char marks[] = "-._~:[]@!$'()*+,=&";

static const struct attribute *find_attribute(struct span name)
{
	for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
		if (span_equal(name, span_of_string(attributes[i].name)))
			return &attributes[i];
	return NULL;
}

/* The octet at *text, which moves on; -1 where nothing that may stand there does. */
static int take_octet(struct span *text)
{
	int octet = text->data[0], high, low;
	size_t len = 1;

	if (octet == '%') {
		high = text->len < 3 ? -1 : hex_value((char)text->data[1]);
		low = text->len < 3 ? -1 : hex_value((char)text->data[2]);
		if (high == -1 || low == -1)
			return -1;
		octet = high << 4 | low;
		len = 3;
	} else if (octet == '\0' ||
		   (strchr(letters, octet) == NULL && strchr(digits, octet) == NULL &&
			   strchr(marks, octet) == NULL)) {
		return -1;
	}
	text->data += len;
	text->len -= len;
	return octet;
}

static int decode(const char *name, struct span text, uint8_t *value, size_t max, size_t *len,
	struct error *err)
{
	int octet;

	for (*len = 0; text.len > 0; (*len)++) {
		octet = take_octet(&text);
		if (octet == -1)
			return error_set(err,
				"a PKCS#11 URI has a character in '%s' that is to be written as "
				"%%XX (RFC 7512), or no two digits after a '%%'",
				name);
		if (*len == max)
			return error_set(err,
				"a PKCS#11 URI has a value of '%s' that is longer than %zu octets",
				name, max);
		value[*len] = (uint8_t)octet;
	}
	if (*len == 0)
		return error_set(err, "a PKCS#11 URI has an empty '%s'; leave it out", name);
	return 0;
}

static int read_slot(const char *text, struct pkcs11_uri *uri, struct error *err)
{
	char *end;

	errno = 0;
	uri->has_slot = true;
	uri->slot = strtoul(text, &end, 10);
	if (strchr(digits, text[0]) == NULL || *end != '\0' || errno != 0)
		return error_set(err, "a PKCS#11 URI has a 'slot-id' that is not a number");
	return 0;
}

static int read_value(const struct attribute *attribute, struct span text, struct pkcs11_uri *uri,
	struct error *err)
{
	uint8_t value[PKCS11_OBJECT_MAX + 1];
	size_t len;

	if (decode(attribute->name, text, value, attribute->max, &len, err) == -1)
		return -1;
	value[len] = '\0';
	if (attribute->kind == ATTRIBUTE_ID) {
		memcpy(uri->id, value, len);
		uri->id_len = len;
		return 0;
	}
	if (strlen((const char *)value) != len)
		return error_set(err, "a PKCS#11 URI has a NUL in '%s'", attribute->name);
	if (attribute->kind == ATTRIBUTE_SLOT)
		return read_slot((const char *)value, uri, err);
	if (attribute->kind == ATTRIBUTE_TYPE)
		return strcmp((const char *)value, "private") == 0
			       ? 0
			       : error_set(err,
					 "a PKCS#11 URI has a 'type' that is not private: it is a "
					 "private key that signs");
	memcpy((uint8_t *)uri + attribute->at, value, len + 1);
	return 0;
}

/* name=value; *seen has a bit for each row of the table that was met before. */
static int read_attribute(
	struct span text, struct pkcs11_uri *uri, unsigned int *seen, struct error *err)
{
	const uint8_t *equals = text.len == 0 ? NULL : memchr(text.data, '=', text.len);
	const struct attribute *attribute;
	size_t name_len = equals == NULL ? 0 : (size_t)(equals - text.data);
	unsigned int bit;

	attribute = find_attribute(span_of(text.data, name_len));
	if (attribute == NULL)
		return error_set(err,
			"a PKCS#11 URI is made here of token, manufacturer, model, serial, "
			"slot-id, object, id and type=private, with ';' between them; it has "
			"something else");
	bit = 1u << (attribute - attributes);
	if ((*seen & bit) != 0)
		return error_set(err, "a PKCS#11 URI has '%s' twice", attribute->name);
	*seen |= bit;
	return read_value(attribute, span_of(equals + 1, text.len - name_len - 1), uri, err);
}

int pkcs11_uri_read(const char *text, struct pkcs11_uri *uri, struct error *err)
{
	static const char scheme[] = "pkcs11:";
	unsigned int seen = 0;
	const char *part;
	size_t len;

	memset(uri, 0, sizeof(*uri));
	if (strncasecmp(text, scheme, sizeof(scheme) - 1) != 0)
		return error_set(err, "a PKCS#11 URI begins with '%s'", scheme);
	if (strchr(text, '?') != NULL)
		return error_set(err,
			"a PKCS#11 URI has a '?' here, and nothing after it is read: the module "
			"stands in pkcs11-module, the PIN in pin-file");
	for (part = text + sizeof(scheme) - 1;; part += len + 1) {
		len = strcspn(part, ";");
		if (read_attribute(span_of(part, len), uri, &seen, err) == -1)
			return -1;
		if (part[len] == '\0')
			return 0;
	}
}
