#include "auth/owner.h"

#include <stddef.h>
#include <string.h>

#include "config/slab.h"

struct owner *owner_new(const struct owner_words *words)
{
	size_t mailbox_size = strlen(words->mailbox) + 1;
	size_t users_size = strlen(words->users) + 1;
	struct owner *owner = slab_new(offsetof(struct owner, mailbox) + mailbox_size + users_size);

	if (owner == NULL)
		return NULL;
	owner->groups = words->groups;
	owner->valid_until = words->valid_until;
	owner->changes = words->changes;
	owner->uses = 1;
	memcpy(owner->mailbox, words->mailbox, mailbox_size);
	memcpy(owner->mailbox + mailbox_size, words->users, users_size);
	return owner;
}

struct owner *owner_share(struct owner *owner)
{
	owner->uses++;
	return owner;
}

void owner_free(struct owner *owner)
{
	if (owner != NULL && --owner->uses == 0)
		slab_free(owner);
}

const char *owner_users(const struct owner *owner)
{
	return owner->mailbox + strlen(owner->mailbox) + 1;
}

bool owner_renew(struct owner *owner, const struct owner_words *words)
{
	if (owner->groups != words->groups || strcmp(owner->mailbox, words->mailbox) != 0 ||
		strcmp(owner_users(owner), words->users) != 0)
		return false;
	owner->valid_until = words->valid_until;
	owner->changes = words->changes;
	return true;
}
