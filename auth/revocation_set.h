/*
 * All indexes of all authorities of a trust store, and what they say of a certificate together: RFC
 * 5280 6.3.3, with what the operator has configured for the authority. Workers hold one each; the
 * revocation process and `easproxyctl verify` can make one too.
 */
#ifndef AUTH_REVOCATION_SET_H
#define AUTH_REVOCATION_SET_H

#include "auth/revocation_index.h"
#include "auth/trust_store.h"
#include "config/refusal.h"

enum { REVOCATION_RETIRED_MAX = 16 };

/* What is known of one authority, which is one entry of the trust store. */
struct revocation_slot {
	/* As configured. */
	bool is_configured; /* it has a CRL location */
	enum authority_check check;
	uint32_t grace_s;
	int64_t exempt_until;
	/* Its certificate. */
	uint8_t authority_key[32]; /* whose indexes belong here */
	struct name_key name;
	bool is_root, is_ca;
	struct serial serial;
	int64_t not_before, not_after;   /* UNIX seconds */
	int issuer;                      /* its number; -1: a root, or no path to one */
	struct revocation_point *points; /* owned: the distribution points */
	size_t point_count;
	/* By CRL location; owned; NULL until the first one has come. */
	bool is_place[CRL_LOCATION_MAX];
	struct revocation_index *indexes[CRL_LOCATION_MAX];
};

struct revocation_set {
	size_t count;
	struct revocation_slot *slots;
	/* Indexes that were replaced, until revocation_set_tidy() is done with them. */
	size_t retired_count;
	struct revocation_index *retired[REVOCATION_RETIRED_MAX];
};

/* One certificate of a chain, as a question. */
struct revocation_target {
	int authority; /* that issued it */
	struct serial serial;
	bool is_ca;                            /* basicConstraints say so */
	uint8_t link;                          /* which of the points are its own */
	const struct revocation_point *points; /* borrowed; may be those of a whole chain */
	size_t point_count;
};

/* One slot per authority of the store, no index yet. 0, or -1 with err filled. */
int revocation_set_init(
	struct revocation_set *set, const struct trust_store *store, struct error *err);

/* Puts the index of the authority's CRL location number place there. The one before is out of use at
 * once, and its memory is for revocation_set_tidy(). Takes
 * the index over whatever happens: 0, or -1 (index closed, err filled) when there is no such
 * authority or location, the index is another authority's (numbers may have changed at a reload), its
 * signer is not in the store, or its thisUpdate is before that of the one there. */
int revocation_set_put(struct revocation_set *set, int authority, int place,
	struct revocation_index *index, struct error *err);

/* Gives back a part of the memory of replaced indexes, no more than an event loop can spare the time for
 * (less than 0.1 ms). Whether there is more; to be called again then, after other events. */
bool revocation_set_tidy(struct revocation_set *set);

/* Closes all indexes and frees the slots; the set is empty then. */
void revocation_set_clear(struct revocation_set *set);

/* RFC 5280 6.3.3 over all indexes of the target's authority, and DESIGN.md section 4, one row each:
 *
 *	NONE                    not revoked; or no location configured, the authority is exempt, or
 *				its check leaves this certificate out
 *	CERTIFICATE_REVOKED     finding (may be NULL) is filled; also where the index that says so is past its
 *				nextUpdate, and only older ones say otherwise
 *	REVOCATION_UNAVAILABLE  no index is current: none has come, all are past nextUpdate and grace,
 *				not yet valid by more than 5 minutes, or signed by a certificate that is
 *				expired or revoked itself; or an authority that the set does not know
 *	REVOCATION_UNKNOWN      some are current, but they do not speak for this certificate and every
 *				reason to revoke it
 *
 * No heap, no system call. */
enum refusal revocation_set_check(const struct revocation_set *set,
	const struct revocation_target *target, int64_t now, struct revocation_finding *finding);

/* How new the news of an authority is that decides over its users at now: the latest effective date of a
 * CRL that speaks for all of them; where there are only parts, that of the oldest part. INT64_MIN
 * while there is none, a part is missing, or no CRL is asked about users. */
int64_t revocation_set_effective(const struct revocation_set *set, int authority, int64_t now);

/* When time alone may next change an answer of revocation_set_check(): a CRL is past nextUpdate and grace, one
 * that was early is valid, an exemption ends, a certificate of the store begins to be valid or expires. UNIX
 * seconds, after now; INT64_MAX: never. */
int64_t revocation_set_next_change(const struct revocation_set *set, int64_t now);

#endif
