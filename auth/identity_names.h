/*
 * All that a certificate says of its owner: the addresses of its subject alternative name, and what
 * a directory can know it by (key, issuer, serial, subject, SID). A plain value of fixed size, filled
 * in workers and sent to the identity process, which makes a mailbox of it.
 */
#ifndef AUTH_IDENTITY_NAMES_H
#define AUTH_IDENTITY_NAMES_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/refusal.h"
#include "config/span.h"

enum identity_kind {
	/* addresses (auth/san.h) */
	IDENTITY_PRINCIPAL_NAME,
	IDENTITY_RFC822_NAME,
	IDENTITY_SMTP_UTF8_MAILBOX,
	/* what else there is to know it by (auth/binding.h) */
	IDENTITY_SKI,      /* subject key identifier, hex in lower case */
	IDENTITY_KEY_SHA1, /* SHA-1 of the bits of the public key, hex in lower case */
	IDENTITY_ISSUER,   /* distinguished name, as altSecurityIdentities has it */
	IDENTITY_SERIAL,   /* last byte first, hex in lower case */
	IDENTITY_SUBJECT,  /* distinguished name */
	IDENTITY_SID,      /* "S-1-5-21-…" */
	IDENTITY_KIND_COUNT
};

enum {
	IDENTITY_ADDRESS_MAX = 320, /* local part 64, "@", domain 255: RFC 5321 4.5.3.1 */
	IDENTITY_NAME_MAX = 640,    /* any of them */
	IDENTITY_COUNT_MAX = 14,
	IDENTITY_TEXT_SIZE = 2560,
};

struct identity_name {
	uint16_t kind; /* enum identity_kind */
	uint16_t at;   /* where its text begins */
};

struct identity_names {
	uint16_t count, used; /* names, bytes of text */
	struct identity_name names[IDENTITY_COUNT_MAX];
	char text[IDENTITY_TEXT_SIZE];
};

/* Reads a certificate whose path has been verified. REFUSAL_NONE (count may be 0), NAME_INVALID or
 * CERTIFICATE_UNREADABLE as san_read_certificate() and binding_read_certificate() have it; names is
 * empty where it is refused. */
enum refusal identity_names_read(X509 *certificate, struct identity_names *names);

/* The text of name i, in UTF-8; "": the certificate has one of this kind, but not one that could be
 * used, so that whoever asks for the kind must refuse. */
const char *identity_names_text(const struct identity_names *names, size_t i);

/* The first of that kind, or NULL. */
const char *identity_names_first(const struct identity_names *names, enum identity_kind kind);

/* Adds a copy; 0, or -1 where there is no room, or value is longer than IDENTITY_NAME_MAX or has a
 * NUL. */
int identity_names_add(struct identity_names *names, enum identity_kind kind, struct span value);

/* A copy of those names whose kind's bit is set in kinds, no larger than they are, for
 * identity_names_unpack(); packed has room for identity_names_packed_size(). */
size_t identity_names_packed_size(const struct identity_names *names, uint32_t kinds);
void identity_names_pack(const struct identity_names *names, uint32_t kinds, uint8_t *packed);
void identity_names_unpack(const uint8_t *packed, struct identity_names *names);

/* Whether a value that came from another process is one: counts, places, kinds, ended texts. */
bool identity_names_are_sound(const struct identity_names *names);

/* "principal-name", as in the configuration; for logs. */
const char *identity_kind_name(enum identity_kind kind);

#endif
