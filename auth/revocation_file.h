/*
 * The layout of an index file; revocation_writer.h writes one. Numbers are big-endian, so that a file says the same
 * on every machine. For the other files of revocation alone.
 *
 *	  0  magic "EASRVIDX"          168  count of sections
 *	  8  version                   172  flags: delta, user, CA, attributes, indirect, numbered
 *	 12  octets of a serial: W     174  reasons
 *	 16  authority key             176  count of scope names
 *	 48  signer key                178  zeros
 *	 80  CRL number                180  count of invalidity dates
 *	100  delta number              184  count of fences
 *	120  thisUpdate                192  CRL issuer
 *	128  nextUpdate                208  scope names, 8 times 16
 *	136  Next Publish              336  zeros
 *	144  thisUpdate of the base    480  SHA-256 of all after it, then all before it
 *	152  octets of the CRL         512  entries
 *	160  count of entries
 *
 * An entry is the last W octets of a serial (those before are zeros), then 4 bits of CRLReason and 20
 * of the revocation date in hours since 1970 (for log lines only). Entries are in sections, one for
 * each certificate issuer, strictly ascending within it. After the entries come
 *
 *	fences         of each section in turn: 8 octets of every REVOCATION_FILE_STEP-th serial, after
 *	               what all serials of the section have in common; to begin a look-up in memory that
 *	               stays in the processor's cache
 *	sections       ascending by name: name key (16), first entry (8), count of entries (8), first
 *	               fence (8), octets that all serials have in common (1), zeros (7)
 *	invalidities   ascending: number of the entry (4), invalidity date (8)
 */
#ifndef AUTH_REVOCATION_FILE_H
#define AUTH_REVOCATION_FILE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "auth/revocation_index.h"
#include "config/error.h"

enum {
	REVOCATION_FILE_VERSION = 2,
	REVOCATION_FILE_CHECKSUM_AT = 480,
	REVOCATION_FILE_CHECKSUM_SIZE = 32,
	REVOCATION_FILE_HEADER_SIZE = 512,
	REVOCATION_FILE_META_SIZE = 3, /* reason and date */
	REVOCATION_FILE_STEP = 16,
	REVOCATION_FILE_FENCE_SIZE = 8,
	REVOCATION_FILE_SECTION_SIZE = 48,
	REVOCATION_FILE_INVALIDITY_SIZE = 12,
	REVOCATION_FILE_ENTRY_MAX =
		1 << 26, /* 1.5 GiB: far above any CRL, small enough to count with */
	REVOCATION_FILE_SECTION_MAX = 1024, /* issuers of certificates in one CRL */
	REVOCATION_REASON_HOLD = 6,
	REVOCATION_REASON_REMOVE = 8, /* removeFromCRL: never in an index */
	REVOCATION_REASON_MAX = 10,
};

/* No file is larger. */
#define REVOCATION_FILE_SIZE_MAX                                                                   \
	(REVOCATION_FILE_HEADER_SIZE + (uint64_t)REVOCATION_FILE_ENTRY_MAX * 40 +                  \
		(uint64_t)REVOCATION_FILE_SECTION_MAX *                                            \
			(REVOCATION_FILE_SECTION_SIZE + REVOCATION_FILE_FENCE_SIZE))

/* What an entry says beside its serial. */
struct revocation_meta {
	uint8_t octets[REVOCATION_FILE_META_SIZE];
};

/* A date before 1970 becomes 1970, one too late the last hour that fits (in 2089). */
struct revocation_meta revocation_meta_of(unsigned int reason, int64_t date);
unsigned int revocation_meta_reason(const struct revocation_meta *meta);
int64_t revocation_meta_date(const struct revocation_meta *meta);

/* An index in memory: its facts, and where its tables are. */
struct revocation_view {
	struct revocation_facts facts;
	const uint8_t *header;
	unsigned int width; /* octets of a serial in an entry */
	const uint8_t *entries, *fences, *sections, *invalidities;
	size_t section_count, fence_count, invalidity_count;
	size_t size;
};

struct revocation_section {
	struct name_key issuer;
	size_t first, count; /* entries */
	size_t first_fence;
	unsigned int common; /* octets, of an entry's serial */
};

/* Everything that keeps a look-up within the file: magic, version, counts, sections. 0 or -1. */
int revocation_view_open(struct revocation_view *view, const uint8_t *data, size_t size);

/* What an open index holds; it lives as long. */
const struct revocation_view *revocation_index_view(const struct revocation_index *index);

/* Section number i, of view->section_count. */
struct revocation_section revocation_view_section(const struct revocation_view *view, size_t i);

/* The parts of entry number i, of facts.entry_count. */
const uint8_t *revocation_view_entry(const struct revocation_view *view, size_t i);
struct serial revocation_view_serial(const struct revocation_view *view, size_t i);
struct revocation_meta revocation_view_meta(const struct revocation_view *view, size_t i);
int64_t revocation_view_invalidity(const struct revocation_view *view, size_t i); /* 0: none */

/* Whether all of the file is as the writer leaves it: NULL, or what is wrong. */
const char *revocation_view_fault(const struct revocation_view *view);

/* The checksum that an index should have. 0 or -1. */
int revocation_file_sum(
	const uint8_t *data, size_t size, uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE]);

/* Octets that the serials a and b, cut to width, begin with alike. */
unsigned int revocation_serial_common(
	const struct serial *a, const struct serial *b, unsigned int width);

/* How many octets of the serial are needed: without leading zeros, 1 at least. */
unsigned int revocation_serial_width(const struct serial *serial);

/* Eight octets of a serial of an entry, from octet number at on; zeros after its end. */
static inline uint64_t revocation_serial_word(
	const uint8_t *serial, unsigned int width, unsigned int at)
{
	unsigned int len = width - at < 8 ? width - at : 8;
	uint64_t word = 0;

	if (len == 8) {
		memcpy(&word, serial + at, sizeof(word));
		return be64toh(word);
	}
	for (unsigned int i = 0; i < len; i++)
		word |= (uint64_t)serial[at + i] << (56 - 8 * i);
	return word;
}

/* The counts of the tables behind the header. */
struct revocation_counts {
	unsigned int width;
	size_t sections, fences, invalidities;
};

/* All of a header before its checksum. */
void revocation_file_encode(const struct revocation_facts *facts,
	const struct revocation_counts *counts, uint8_t header[REVOCATION_FILE_CHECKSUM_AT]);

#endif
