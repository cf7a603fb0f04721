/*
 * What a certificate can be known by in a directory, beside the addresses in it: subject key
 * identifier, SHA-1 of the public key, issuer and serial, subject, and the SID that AD's own CA puts
 * in. In the words of Active Directory's altSecurityIdentities and Entra's certificateUserIds. Read
 * in workers, put together in the identity process.
 */
#ifndef AUTH_BINDING_H
#define AUTH_BINDING_H

#include <openssl/x509.h>

#include "auth/directory.h"
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

/* Whether the text is one of the forms of altSecurityIdentities that name a key or a certificate:
 * X509:<SKI>, X509:<SHA1-PUKEY>, X509:<I>…<SR>…, X509:<I>…<S>… or X509:<S>…; characters that show. */
bool binding_is_value(struct span text);

/* What to look for in a directory, by the nth name of that kind. 1: question is filled; 0: there is no
 * such name (any more); -1: there is one that cannot be used. */
int binding_question(const struct identity_names *names, enum config_name_kind kind, size_t nth,
	struct directory_question *question);

/* Which names such questions are made of: bit n is for identity kind n. */
uint32_t binding_identity_kinds(enum config_name_kind kind);

/* Whether a kind names the one certificate or key or account, and nothing that could be issued anew to
 * somebody else: Entra's high affinity. */
bool binding_has_high_affinity(enum config_name_kind kind);

#endif
