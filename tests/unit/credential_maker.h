/* Credentials of certificates that nobody has to have made. */
#ifndef TESTS_UNIT_CREDENTIAL_MAKER_H
#define TESTS_UNIT_CREDENTIAL_MAKER_H

#include "proxy/credential.h"

/* NULL when memory runs out. */
static inline struct credential *credential_made(const struct verdict *verdict, uint32_t kinds)
{
	struct accepted *accepted = accepted_new(verdict, kinds, 0);
	struct credential *credential = accepted != NULL ? credential_new(accepted) : NULL;

	accepted_free(accepted);
	return credential;
}

/* What the directory says from now on. 0, or -1 when memory runs out. */
static inline int credential_set_mailbox(struct credential *credential, const char *mailbox)
{
	struct owner *owner = owner_new(&(struct owner_words){.mailbox = mailbox, .users = ""});

	if (owner == NULL)
		return -1;
	credential_set_owner(credential, owner);
	owner_free(owner);
	return 0;
}

#endif
