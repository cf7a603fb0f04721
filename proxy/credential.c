#include "proxy/credential.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

_Static_assert(_Alignof(struct revocation_point) <= _Alignof(struct verdict_link) &&
		       _Alignof(struct verdict_link) <= _Alignof(struct credential),
	"a credential, its links and its points stand behind each other without gaps");

/* Issuers: there are few of them, and many who hold one. */

struct issuer {
	LIST_ENTRY(issuer) entry;
	uint32_t uses;
	char text[];
};

static LIST_HEAD(, issuer) issuers[64];

static unsigned int bucket_of(const char *text)
{
	uint32_t hash = 0;

	for (; *text != '\0'; text++)
		hash = hash * 31 + (uint8_t)*text;
	return hash % (sizeof(issuers) / sizeof(issuers[0]));
}

/* NULL when memory runs out. For issuer_free(). */
static const char *issuer_of(const char *text)
{
	unsigned int bucket = bucket_of(text);
	size_t size = strlen(text) + 1;
	struct issuer *issuer;

	LIST_FOREACH(issuer, &issuers[bucket], entry) {
		if (strcmp(issuer->text, text) == 0) {
			issuer->uses++;
			return issuer->text;
		}
	}
	issuer = malloc(sizeof(*issuer) + size);
	if (issuer == NULL)
		return NULL;
	issuer->uses = 1;
	memcpy(issuer->text, text, size);
	LIST_INSERT_HEAD(&issuers[bucket], issuer, entry);
	return issuer->text;
}

static void issuer_free(const char *text)
{
	struct issuer *issuer;

	if (text == NULL)
		return;
	LIST_FOREACH(issuer, &issuers[bucket_of(text)], entry)
		if (issuer->text == text)
			break;
	if (issuer == NULL || --issuer->uses > 0)
		return;
	LIST_REMOVE(issuer, entry);
	free(issuer);
}

static void copy_links(struct credential *credential, const struct verdict *verdict)
{
	credential->link_count = (uint8_t)verdict->link_count;
	credential->point_count = (uint8_t)verdict->point_count;
	memcpy(credential->links, verdict->links, verdict->link_count * sizeof(verdict->links[0]));
	memcpy(credential->links + verdict->link_count, verdict->points,
		verdict->point_count * sizeof(verdict->points[0]));
}

static void destroy(struct credential *credential)
{
	free(credential->mailbox);
	free(credential->users);
	issuer_free(credential->issuer);
	free(credential->names);
	free(credential);
}

struct credential *credential_new(const struct verdict *verdict, uint32_t kinds)
{
	struct credential *credential =
		calloc(1, offsetof(struct credential, links) +
				  verdict->link_count * sizeof(verdict->links[0]) +
				  verdict->point_count * sizeof(verdict->points[0]));

	if (credential == NULL)
		return NULL;
	memcpy(credential->leaf_sha256, verdict->leaf_sha256, sizeof(credential->leaf_sha256));
	credential->not_before = verdict->not_before;
	credential->not_after = verdict->not_after;
	credential->leaf_not_before = verdict->leaf_not_before;
	credential->refusal = verdict->names_refusal;
	credential->has_usable_names = verdict->names_refusal == REFUSAL_NONE;
	credential->valid_until = INT64_MIN;
	credential->rules = verdict->rules;
	copy_links(credential, verdict);
	credential->mailbox = strdup("");
	credential->issuer = issuer_of(verdict->issuer);
	credential->names = identity_names_pack(&verdict->names, kinds);
	if (credential->mailbox == NULL || credential->issuer == NULL ||
		credential->names == NULL) {
		destroy(credential);
		return NULL;
	}
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
	destroy(credential);
}

bool credential_is_user(const struct credential *credential, struct span user)
{
	return mailbox_is_user(credential->mailbox, user) ||
	       (credential->users != NULL && mailbox_has_user(credential->users, user));
}

int credential_set_users(struct credential *credential, const char *users)
{
	char *copy = NULL;

	if (users[0] != '\0') {
		copy = strdup(users);
		if (copy == NULL)
			return -1;
	}
	free(credential->users);
	credential->users = copy;
	return 0;
}

int credential_set_mailbox(struct credential *credential, const char *mailbox)
{
	char *copy = strdup(mailbox);

	if (copy == NULL)
		return -1;
	free(credential->mailbox);
	credential->mailbox = copy;
	return 0;
}

struct verdict_links credential_links(const struct credential *credential)
{
	return (struct verdict_links){.links = credential->links,
		.points = (const struct revocation_point *)(credential->links +
							    credential->link_count),
		.count = credential->link_count,
		.point_count = credential->point_count,
		.not_before = credential->not_before,
		.not_after = credential->not_after};
}
