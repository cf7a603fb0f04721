/*
 * What a CRL says of why a certificate was revoked, in the words of RFC 5280 5.3.1.
 */
#ifndef AUTH_REVOCATION_REASON_H
#define AUTH_REVOCATION_REASON_H

/* "keyCompromise" for 1; "unknown" for a code that there is not. */
const char *revocation_reason_name(unsigned int reason);

#endif
