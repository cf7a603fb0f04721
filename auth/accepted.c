#include "auth/accepted.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "config/slab.h"

/* All of it is compared, so that there is each kind once: what lies between fields is zero. */
struct common {
	int64_t not_before; /* of those above, where it is later than the leaf's; else INT64_MIN */
	uint64_t policy_oids;
	uint32_t rules;
	uint8_t link_count, point_count;
	uint16_t issuer_size;        /* of its text; behind it OCSP's URL; each with its NUL */
	struct verdict_link above[]; /* without the leaf's; behind them the points and the texts */
};

struct accepted_kind {
	LIST_ENTRY(accepted_kind) entry;
	uint32_t uses;
	uint32_t hash, size; /* of what is common */
	struct common common;
};

_Static_assert(_Alignof(struct revocation_point) <= _Alignof(struct verdict_link) &&
		       _Alignof(struct verdict_link) <= _Alignof(struct common),
	"links and points stand behind each other without gaps");

enum {
	COMMON_MAX = sizeof(struct common) + sizeof(((struct verdict *)0)->links) +
		     sizeof(((struct verdict *)0)->points) + sizeof(((struct verdict *)0)->issuer) +
		     sizeof(((struct verdict *)0)->ocsp_url)
};

/* There are few, and many who are of the same; where each certificate has a place of its own for its
 * CRL there are as many as certificates. */
static LIST_HEAD(, accepted_kind) kinds_known[256];

static size_t above_count(const struct common *common)
{
	return common->link_count > 0 ? common->link_count - 1U : 0;
}

static const struct revocation_point *points_of(const struct common *common)
{
	return (const struct revocation_point *)(common->above + above_count(common));
}

static const char *issuer_of(const struct common *common)
{
	return (const char *)(points_of(common) + common->point_count);
}

static uint8_t *append(uint8_t *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

/* Returns its size. */
static size_t common_fill(struct common *common, const struct verdict *verdict, uint64_t oids)
{
	uint8_t *at = (uint8_t *)common->above;

	memset(common, 0, sizeof(*common));
	common->not_before =
		verdict->not_before > verdict->leaf_not_before ? verdict->not_before : INT64_MIN;
	common->policy_oids = oids;
	common->rules = verdict->rules;
	common->link_count = (uint8_t)verdict->link_count;
	common->point_count = (uint8_t)verdict->point_count;
	common->issuer_size = (uint16_t)(strlen(verdict->issuer) + 1);
	at = append(at, verdict->links + 1, above_count(common) * sizeof(verdict->links[0]));
	at = append(at, verdict->points, verdict->point_count * sizeof(verdict->points[0]));
	at = append(at, verdict->issuer, common->issuer_size);
	at = append(at, verdict->ocsp_url, strlen(verdict->ocsp_url) + 1);
	return (size_t)(at - (uint8_t *)common);
}

static uint32_t hash_of(const uint8_t *bytes, size_t len)
{
	uint32_t hash = 2166136261;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 16777619;
	return hash;
}

/* NULL when memory runs out. */
static struct accepted_kind *kind_of(const struct verdict *verdict, uint64_t oids)
{
	_Alignas(struct common) uint8_t bytes[COMMON_MAX];
	size_t size = common_fill((struct common *)bytes, verdict, oids);
	uint32_t hash = hash_of(bytes, size);
	struct accepted_kind *kind;

	LIST_FOREACH(kind, &kinds_known[hash % 256], entry) {
		if (kind->hash == hash && kind->size == size &&
			memcmp(&kind->common, bytes, size) == 0) {
			kind->uses++;
			return kind;
		}
	}
	kind = malloc(offsetof(struct accepted_kind, common) + size);
	if (kind == NULL)
		return NULL;
	kind->uses = 1;
	kind->hash = hash;
	kind->size = (uint32_t)size;
	memcpy(&kind->common, bytes, size);
	LIST_INSERT_HEAD(&kinds_known[hash % 256], kind, entry);
	return kind;
}

static void kind_free(struct accepted_kind *kind)
{
	if (--kind->uses > 0)
		return;
	LIST_REMOVE(kind, entry);
	free(kind);
}

struct accepted *accepted_new(const struct verdict *verdict, uint32_t kinds, uint64_t policy_oids)
{
	size_t names_size = identity_names_packed_size(&verdict->names, kinds);
	struct accepted *accepted = slab_new(offsetof(struct accepted, names) + names_size);

	if (accepted == NULL)
		return NULL;
	memcpy(accepted->leaf_sha256, verdict->leaf_sha256, sizeof(accepted->leaf_sha256));
	accepted->kind = kind_of(verdict, policy_oids);
	if (accepted->kind == NULL) {
		slab_free(accepted);
		return NULL;
	}
	accepted->not_after = verdict->not_after;
	accepted->leaf_not_before = verdict->leaf_not_before;
	accepted->uses = 1;
	accepted->names_refusal = verdict->names_refusal;
	accepted->leaf = verdict->links[0];
	identity_names_pack(&verdict->names, kinds, accepted->names);
	return accepted;
}

struct accepted *accepted_share(struct accepted *accepted)
{
	accepted->uses++;
	return accepted;
}

void accepted_free(struct accepted *accepted)
{
	if (accepted == NULL || --accepted->uses > 0)
		return;
	kind_free(accepted->kind);
	slab_free(accepted);
}

struct verdict_links accepted_links(const struct accepted *accepted)
{
	const struct common *common = &accepted->kind->common;

	return (struct verdict_links){.leaf = &accepted->leaf,
		.above = common->above,
		.points = points_of(common),
		.count = common->link_count,
		.point_count = common->point_count,
		.not_before = common->not_before > accepted->leaf_not_before
				      ? common->not_before
				      : accepted->leaf_not_before,
		.not_after = accepted->not_after};
}

const char *accepted_issuer(const struct accepted *accepted)
{
	return issuer_of(&accepted->kind->common);
}

const char *accepted_ocsp_url(const struct accepted *accepted)
{
	const struct common *common = &accepted->kind->common;

	return issuer_of(common) + common->issuer_size;
}

uint32_t accepted_rules(const struct accepted *accepted)
{
	return accepted->kind->common.rules;
}

uint64_t accepted_policy_oids(const struct accepted *accepted)
{
	return accepted->kind->common.policy_oids;
}

void accepted_unpack(const struct accepted *accepted, struct verdict *verdict)
{
	const struct verdict_links links = accepted_links(accepted);

	memset(verdict, 0, sizeof(*verdict));
	memcpy(verdict->leaf_sha256, accepted->leaf_sha256, sizeof(verdict->leaf_sha256));
	verdict->not_before = links.not_before;
	verdict->not_after = links.not_after;
	verdict->leaf_not_before = accepted->leaf_not_before;
	verdict->link_count = links.count;
	verdict->point_count = links.point_count;
	verdict->links[0] = accepted->leaf;
	memcpy(verdict->links + 1, links.above,
		above_count(&accepted->kind->common) * sizeof(links.above[0]));
	memcpy(verdict->points, links.points, links.point_count * sizeof(links.points[0]));
	verdict->rules = accepted_rules(accepted);
	verdict->names_refusal = accepted->names_refusal;
	memcpy(verdict->issuer, accepted_issuer(accepted), strlen(accepted_issuer(accepted)) + 1);
	memcpy(verdict->ocsp_url, accepted_ocsp_url(accepted),
		strlen(accepted_ocsp_url(accepted)) + 1);
}
