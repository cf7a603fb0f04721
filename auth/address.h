/*
 * Mail addresses, as strict as certificates and directories are read: a dot-string of RFC 5321 4.1.2
 * (with the UTF-8 of RFC 6531 3.3 where that is allowed) and a domain of registered labels; no quoted
 * strings, no address literals. In every process.
 */
#ifndef AUTH_ADDRESS_H
#define AUTH_ADDRESS_H

#include <stdbool.h>

#include "auth/identity_names.h"
#include "config/span.h"

enum address_form {
	ADDRESS_ASCII,      /* RFC 5321 */
	ADDRESS_UTF8,       /* RFC 6531; the domain in U-labels or A-labels */
	ADDRESS_UTF8_LOCAL, /* RFC 9598: local part with at least one character that is not ASCII, no
			       byte order mark; the domain in ASCII */
};

bool address_is_sound(struct span address, enum address_form form);

/* The one form in which addresses are compared, NUL-terminated: ASCII letters in lower case (the
 * domain by RFC 5321 2.4, the local part as Exchange does), other characters in Normalization Form C,
 * domains in A-labels. 0, or -1: not an address. */
int address_fold(struct span address, char folded[IDENTITY_ADDRESS_MAX + 1]);

#endif
