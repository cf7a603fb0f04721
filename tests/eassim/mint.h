/*
 * Client certificates for a large fleet, made in memory by a CA of which the key is at hand, as
 * scripts/make-pki leaves it: P-256, one key for each phone, all differing in key, name and serial
 * number.
 */
#ifndef EASSIM_MINT_H
#define EASSIM_MINT_H

#include <openssl/x509.h>
#include <stdint.h>

#include "config/error.h"

/* Serial numbers begin here; the n-th certificate, counted from 0, has this one plus n. */
enum { MINT_SERIAL = 0x4d000000 };

struct mint; /* opaque: the issuer, with its key */

/* From DIR/authority/issuing.pem and issuing.key. NULL with err filled. */
struct mint *mint_open(const char *pki, struct error *err);
void mint_close(struct mint *mint); /* NULL is allowed */

/* From two files of PEM. NULL with err filled. */
struct mint *mint_open_files(const char *certificate, const char *key, struct error *err);

/* The issuer's certificate, which phones send beside their own; borrowed. */
X509 *mint_issuer(const struct mint *mint);

/* A certificate of today and tomorrow for the mailbox, as Principal Name and RFC822 Name, and its key:
 * both are the caller's. 0, or -1 with err filled. */
int mint_certificate(const struct mint *mint, uint32_t number, const char *mailbox,
	X509 **certificate, EVP_PKEY **key, struct error *err);

/* The same for a key that is at hand, as long as certificates of Active Directory's authority are:
 * with policies and the addresses of CRL and issuer in LDAP, and at least `size` bytes of DER. NULL
 * with err. */
X509 *mint_certificate_of(const struct mint *mint, uint32_t number, const char *mailbox,
	EVP_PKEY *key, uint32_t size, struct error *err);

#endif
