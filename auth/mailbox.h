/*
 * From the names of a certificate to the routable mailbox: which questions a directory is to be asked,
 * in which order, and what its answers mean. Asks nobody itself, so that asking may take its time.
 * Runs in the identity process; mailbox_is_user() and mailbox_has_user() in workers.
 */
#ifndef AUTH_MAILBOX_H
#define AUTH_MAILBOX_H

#include <stdbool.h>

#include "auth/directory.h"
#include "auth/identity_names.h"
#include "config/model.h"
#include "config/refusal.h"
#include "config/span.h"

enum { MAILBOX_MAX = IDENTITY_ADDRESS_MAX, MAILBOX_REASON_MAX = 199 };

enum mailbox_step {
	MAILBOX_ASK,  /* question wants an answer: mailbox_take(), then mailbox_next() again */
	MAILBOX_DONE, /* refusal, mailbox and reason are final */
};

/* One search for a mailbox, a plain value. */
struct mailbox_search {
	const struct config_mailbox *config; /* borrowed, as the names are */
	const struct identity_names *names;
	size_t kind, nth;        /* where in config->names, and which name of that kind is next */
	bool was_asked, has_low; /* something was looked up; something was of too low affinity */
	enum refusal refusal;
	char mailbox[MAILBOX_MAX + 1];       /* "" unless NONE */
	char reason[MAILBOX_REASON_MAX + 1]; /* printable: why not, or who says so */
	char users[DIRECTORY_USERS_MAX + 1]; /* as in the directory's answer */
	uint64_t groups;                     /* likewise */
};

void mailbox_begin(struct mailbox_search *search, const struct config_mailbox *config,
	const struct identity_names *names);

/* Goes through config->names in order; the first kind by which the directory knows a mailbox decides.
 * Refuses: all names of that kind must lead to the same mailbox, else NAME_AMBIGUOUS, and so must the
 * directory's entries; an entry that is switched off is USER_DISABLED; one without an address, and
 * names that are in no entry, are USER_UNKNOWN; kinds below config->affinity are not asked for, and
 * where that leaves nothing, AFFINITY_TOO_LOW; a name that cannot be used is NAME_INVALID; none of any
 * wanted kind NAME_MISSING; no answer DIRECTORY_UNAVAILABLE; and the mailbox's domain must be in
 * config->domains, else DOMAIN_NOT_ROUTABLE. */
enum mailbox_step mailbox_next(struct mailbox_search *search, struct directory_question *question);
void mailbox_take(struct mailbox_search *search, const struct directory_question *question,
	const struct directory_answer *answer);

/* The names of a certificate that a search may look at: bit n is for identity kind n. */
uint32_t mailbox_identity_kinds(const struct config_mailbox *config);

/* Whether the domain is one of config->domains. */
bool mailbox_is_routable(const struct config_mailbox *config, const char *domain);

/* Whether the User that a phone writes (percent-decoded) means this mailbox: the address itself
 * without case, or DOMAIN\local-part or a bare local part that equals the mailbox's local part (what
 * stands before the backslash is the phone's NetBIOS name, which easproxy cannot know). Letters that
 * are not ASCII are compared in Normalization Form C, with case. */
bool mailbox_is_user(const char *mailbox, struct span user);

/* Whether it is one of these names, which a directory has for the owner of the mailbox (directory.h):
 * an address as a whole, or an account name, before which DOMAIN\ may stand. */
bool mailbox_has_user(const char *users, struct span user);

#endif
