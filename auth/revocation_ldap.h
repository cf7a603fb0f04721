/*
 * What libcurl makes of a directory's answer: lines of text in which a binary attribute stands in
 * base64, as in LDIF. For revocation_fetch.c alone.
 */
#ifndef AUTH_REVOCATION_LDAP_H
#define AUTH_REVOCATION_LDAP_H

#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

/* How long the text may be for a value of so many bytes. */
uint64_t revocation_ldap_text_size(uint64_t value_size);

/* The first binary value in the text, decoded in its place: value points into text. 0, or -1 with
 * err filled: no entry, no such attribute in it, or no base64. */
int revocation_ldap_decode(uint8_t *text, size_t len, struct span *value, struct error *err);

#endif
