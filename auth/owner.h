/*
 * What the directory has said of the owner of a certificate: one piece of memory that the cache of
 * verdicts and all sessions of that certificate share. Its words never change; where the directory
 * says others, there is another piece, and who holds the old one keeps it until he is told. Only the
 * time for which they hold is renewed in place. For workers.
 */
#ifndef AUTH_OWNER_H
#define AUTH_OWNER_H

#include <stdbool.h>
#include <stdint.h>

struct owner {
	uint64_t groups;     /* bit n is config->policy.groups[n] */
	int64_t valid_until; /* UNIX seconds */
	uint32_t changes;    /* identity_client_changes() when it was found */
	uint32_t uses;       /* who hold it */
	char mailbox[]; /* behind its NUL the other names of the owner (directory.h), with theirs */
};

/* The same as a plain value; what it points to is borrowed. */
struct owner_words {
	const char *mailbox, *users;
	uint64_t groups;
	int64_t valid_until;
	uint32_t changes;
};

/* NULL when memory runs out. */
struct owner *owner_new(const struct owner_words *words);
/* Another holder of the same one, who lets go of it by owner_free(), too. */
struct owner *owner_share(struct owner *owner);
/* Lets go of it; the last one frees it. NULL is allowed. */
void owner_free(struct owner *owner);

const char *owner_users(const struct owner *owner);

/* Where the directory says the same as before it holds for longer: true. */
bool owner_renew(struct owner *owner, const struct owner_words *words);

#endif
