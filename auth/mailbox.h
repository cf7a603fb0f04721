/*
 * From the names of a certificate to the routable mailbox. Runs in the identity process, where
 * directories will be asked; with none, the address is the mailbox.
 */
#ifndef AUTH_MAILBOX_H
#define AUTH_MAILBOX_H

#include <stdbool.h>

#include "auth/identity_names.h"
#include "config/model.h"
#include "config/refusal.h"
#include "config/span.h"

enum { MAILBOX_MAX = IDENTITY_ADDRESS_MAX };

/* Picks by config->names in order: the first kind that the certificate has decides. All names of
 * that kind must lead to the same mailbox (compared without case), else NAME_AMBIGUOUS. The domain
 * must be in config->domains, else DOMAIN_NOT_ROUTABLE. No name of any wanted kind: NAME_MISSING.
 * On REFUSAL_NONE mailbox holds the address, in lower case; else it is empty. */
enum refusal mailbox_resolve(const struct config_mailbox *config,
	const struct identity_names *names, char mailbox[MAILBOX_MAX + 1]);

/* Whether the User that a phone writes (percent-decoded) means this mailbox: the address itself
 * without case, or DOMAIN\local-part or a bare local part that equals the mailbox's local part (what
 * stands before the backslash is the phone's NetBIOS name, which easproxy cannot know). */
bool mailbox_is_user(const char *mailbox, struct span user);

#endif
