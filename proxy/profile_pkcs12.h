/*
 * PKCS#12 files as they are put on phones: certificate, key, chain, and whether older phones can read how
 * they are encrypted. For easproxyctl.
 */
#ifndef PROXY_PROFILE_PKCS12_H
#define PROXY_PROFILE_PKCS12_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "config/error.h"
#include "config/span.h"
#include "proxy/profile_report.h"

enum { PROFILE_PKCS12_MAX = 1024 * 1024 };

struct profile_pkcs12 {
	X509 *leaf; /* that belongs to the key */
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* the others; may be NULL */
	/* "PBES2 with AES-256-CBC", "SHA-256 MAC"; "" where there is none */
	char key_encryption[64], certificate_encryption[64], mac[64];
	bool is_modern; /* one of them is not read by older phones */
};

/* 0, or -1 with err filled: not one, the password is wrong, or there is no key with its certificate in
 * it. The caller clears it. */
int profile_pkcs12_read(
	struct span der, const char *password, struct profile_pkcs12 *pkcs12, struct error *err);
void profile_pkcs12_clear(struct profile_pkcs12 *pkcs12);

/* Tells what phones may make of its encryption. */
void profile_pkcs12_judge(const struct profile_pkcs12 *pkcs12, const struct profile_report *report);

#endif
