/*
 * What a session keeps of the certificate that it came in with: enough to judge it again whenever
 * the world has changed, and to say in a log line whose it was. Nearly all of it is a share of what
 * the cache of verdicts has, too. For workers.
 */
#ifndef PROXY_CREDENTIAL_H
#define PROXY_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/accepted.h"
#include "auth/mailbox.h"
#include "auth/owner.h"

struct credential {
	struct accepted *accepted; /* a share */
	const char *mailbox; /* "" until known; then it stands in an owner, credential_owner() */
	uint32_t shares;     /* how many others hold it beside its first owner */
	enum refusal refusal : 16; /* of the names or the mailbox: requests are refused with it */
	bool is_unasked; /* nobody could be asked: what is known of the owner counts for nothing */
};

/* Takes a share of accepted. NULL when memory runs out. */
struct credential *credential_new(struct accepted *accepted);
/* Another holder of the same one, which lets go of it by credential_free(), too. */
struct credential *credential_share(struct credential *credential);
/* Lets go of it; the last one frees it. */
void credential_free(struct credential *credential);

/* Whether the User that a phone writes means the mailbox: by itself, or as the directory has it. */
bool credential_is_user(const struct credential *credential, struct span user);

/* What the directory has said last; NULL: nothing. */
struct owner *credential_owner(const struct credential *credential);
/* Takes a share of owner, in the place of the one before. */
void credential_set_owner(struct credential *credential, struct owner *owner);
/* The groups of the owner, bit n is config->policy.groups[n]. */
uint64_t credential_groups(const struct credential *credential);

/* Whether the names of the certificate are such that a directory can be asked for them. */
bool credential_has_usable_names(const struct credential *credential);

/* What of it has to be looked at again and again; borrowed. */
struct verdict_links credential_links(const struct credential *credential);

/* For logs and rules, borrowed. serial NULL: of a certificate that no chain was found for. */
const char *credential_issuer(const struct credential *credential);
const struct serial *credential_serial(const struct credential *credential);

#endif
