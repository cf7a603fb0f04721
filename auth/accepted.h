/*
 * A certificate whose path held: what a verdict (verify.h) says of it that is needed again, for as
 * long as somebody comes in with it. One piece of memory that the cache of verdicts and all sessions
 * of that certificate share, and that never changes. What all certificates of an authority have in
 * common (who issued them, the chain above, where CRLs and OCSP are) is kept once for all of them:
 * its kind. For workers.
 */
#ifndef AUTH_ACCEPTED_H
#define AUTH_ACCEPTED_H

#include <stdint.h>

#include "auth/verify.h"

struct accepted_kind; /* private to accepted.c */

struct accepted {
	uint8_t leaf_sha256[32];
	struct accepted_kind *kind;
	int64_t not_after;       /* of the whole chain, UNIX seconds */
	int64_t leaf_not_before; /* when it was issued itself */
	uint32_t uses;           /* who hold it */
	enum refusal names_refusal : 16;
	struct verdict_link leaf;
	uint8_t names[]; /* that a mailbox is looked for by; identity_names_unpack() */
};

/* Of a verdict that is no refusal; of its names those of kinds (mailbox_identity_kinds()). policy_oids is
 * kept with it: which certificate policies it asserts, in bits whose meaning is the caller's. NULL when
 * memory runs out. */
struct accepted *accepted_new(const struct verdict *verdict, uint32_t kinds, uint64_t policy_oids);
/* Another holder of the same one, who lets go of it by accepted_free(), too. */
struct accepted *accepted_share(struct accepted *accepted);
/* Lets go of it; the last one frees it. NULL is allowed. */
void accepted_free(struct accepted *accepted);

/* What of it has to be looked at again and again; borrowed. */
struct verdict_links accepted_links(const struct accepted *accepted);

/* As in the verdict; borrowed. */
const char *accepted_issuer(const struct accepted *accepted);
const char *accepted_ocsp_url(const struct accepted *accepted);
uint32_t accepted_rules(const struct accepted *accepted);
uint64_t accepted_policy_oids(const struct accepted *accepted);

/* The verdict again, as far as it is kept: without names and subject. */
void accepted_unpack(const struct accepted *accepted, struct verdict *verdict);

#endif
