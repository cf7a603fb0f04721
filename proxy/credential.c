#include "proxy/credential.h"

#include <stddef.h>

#include "config/slab.h"

/* Where nothing is known of the owner. */
static const char nobody[] = "";

struct credential *credential_new(struct accepted *accepted)
{
	struct credential *credential = slab_new(sizeof(*credential));

	if (credential == NULL)
		return NULL;
	credential->accepted = accepted_share(accepted);
	credential->refusal = accepted->names_refusal;
	credential->mailbox = nobody;
	return credential;
}

struct credential *credential_share(struct credential *credential)
{
	credential->shares++;
	return credential;
}

void credential_free(struct credential *credential)
{
	if (credential == NULL)
		return;
	if (credential->shares > 0) {
		credential->shares--;
		return;
	}
	owner_free(credential_owner(credential));
	accepted_free(credential->accepted);
	slab_free(credential);
}

bool credential_is_user(const struct credential *credential, struct span user)
{
	const struct owner *owner = credential_owner(credential);

	return mailbox_is_user(credential->mailbox, user) ||
	       (owner != NULL && mailbox_has_user(owner_users(owner), user));
}

struct owner *credential_owner(const struct credential *credential)
{
	const char *mailbox = credential->mailbox;

	return mailbox != nobody ? (struct owner *)(mailbox - offsetof(struct owner, mailbox))
				 : NULL;
}

void credential_set_owner(struct credential *credential, struct owner *owner)
{
	struct owner *former = credential_owner(credential);

	credential->mailbox = owner_share(owner)->mailbox;
	owner_free(former);
}

uint64_t credential_groups(const struct credential *credential)
{
	const struct owner *owner = credential_owner(credential);

	return owner != NULL ? owner->groups : 0;
}

bool credential_has_usable_names(const struct credential *credential)
{
	return credential->accepted->names_refusal == REFUSAL_NONE;
}

struct verdict_links credential_links(const struct credential *credential)
{
	return accepted_links(credential->accepted);
}

const char *credential_issuer(const struct credential *credential)
{
	return accepted_issuer(credential->accepted);
}

const struct serial *credential_serial(const struct credential *credential)
{
	const struct accepted *accepted = credential->accepted;

	return accepted_links(accepted).count > 0 ? &accepted->leaf.serial : NULL;
}
