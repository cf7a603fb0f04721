/*
 * The extensions of a certificate that is minted for a user (RFC 5280 4.2), and the two of Microsoft's
 * that Active Directory maps certificates to accounts by. For auth/minted_certificate.c alone.
 */
#ifndef AUTH_MINTED_EXTENSIONS_H
#define AUTH_MINTED_EXTENSIONS_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "config/span.h"

/* basicConstraints, keyUsage, extendedKeyUsage, and the identifiers of its own key and the issuer's.
 * The certificate has its key already. 0, or -1: out of memory. */
int minted_extensions_add_usage(X509 *certificate, X509 *issuer);

/* The subject alternative name: principal as the UPN of Active Directory (otherName
 * 1.3.6.1.4.1.311.20.2.3), mailbox as RFC822 Name, or as SmtpUTF8Mailbox (RFC 9598) where its local
 * part is not ASCII. is_critical where the certificate has no subject (RFC 5280 4.1.2.6). Both are
 * sound. 0 or -1. */
int minted_extensions_add_names(
	X509 *certificate, struct span principal, struct span mailbox, bool is_critical);

/* Where the issuer's CRL is (RFC 5280 4.2.1.13): a URL in ASCII. 0 or -1. */
int minted_extensions_add_crl(X509 *certificate, struct span url);

/* szOID_NTDS_CA_SECURITY_EXT of [MS-WCCE] 2.2.2.7.7.4: which account it is, whatever it is called. 0
 * or -1. */
int minted_extensions_add_sid(X509 *certificate, struct span sid);

#endif
