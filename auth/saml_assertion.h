/*
 * Assertions about a user in SAML 2.0, signed (enveloped, exclusive C14N), as a bearer shows them to an
 * authorization server for a token (RFC 7522 3, SAML Core 2 and 5, SAML Profiles 3.3). For the helper
 * process that holds the key.
 */
#ifndef AUTH_SAML_ASSERTION_H
#define AUTH_SAML_ASSERTION_H

#include "auth/signing_key.h"

struct saml_attribute {
	const char *name;
	char *value;
};

struct saml_claims {
	const char *issuer, *subject;
	const char *name_format; /* a URI: of which kind the subject's name is */
	const char *audience;
	const char *recipient; /* the token endpoint's URL */
	size_t attribute_count;
	const struct saml_attribute *attributes; /* beside the subject */
	int64_t now, life_s;                     /* UNIX seconds */
};

struct saml_signer; /* opaque; one at a time in a process, since the XML Security Library is */

/* key is borrowed: RSA or ECDSA. NULL with err filled. */
struct saml_signer *saml_signer_new(const struct signing_key *key, struct error *err);
void saml_signer_free(struct saml_signer *signer); /* NULL is allowed */

/* Writes one with an id of its own, about somebody who has just shown an X.509 certificate. The document has no
 * declaration; it begins with its element. The caller wipes xml. 0, or -1 with err filled: a text has
 * characters that do not show, or the document is larger than size. */
int saml_assertion_write(const struct saml_signer *signer, const struct saml_claims *claims,
	char *xml, size_t size, size_t *len, struct error *err);

#endif
