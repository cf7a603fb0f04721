/*
 * What a certificate can be known by in a directory, beside the addresses in it: subject key
 * identifier, SHA-1 of the public key, issuer and serial, subject, and the SID that AD's own CA puts
 * in. In the words of Active Directory's altSecurityIdentities and Entra's certificateUserIds. Read
 * in workers, put together in the identity process.
 */
#ifndef AUTH_BINDING_H
#define AUTH_BINDING_H

#include <openssl/x509.h>

#include "auth/identity_names.h"
#include "config/refusal.h"

enum { BINDING_SID_MAX = 184 };

/* "S-1-5-21-…": MS-DTYP 2.4.2.1. */
bool binding_is_sid(struct span text);

/* Adds a SID that the certificate names, "" where it is none. REFUSAL_NONE, or NAME_INVALID: too many
 * names. */
enum refusal binding_add_sid(struct identity_names *names, struct span sid);

/* Adds all that the certificate has; what it has but cannot be used (too long, with control
 * characters) is added as "". REFUSAL_NONE, or CERTIFICATE_UNREADABLE: an extension stands twice or is
 * not DER. */
enum refusal binding_read_certificate(X509 *certificate, struct identity_names *names);

#endif
