/*
 * What a session keeps of the certificate that it came in with: enough to judge it again whenever
 * the world has changed, and to say in a log line whose it was. For workers.
 */
#ifndef PROXY_CREDENTIAL_H
#define PROXY_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/mailbox.h"
#include "auth/verify.h"

struct credential {
	uint8_t leaf_sha256[32];
	int64_t not_before, not_after; /* of the whole chain, UNIX seconds */
	int64_t leaf_not_before;       /* when it was issued itself */
	int64_t valid_until; /* the mailbox, or the refusal, has to be asked for anew afterwards */
	uint32_t changes;    /* identity_client_changes() when it was found */
	uint32_t rules;      /* as in the verdict */
	enum refusal refusal : 16; /* of the names or the mailbox: requests are refused with it */
	bool has_usable_names; /* false: refusal is about them, and no directory can change it */
	char *mailbox;         /* "" until known */
	char *users;           /* other names for its owner (auth/directory.h); NULL: none */
	const char *issuer;    /* for logs; one copy for all who have the same */
	uint8_t *names;        /* that a mailbox is looked for by; identity_names_unpack() */
	uint64_t groups;       /* of the owner: bit n is config->policy.groups[n] */
	uint64_t policy_oids;  /* of the certificate: bit n is policy_oid(…, n) */
	uint32_t shares;       /* how many others hold it beside its first owner */
	uint8_t link_count, point_count;
	struct verdict_link
		links[]; /* leaf first; the points stand behind them, credential_links() */
};

/* A copy of what matters in verdict, which is no refusal; of its names those of kinds
 * (mailbox_identity_kinds()). NULL when memory runs out. */
struct credential *credential_new(const struct verdict *verdict, uint32_t kinds);
/* Another holder of the same one, which lets go of it by credential_free(), too. */
struct credential *credential_share(struct credential *credential);
/* Lets go of it; the last one frees it. */
void credential_free(struct credential *credential);

/* Whether the User that a phone writes means the mailbox: by itself, or as the directory has it. */
bool credential_is_user(const struct credential *credential, struct span user);

/* 0, or -1 when memory runs out. "": none. */
int credential_set_users(struct credential *credential, const char *users);

/* 0, or -1 when memory runs out. */
int credential_set_mailbox(struct credential *credential, const char *mailbox);

/* What of it has to be looked at again and again; borrowed. */
struct verdict_links credential_links(const struct credential *credential);

#endif
