/*
 * Where a key is in a token: PKCS#11 URIs (RFC 7512), of which the path alone is read. Module and PIN
 * have options of their own. For every room, in every process.
 */
#ifndef CONFIG_PKCS11_URI_H
#define CONFIG_PKCS11_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"

enum {
	PKCS11_LABEL_MAX = 32,  /* CK_TOKEN_INFO: label and manufacturerID */
	PKCS11_NUMBER_MAX = 16, /* model and serialNumber */
	PKCS11_OBJECT_MAX = 255,
};

struct pkcs11_uri {
	/* Of the token; "": any. */
	char token[PKCS11_LABEL_MAX + 1], manufacturer[PKCS11_LABEL_MAX + 1];
	char model[PKCS11_NUMBER_MAX + 1], serial[PKCS11_NUMBER_MAX + 1];
	bool has_slot;
	unsigned long slot;
	/* Of the key; "" and 0: any. */
	char object[PKCS11_OBJECT_MAX + 1];
	size_t id_len;
	uint8_t id[PKCS11_OBJECT_MAX];
};

/* Reads "pkcs11:token=…;object=…". Strictly: an attribute that is not looked at, stands twice or is
 * empty would lead to another key than was meant. 0, or -1 with err filled, in which no value of the
 * URI stands, as it may have a PIN. */
int pkcs11_uri_read(const char *text, struct pkcs11_uri *uri, struct error *err);

#endif
