/*
 * What stands in certificates, as text that is safe in a log line. For every room, in every process.
 */
#ifndef AUTH_X509_TEXT_H
#define AUTH_X509_TEXT_H

#include <openssl/x509.h>
#include <stddef.h>

/* RFC 2253, printable ASCII alone (all else is escaped), cut at the end of text where it is too
 * long. "" when memory runs out. */
void x509_name_format(const X509_NAME *name, char *text, size_t size);

#endif
