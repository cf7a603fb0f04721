/*
 * What is asked of an LDAP server, and whether what it answers is what was asked for. Servers compare
 * loosely (Active Directory takes é for e), and a filter cannot tell them not to; so every entry is
 * looked at again, letter by letter. No I/O. For directory_ldap.c and tests.
 */
#ifndef AUTH_DIRECTORY_MATCH_H
#define AUTH_DIRECTORY_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/directory.h"
#include "config/model.h"
#include "config/span.h"

enum { DIRECTORY_FILTER_SIZE = 48 * 1024 /* of the longest question, with all its attributes */ };

/* The search filter (RFC 4515) for a question: the configured one, and one of the attributes having
 * the value, with all but letters and digits escaped. 0, or -1: it does not fit, or there is no
 * attribute to look in. */
int directory_filter_write(const struct config_directory *config,
	const struct directory_question *question, char *filter, size_t size);

/* Whether a value of that attribute is what the question asks for. */
bool directory_value_matches(const struct config_directory *config,
	const struct directory_question *question, const char *attribute, struct span value);

/* A SID in Active Directory's bytes (MS-DTYP 2.4.2.2). Returns their number, or 0: not a SID. */
size_t directory_sid_bytes(const char *sid, uint8_t bytes[68]);

/* The way back: "S-1-5-21-…". -1: these are not a SID's bytes, or they do not fit. */
int directory_sid_text(struct span bytes, char *text, size_t size);

/* The DC components of a distinguished name as a realm: "CN=bob,DC=contoso,DC=test" is CONTOSO.TEST. ""
 * where it has none, or one with other characters than a realm's. */
void directory_realm(const char *dn, char *realm, size_t size);

/* Whether a value of the address attribute is the primary one ("SMTP:" in capitals, as Exchange has
 * it); *address is what follows. */
bool directory_is_primary(struct span value, struct span *address);

/* Moves an address behind "smtp:", in any case, where that stands. */
void directory_skip_smtp(struct span *value);

#endif
