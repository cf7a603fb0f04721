/*
 * Sorts records as bytes, in place: no memory beside the records, no recursion, and no order of them
 * that makes it slow. For revocation_entries.c alone.
 */
#ifndef AUTH_REVOCATION_SORT_H
#define AUTH_REVOCATION_SORT_H

#include <stddef.h>
#include <stdint.h>

enum { REVOCATION_SORT_WIDTH_MAX = 64 };

/* count records of width octets each; the first key_len of them are compared. */
void revocation_sort(uint8_t *records, size_t count, size_t width, size_t key_len);

#endif
