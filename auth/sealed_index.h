/*
 * What the control process has compiled for workers: a sorted, fixed-width, sealed memory file, mapped
 * read-only, in which a look-up touches neither heap nor kernel. What its entries hold is up to
 * auth/user_index.c and proxy/device_index.c.
 *
 * A header of 64 octets, then entries, sorted by their key. Numbers are big-endian.
 *
 *	 0  what it is (8)
 *	 8  version (4), width of an entry (4)
 *	16  number of entries (8)
 *	24  SHA-256 of all other octets
 *	56  a number of the owner's (8)
 *
 * An entry: a key of 16 octets, the first of the SHA-256 of a name, and a value. No name can be read out of it,
 * and nobody can make up a second name with the key of a first.
 */
#ifndef AUTH_SEALED_INDEX_H
#define AUTH_SEALED_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

enum {
	SEALED_INDEX_VERSION_AT = 8,
	SEALED_INDEX_WIDTH_AT = 12,
	SEALED_INDEX_COUNT_AT = 16,
	SEALED_INDEX_SUM_AT = 24,
	SEALED_INDEX_NUMBER_AT = 56,
	SEALED_INDEX_HEADER_SIZE = 64,
	SEALED_INDEX_KEY_SIZE = 16,
	SEALED_INDEX_ENTRY_MAX = 4 * 1024 * 1024,
};

struct sealed_index_form {
	const char *magic; /* 8 octets */
	const char *name;  /* "the user index", for messages */
	uint32_t version;
	uint32_t width; /* of an entry, with its key */
};

struct sealed_index {
	const struct sealed_index_form *form;
	uint8_t *map; /* NULL: none */
	size_t map_size, count;
	uint64_t number;
	const uint8_t *entries;
};

/* The key of a name. 0, or -1 when the digest fails. */
int sealed_index_key(struct span name, uint8_t key[SEALED_INDEX_KEY_SIZE]);

/* Big-endian numbers of at most eight octets. */
void sealed_index_put(uint8_t *at, size_t size, uint64_t number);
uint64_t sealed_index_get(const uint8_t *at, size_t size);

/* A sealed memory file of these entries, which are sorted where they are; of entries with the same key only the
 * one with the highest value is kept. The caller closes it; -1 with err filled. */
int sealed_index_write(const struct sealed_index_form *form, uint64_t number, uint8_t *entries,
	size_t count, struct error *err);

/* Maps it; the descriptor is not kept and not closed. A file that is not sealed, or not of this form, is
 * refused: -1 with err filled, and *index empty. */
int sealed_index_open(const struct sealed_index_form *form, int fd, struct sealed_index *index,
	struct error *err);
void sealed_index_close(struct sealed_index *index); /* an empty one is allowed */

/* The value behind that key; NULL: there is none. */
const uint8_t *sealed_index_find(
	const struct sealed_index *index, const uint8_t key[SEALED_INDEX_KEY_SIZE]);

#endif
