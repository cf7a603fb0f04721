/*
 * Distinguished names in the words of Active Directory's altSecurityIdentities: in the order of the
 * certificate, "DC=com,DC=contoso,CN=CONTOSO-DC-CA". For auth/ alone.
 */
#ifndef AUTH_DISTINGUISHED_NAME_H
#define AUTH_DISTINGUISHED_NAME_H

#include <openssl/x509.h>
#include <stddef.h>

/* Writes the name with Windows' short names of attributes and Windows' quoting: a value with a
 * character that has a meaning in the syntax (, + = " < > # ; or a space at either end) stands in
 * double quotes, each of its own doubled, so that no value can pass for a part of the syntax. Returns
 * the length, or -1: the name is empty, does not fit, or has characters that do not show. */
int distinguished_name_write(const X509_NAME *name, char *text, size_t size);

#endif
