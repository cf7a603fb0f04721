/*
 * Name constraints (RFC 5280 4.2.1.10) for the names by which phones are known. OpenSSL judges those
 * of the standard; this adds Principal Names, and does SmtpUTF8Mailbox as RFC 9598 section 6 has it (but for
 * what OpenSSL refuses before: hosts below a permitted one, and those of A-labels).
 *
 * A constraint of a Principal Name is written as one of an RFC822 Name is, which is how Microsoft's
 * authorities write it: "alice@example.com" is that name, "example.com" or "@example.com" every name
 * at that host, ".example.com" every name at a host below it. Letters of ASCII are compared without case.
 *
 * For verify_path.c alone.
 */
#ifndef AUTH_VERIFY_NAMES_H
#define AUTH_VERIFY_NAMES_H

#include <openssl/x509v3.h>

/* chain: leaf first, root last, each one's extensions known to be well-formed. NULL, or what is wrong
 * (a constant) with *depth of the certificate that breaks a constraint. Constraints of a form that we
 * cannot compare refuse every certificate that has a name of that form. */
const char *verify_names_check(const STACK_OF(X509) * chain, int *depth);

#endif
