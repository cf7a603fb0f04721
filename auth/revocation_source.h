/*
 * One CRL location of one authority: a base CRL, perhaps a delta CRL beside it, and the one index
 * that comes of both. No network and no timers (revocation.h has them): bytes come in, an index
 * comes out. For the revocation process alone.
 *
 * Where a delta location is configured the pair counts: an index is made only of a base with a delta
 * that fits it, and is current while both are. A base that is newer than the delta at hand is taken
 * at once, so that what it revokes is revoked, but only for as long as that delta would have been
 * good: by then the delta for it has to be there.
 */
#ifndef AUTH_REVOCATION_SOURCE_H
#define AUTH_REVOCATION_SOURCE_H

#include <stdbool.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_file.h"
#include "auth/revocation_schedule.h"
#include "auth/trust_store.h"

struct revocation_source {
	struct revocation_signers signers;
	const struct authority *authority;
	int place; /* which of authority->crls */
	const struct crl_location *location;
	int directory; /* -1: nothing outlives the process */
	/* The newest base that held, of which nothing older is taken; its index while there may be a
	 * delta to merge. */
	bool has_base;
	struct revocation_facts base;
	uint8_t base_sum[REVOCATION_FILE_CHECKSUM_SIZE];
	struct revocation_index *base_index;
	/* The newest delta that held. */
	struct span delta; /* owned; empty: none */
	struct revocation_times delta_times;
	/* What was handed out last. */
	bool is_in_use, has_merged;
	struct revocation_facts facts;
	struct revocation_facts merged; /* the last with a delta */
	bool lacks_delta;               /* there is a base, but no delta that fits it */
	bool lacks_base;                /* the delta that came last wants a newer base */
};

/* What became of bytes that came. */
enum revocation_take {
	REVOCATION_TAKE_FAILED,    /* err is filled */
	REVOCATION_TAKE_UNCHANGED, /* it is what is in use */
	REVOCATION_TAKE_HELD,      /* good, but there is no index yet: the other half is missing */
	REVOCATION_TAKE_NEW,       /* *index is a sealed memory file, for the caller to close */
};

void revocation_source_init(struct revocation_source *source, const struct trust_store *store,
	int authority, int place, int directory);
void revocation_source_clear(struct revocation_source *source);

/* What the last run left: as one of the two below, from the state directory. FAILED with an empty
 * err->text where there is nothing. */
enum revocation_take revocation_source_load(
	struct revocation_source *source, int64_t now, int *index, struct error *err);

/* Takes a base CRL, or a delta CRL, in DER or PEM. One that is past nextUpdate, and past the
 * authority's grace, is not taken. What is left in the memory of a base CRL afterwards is undefined
 * (revocation_compile_last()). What was good is kept in the state directory; *note gets what went
 * wrong with that ("" nothing). */
enum revocation_take revocation_source_take_base(struct revocation_source *source, struct span crl,
	int64_t now, int *index, struct error *note, struct error *err);
enum revocation_take revocation_source_take_delta(struct revocation_source *source, struct span crl,
	int64_t now, int *index, struct error *note, struct error *err);

/* Whether what was handed out is past nextUpdate, and lives on the authority's grace. */
bool revocation_source_is_late(const struct revocation_source *source, int64_t now);

/* When a half's CRL is to be looked for again. */
struct revocation_times revocation_source_times(
	const struct revocation_source *source, bool is_delta);

#endif
