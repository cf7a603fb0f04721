/*
 * The revoked certificates of a CRL as a sorted array: read from the DER as a stream, with no OpenSSL
 * object for each. For the compiler and the merger alone.
 */
#ifndef AUTH_REVOCATION_ENTRIES_H
#define AUTH_REVOCATION_ENTRIES_H

#include "auth/revocation_crl.h"
#include "auth/revocation_file.h"

/* Ordered as bytes, up to meta. */
struct revocation_entry {
	uint8_t section[2]; /* big-endian: place in the list of issuers */
	struct serial serial;
	struct revocation_meta meta; /* the reason may be removeFromCRL in those of a delta */
};
_Static_assert(sizeof(struct revocation_entry) == 25, "an entry is compared as bytes");

struct revocation_invalidity {
	uint8_t section[2];
	struct serial serial;
	int64_t date;
};

struct revocation_entries {
	size_t count;
	struct revocation_entry *entries; /* owned; ascending, each certificate once */
	size_t invalidity_count;
	struct revocation_invalidity *invalidities; /* owned; ascending in the same way */
	size_t issuer_count;
	struct name_key *issuers; /* owned; ascending */
	unsigned int width;       /* octets that the longest serial needs */
};

/* Reads and sorts the entries of a CRL. certificateIssuer counts for the entries after it as well (RFC
 * 5280 5.3.3), and is an error in a CRL that is not indirect; removeFromCRL is one where the CRL is no
 * delta. Of one certificate that is there twice the entry with the lowest reason stays, but
 * certificateHold gives way to any other, and removeFromCRL to all. 0, or -1 with err filled; revocation_entries_clear() after both. */
int revocation_entries_read(
	struct revocation_entries *entries, const struct revocation_crl *crl, struct error *err);
void revocation_entries_clear(struct revocation_entries *entries);

/* Gives the memory of the first count entries back to the kernel, as far as these are whole pages: nobody may look at them
 * any more. */
void revocation_entries_give_back(const struct revocation_entries *entries, size_t count);

/* The invalidity date of entry number i, 0 where it has none. For calls with ascending i: *at begins
 * with 0 and keeps the place. */
int64_t revocation_entries_invalidity(
	const struct revocation_entries *entries, size_t i, size_t *at);

#endif
