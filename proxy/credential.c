#include "proxy/credential.h"

#include <stdlib.h>
#include <string.h>

struct credential *credential_new(const struct verdict *verdict)
{
	size_t links_size = verdict->link_count * sizeof(verdict->links[0]);
	struct credential *credential = calloc(1, sizeof(*credential) + links_size);

	if (credential == NULL)
		return NULL;
	memcpy(credential->leaf_sha256, verdict->leaf_sha256, sizeof(credential->leaf_sha256));
	credential->not_before = verdict->not_before;
	credential->not_after = verdict->not_after;
	credential->refusal = verdict->names_refusal;
	credential->link_count = verdict->link_count;
	memcpy(credential->links, verdict->links, links_size);
	credential->mailbox = strdup("");
	credential->issuer = strdup(verdict->issuer);
	credential->names = malloc(sizeof(*credential->names));
	if (credential->names != NULL)
		*credential->names = verdict->names;
	if (credential->mailbox == NULL || credential->issuer == NULL ||
		credential->names == NULL) {
		credential_free(credential);
		return NULL;
	}
	return credential;
}

void credential_free(struct credential *credential)
{
	if (credential == NULL)
		return;
	free(credential->mailbox);
	free(credential->issuer);
	free(credential->names);
	free(credential);
}

int credential_set_mailbox(struct credential *credential, const char *mailbox)
{
	char *copy = strdup(mailbox);

	if (copy == NULL)
		return -1;
	free(credential->mailbox);
	credential->mailbox = copy;
	free(credential->names);
	credential->names = NULL;
	return 0;
}

enum refusal credential_check(const struct credential *credential, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now)
{
	const struct verdict_links links = {.links = credential->links,
		.count = credential->link_count,
		.not_before = credential->not_before,
		.not_after = credential->not_after};

	return verdict_links_check(&links, store, revocation, now);
}
