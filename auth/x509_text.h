/*
 * What stands in certificates, for people and for comparing: a name as text that is safe in a log line, a
 * time as UNIX seconds. For every room, in every process.
 */
#ifndef AUTH_X509_TEXT_H
#define AUTH_X509_TEXT_H

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 2253, printable ASCII alone (all else is escaped), cut at the end of text where it is too
 * long. "" when memory runs out. */
void x509_name_format(const X509_NAME *name, char *text, size_t size);

/* UNIX seconds of a UTCTime or GeneralizedTime. 0, or -1 where it makes no sense. */
int x509_time_read(const ASN1_TIME *time, int64_t *seconds);

#endif
