/* What of a verdict changes with time: the second half of verify.h. */
#include "auth/verify.h"

/* Whether an authority has its revocation looked at. */
static bool is_checked(const struct trust_store *store, int authority)
{
	const struct authority *entry;

	if (authority < 0 || (size_t)authority >= store->count)
		return false;
	entry = &store->authorities[authority];
	return entry->crls[0].url[0] != '\0' && entry->check != AUTHORITY_CHECK_NONE;
}

static bool is_checked_above(
	const struct verdict_links *links, uint32_t link, const struct trust_store *store)
{
	for (uint32_t i = link + 1; i < links->count; i++)
		if (is_checked(store, verdict_link_at(links, i)->authority))
			return true;
	return false;
}

static enum refusal check_link(const struct verdict_links *links, uint32_t i,
	const struct trust_store *store, const struct revocation_set *revocation, int64_t now,
	struct revocation_finding *finding)
{
	const struct verdict_link *link = verdict_link_at(links, i);
	const struct revocation_target target = {.authority = link->authority,
		.serial = link->serial,
		.is_ca = link->is_ca,
		.link = (uint8_t)i,
		.points = links->points,
		.point_count = links->point_count};

	if (link->authority < 0)
		return is_checked_above(links, i, store) ? REFUSAL_ISSUER_UNKNOWN : REFUSAL_NONE;
	if ((size_t)link->authority >= store->count)
		return REFUSAL_INTERNAL;
	if (!is_checked(store, link->authority))
		return REFUSAL_NONE;
	/* A set that does not know of the location has no say that there is nothing to check. */
	if ((size_t)link->authority >= revocation->count ||
		!revocation->slots[link->authority].is_configured)
		return REFUSAL_REVOCATION_UNAVAILABLE;
	return revocation_set_check(revocation, &target, now, finding);
}

enum refusal verdict_links_explain(const struct verdict_links *links,
	const struct trust_store *store, const struct revocation_set *revocation, int64_t now,
	struct verdict_finding *finding)
{
	enum refusal refusal = REFUSAL_NONE;

	if (links->count == 0 || links->count > VERDICT_CHAIN_MAX)
		return REFUSAL_INTERNAL; /* a verdict that nobody has filled */
	if (now < links->not_before)
		return REFUSAL_CERTIFICATE_NOT_YET_VALID;
	if (now > links->not_after)
		return REFUSAL_CERTIFICATE_EXPIRED;
	/* From the root down (RFC 5280 6.1): a revoked authority says more than what is under it. */
	for (uint32_t i = links->count; refusal == REFUSAL_NONE && i > 0; i--) {
		if (finding != NULL)
			finding->link = i - 1;
		refusal = check_link(links, i - 1, store, revocation, now,
			finding != NULL ? &finding->revocation : NULL);
	}
	return refusal;
}

enum refusal verdict_links_check(const struct verdict_links *links, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now)
{
	return verdict_links_explain(links, store, revocation, now, NULL);
}

struct verdict_links verdict_links_of(const struct verdict *verdict)
{
	return (struct verdict_links){.leaf = verdict->links,
		.above = verdict->links + 1,
		.points = verdict->points,
		.count = verdict->link_count,
		.point_count = verdict->point_count,
		.not_before = verdict->not_before,
		.not_after = verdict->not_after};
}

enum refusal verdict_check(const struct verdict *verdict, const struct trust_store *store,
	const struct revocation_set *revocation, int64_t now)
{
	const struct verdict_links links = verdict_links_of(verdict);

	if (verdict->refusal != REFUSAL_NONE)
		return verdict->refusal;
	return verdict_links_check(&links, store, revocation, now);
}
