/*
 * One certificate of a trust store: from bytes to an X509 object, and whether it may be a
 * certificate authority. For trust_store.c and trust_entry.c alone.
 */
#ifndef AUTH_AUTHORITY_H
#define AUTH_AUTHORITY_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "config/error.h"
#include "config/span.h"

/* Exactly one certificate, from what a JSON string holds: PEM, or base64 of PEM or DER (blanks
 * allowed). NULL with err filled. */
X509 *authority_decode_text(struct span text, struct error *err);

/* The same from a regular file, in PEM or DER. A path that is not absolute starts at base_dir. */
X509 *authority_decode_file(const char *base_dir, const char *path, struct error *err);

/* May sign certificates (RFC 5280 4.2.1.9 and 4.2.1.3), and is a root, whose own signature holds,
 * if is_root, and none if not. 0, or -1 with err filled. */
int authority_check(X509 *certificate, bool is_root, struct error *err);

/* May sign CRLs though it is no CA (RFC 5280 5, 6.3.3 f: another key of the authority, or an indirect
 * CRL's issuer): keyUsage with cRLSign, not self-signed. 0, or -1 with err filled. */
int authority_check_crl_signer(X509 *certificate, struct error *err);

/* Whether both certificates are of one authority: the same name and key. */
bool authority_is_same(X509 *a, X509 *b);

/* Hex of the subjectKeyIdentifier, or of the key's SHA-1 where it has none. 0 or -1. */
int authority_key_id(X509 *certificate, char key_id[65]);

#endif
