/*
 * Client certificates for many phones, made in memory by a CA of which the key is at hand, as
 * scripts/make-pki leaves it; all differing in name and serial number.
 */
#ifndef EASSIM_MINT_H
#define EASSIM_MINT_H

#include <openssl/x509.h>
#include <stdint.h>

#include "config/error.h"

/* Serial numbers begin here; the n-th certificate, counted from 0, has this one plus n. */
enum { MINT_SERIAL = 0x4d000000 };

struct mint; /* opaque: the issuer, with its key */

/* From two files of PEM. NULL with err filled. */
struct mint *mint_open(const char *certificate, const char *key, struct error *err);
void mint_close(struct mint *mint); /* NULL is allowed */

/* The issuer's certificate, which phones send beside their own; borrowed. */
X509 *mint_issuer(const struct mint *mint);

/* A certificate of today and tomorrow for the key and the mailbox, as Principal Name and RFC822 Name.
 * With a size it is as those of Active Directory's authority are, with policies and the addresses of
 * CRL and issuer in LDAP, and at least so many bytes of DER long. NULL with err. */
X509 *mint_certificate(const struct mint *mint, uint32_t number, const char *mailbox, EVP_PKEY *key,
	uint32_t size, struct error *err);

#endif
