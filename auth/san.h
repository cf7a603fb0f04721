/*
 * The names in a certificate's subject alternative name that can lead to a mailbox: Principal Name
 * (otherName 1.3.6.1.4.1.311.20.2.3, UTF8String), RFC822 Name (RFC 5280 4.2.1.6) and SmtpUTF8Mailbox
 * (RFC 9598). Read strictly: a name is taken whole or the certificate is refused, never cut. Runs in
 * workers.
 */
#ifndef AUTH_SAN_H
#define AUTH_SAN_H

#include <openssl/x509.h>
#include <stddef.h>

#include "auth/identity_names.h"
#include "config/refusal.h"
#include "config/span.h"

enum { SAN_COUNT_MAX = 8 };

/* Reads the value of the extension (DER of GeneralNames). Other kinds of names are passed over; so is
 * an e-mail address in the certificate's subject. REFUSAL_NONE (count may be 0), NAME_INVALID (a name
 * of these kinds is not an address as auth/address.h has it, is empty or too long, has a wrong string
 * type; an RFC822 Name has other characters than ASCII; a SmtpUTF8Mailbox has none in its local part,
 * or some in its domain; more than SAN_COUNT_MAX names), or CERTIFICATE_UNREADABLE (not DER). names is
 * empty where it is refused. A SID in a tag URI of Microsoft's is taken as one (auth/binding.h). */
enum refusal san_read(struct span general_names, struct identity_names *names);

/* The same from a certificate: no names without the extension, CERTIFICATE_UNREADABLE with more than
 * one. */
enum refusal san_read_certificate(X509 *certificate, struct identity_names *names);

#endif
