#include "auth/revocation_set.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_path.h"
#include "auth/x509_text.h"

enum {
	SIGNER_DEPTH_MAX = 3, /* the signer of the CRL for the signer of the CRL for ... */
	OWN_POINT_MAX = 32,   /* of one authority's certificate */
};

static int slot_read_points(struct revocation_slot *slot, X509 *certificate)
{
	struct revocation_point points[OWN_POINT_MAX];

	if (revocation_points_read(certificate, 0, points, OWN_POINT_MAX, &slot->point_count) == -1)
		slot->point_count = 0; /* no CRL but one for every point answers it */
	if (slot->point_count == 0)
		return 0;
	slot->points = malloc(slot->point_count * sizeof(*slot->points));
	if (slot->points == NULL)
		return -1;
	memcpy(slot->points, points, slot->point_count * sizeof(*slot->points));
	return 0;
}

static bool is_location(const struct authority *authority, size_t place)
{
	const char *url = authority->crls[place].url;

	return url != NULL && url[0] != '\0';
}

static int slot_init(
	struct revocation_slot *slot, const struct authority *authority, struct error *err)
{
	X509 *certificate = authority->certificate;

	slot->is_configured = is_location(authority, 0);
	slot->check = authority->check;
	slot->grace_s = authority->grace_s;
	slot->exempt_until = authority->exempt_until;
	slot->is_root = authority->is_root;
	slot->is_ca = !authority->is_crl_signer;
	slot->issuer = -1;
	for (size_t place = 0; place < CRL_LOCATION_MAX; place++)
		slot->is_place[place] = is_location(authority, place);
	if (revocation_authority_key(certificate, slot->authority_key, err) == -1)
		return -1;
	if (name_key_of_name(X509_get_subject_name(certificate), &slot->name) == -1 ||
		serial_from_asn1(&slot->serial, X509_get0_serialNumber(certificate)) == -1 ||
		x509_time_read(X509_get0_notBefore(certificate), &slot->not_before) == -1 ||
		x509_time_read(X509_get0_notAfter(certificate), &slot->not_after) == -1 ||
		slot_read_points(slot, certificate) == -1)
		return error_set(err,
			"preparing the revocation indexes: name, serial, or times of %s",
			authority->issuer);
	return 0;
}

/* Who issued the certificates of the store, as far as they have a path within it. */
static int find_issuers(struct revocation_set *set, const struct trust_store *store)
{
	struct revocation_paths *paths = revocation_paths_new(store, REVOCATION_PATH_ANY_ROOT);
	int path[REVOCATION_PATH_MAX];

	if (paths == NULL)
		return -1;
	for (size_t i = 0; i < set->count; i++)
		if (!set->slots[i].is_root &&
			revocation_path_find(paths, (int)i, REVOCATION_PATH_ANY_TIME, path) > 1)
			set->slots[i].issuer = path[1];
	revocation_paths_free(paths);
	return 0;
}

int revocation_set_init(
	struct revocation_set *set, const struct trust_store *store, struct error *err)
{
	memset(set, 0, sizeof(*set));
	set->slots = calloc(store->count == 0 ? 1 : store->count, sizeof(*set->slots));
	if (set->slots == NULL)
		return error_set(err, "preparing the revocation indexes: out of memory");
	for (size_t i = 0; i < store->count; i++) {
		set->count++;
		if (slot_init(&set->slots[i], &store->authorities[i], err) == -1)
			goto fail;
	}
	if (find_issuers(set, store) == 0)
		return 0;
	error_set(err, "preparing the revocation indexes: out of memory");
fail:
	revocation_set_clear(set);
	return -1;
}

static bool has_signer(const struct revocation_set *set, const uint8_t key[32])
{
	for (size_t i = 0; i < set->count; i++)
		if (memcmp(set->slots[i].authority_key, key, sizeof(set->slots[i].authority_key)) ==
			0)
			return true;
	return false;
}

static int put_check(const struct revocation_set *set, int authority, int place,
	const struct revocation_facts *facts, struct error *err)
{
	static const char doing[] = "taking over a revocation index";
	const struct revocation_slot *slot = &set->slots[authority];
	const struct revocation_index *before;

	if (!slot->is_configured || place < 0 || place >= CRL_LOCATION_MAX ||
		!slot->is_place[place])
		return error_set(
			err, "%s: authority %d has no CRL location %d", doing, authority, place);
	if (memcmp(slot->authority_key, facts->authority_key, sizeof(slot->authority_key)) != 0)
		return error_set(err, "%s: not one of authority %d", doing, authority);
	if (!has_signer(set, facts->signer_key))
		return error_set(err, "%s: its signer is not in the trust store", doing);
	before = slot->indexes[place];
	if (before != NULL && facts->this_update < revocation_index_facts(before)->this_update)
		return error_set(
			err, "%s: older than the one of authority %d in use", doing, authority);
	return 0;
}

/* Where they come faster than they go, the oldest has to go at once. */
static void retire(struct revocation_set *set, struct revocation_index *index)
{
	if (index == NULL)
		return;
	if (set->retired_count == REVOCATION_RETIRED_MAX) {
		revocation_index_close(set->retired[0]);
		set->retired_count--;
		memmove(set->retired, set->retired + 1,
			set->retired_count * sizeof(set->retired[0]));
	}
	set->retired[set->retired_count++] = index;
}

bool revocation_set_tidy(struct revocation_set *set)
{
	if (set->retired_count > 0 &&
		!revocation_index_close_part(set->retired[set->retired_count - 1]))
		set->retired_count--;
	return set->retired_count > 0;
}

int revocation_set_put(struct revocation_set *set, int authority, int place,
	struct revocation_index *index, struct error *err)
{
	struct revocation_slot *slot;

	if (authority < 0 || (size_t)authority >= set->count) {
		revocation_index_close(index);
		return error_set(
			err, "taking over a revocation index: there is no authority %d", authority);
	}
	if (put_check(set, authority, place, revocation_index_facts(index), err) == -1) {
		revocation_index_close(index);
		return -1;
	}
	slot = &set->slots[authority];
	retire(set, slot->indexes[place]);
	slot->indexes[place] = index;
	return 0;
}

void revocation_set_clear(struct revocation_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		for (size_t place = 0; place < CRL_LOCATION_MAX; place++)
			revocation_index_close(set->slots[i].indexes[place]);
		free(set->slots[i].points);
	}
	for (size_t i = 0; i < set->retired_count; i++)
		revocation_index_close(set->retired[i]);
	free(set->slots);
	memset(set, 0, sizeof(*set));
}

static bool has_ended(
	const struct revocation_slot *slot, const struct revocation_facts *facts, int64_t now)
{
	return now - (int64_t)slot->grace_s > facts->next_update;
}

static bool has_begun(const struct revocation_facts *facts, int64_t now)
{
	return now + REVOCATION_CLOCK_GRACE >= facts->this_update;
}

/* RFC 5280 6.3.3 (a), (b) and (d): the reasons for which a CRL of that scope decides over the target; 0:
 * it is not about it at all. Beside the points that the certificate names there is always the one
 * that stands for all CRLs of its issuer, by whose name it goes. */
static unsigned int reasons_covered(const struct revocation_slot *slot,
	const struct revocation_scope *scope, const struct revocation_target *target)
{
	const struct revocation_point assumed = {
		.reasons = REVOCATION_REASONS_ALL, .name = slot->name};
	unsigned int reasons = 0;

	if (!revocation_scope_has_kind(scope, target->is_ca))
		return 0;
	if (revocation_scope_has_point(scope, &slot->name, &assumed))
		reasons |= assumed.reasons;
	for (size_t i = 0; i < target->point_count; i++)
		if (target->points[i].link == target->link &&
			revocation_scope_has_point(scope, &slot->name, &target->points[i]))
			reasons |= target->points[i].reasons;
	return reasons & scope->reasons & REVOCATION_REASONS_ALL;
}

static bool has_key(const struct revocation_slot *slot, const uint8_t key[32])
{
	return memcmp(slot->authority_key, key, sizeof(slot->authority_key)) == 0;
}

/* A target, and how it came to be one. */
struct question {
	const struct revocation_target *target;
	const uint8_t *key; /* the target's own, where it is a signer of CRLs; else NULL */
	unsigned int
		depth; /* 0: a phone's chain; 1: the signer of a CRL for it; 2: of that one's */
};

static enum refusal answer(const struct revocation_set *set, const struct question *question,
	int64_t now, struct revocation_finding *finding);

/* Whether a certificate of the store, which signed a CRL for authority, is valid and not revoked, and
 * so are those above it. Up to the authority itself: who asks looks at that one in any case. */
static bool is_standing(const struct revocation_set *set, size_t number,
	const struct revocation_slot *authority, int64_t now, unsigned int depth)
{
	for (size_t step = 0; step < REVOCATION_PATH_MAX; step++) {
		const struct revocation_slot *slot = &set->slots[number];
		const struct revocation_target target = {.authority = slot->issuer,
			.serial = slot->serial,
			.is_ca = slot->is_ca,
			.points = slot->points,
			.point_count = slot->point_count};
		const struct question question = {
			.target = &target, .key = slot->authority_key, .depth = depth + 1};

		if (has_key(slot, authority->authority_key))
			return true;
		if (now < slot->not_before || now > slot->not_after)
			return false;
		if (slot->is_root)
			return true;
		if (slot->issuer < 0 || depth >= SIGNER_DEPTH_MAX ||
			answer(set, &question, now, NULL) != REFUSAL_NONE)
			return false;
		number = (size_t)slot->issuer;
	}
	return false;
}

/* Whether its authority has written into the target that the issuer of this CRL is the one to ask. */
static bool is_named(const struct revocation_target *target, const struct revocation_scope *scope)
{
	for (size_t i = 0; i < target->point_count; i++)
		if (target->points[i].link == target->link &&
			!name_key_is_empty(&target->points[i].crl_issuer) &&
			name_key_equal(&target->points[i].crl_issuer, &scope->issuer))
			return true;
	return false;
}

/* One certificate with the key that signed the CRL is enough: authorities renew theirs. A signer may
 * speak for itself only where its authority says so expressly. */
static bool is_signer_good(const struct revocation_set *set, const struct question *question,
	const struct revocation_facts *facts, int64_t now)
{
	const struct revocation_slot *authority = &set->slots[question->target->authority];

	if (has_key(authority, facts->signer_key))
		return true;
	if (question->key != NULL &&
		memcmp(question->key, facts->signer_key, sizeof(facts->signer_key)) == 0)
		return is_named(question->target, &facts->scope);
	for (size_t i = 0; i < set->count; i++)
		if (has_key(&set->slots[i], facts->signer_key) &&
			is_standing(set, i, authority, now, question->depth))
			return true;
	return false;
}

static bool is_left_out(
	const struct revocation_slot *slot, const struct revocation_target *target, int64_t now)
{
	return !slot->is_configured || now < slot->exempt_until ||
	       slot->check == AUTHORITY_CHECK_NONE ||
	       (slot->check == AUTHORITY_CHECK_LEAF && target->is_ca);
}

/* The index that has the target on its list, is past its nextUpdate, and is the newest such one. Its
 * thisUpdate, or INT64_MIN: there is none. What it says holds on until there is newer news: else it
 * would be enough to keep us from one of two locations. */
static int64_t ended_since(const struct revocation_set *set, const struct question *question,
	int64_t now, struct revocation_finding *finding)
{
	const struct revocation_target *target = question->target;
	const struct revocation_slot *slot = &set->slots[target->authority];
	int64_t since = INT64_MIN;

	for (int place = 0; place < CRL_LOCATION_MAX; place++) {
		const struct revocation_index *index = slot->indexes[place];
		const struct revocation_facts *facts;

		if (index == NULL)
			continue;
		facts = revocation_index_facts(index);
		if (!has_ended(slot, facts, now) || facts->this_update <= since ||
			reasons_covered(slot, &facts->scope, target) == 0 ||
			!is_signer_good(set, question, facts, now) ||
			!revocation_index_find(index, &slot->name, &target->serial, finding))
			continue;
		since = facts->this_update;
		if (finding != NULL)
			finding->place = place;
	}
	return since;
}

static enum refusal answer(const struct revocation_set *set, const struct question *question,
	int64_t now, struct revocation_finding *finding)
{
	const struct revocation_target *target = question->target;
	const struct revocation_slot *slot = &set->slots[target->authority];
	bool is_any_current = false;
	unsigned int reasons = 0, reasons_since = 0;
	int64_t since;

	if (is_left_out(slot, target, now))
		return REFUSAL_NONE;
	since = ended_since(set, question, now, finding);
	for (int place = 0; place < CRL_LOCATION_MAX; place++) {
		const struct revocation_index *index = slot->indexes[place];
		const struct revocation_facts *facts;
		unsigned int covered;

		if (index == NULL)
			continue;
		facts = revocation_index_facts(index);
		if (has_ended(slot, facts, now) || !has_begun(facts, now))
			continue;
		covered = reasons_covered(slot, &facts->scope, target);
		if (covered != 0 && !is_signer_good(set, question, facts, now))
			continue;
		is_any_current = true;
		if (covered != 0 &&
			revocation_index_find(index, &slot->name, &target->serial, finding)) {
			if (finding != NULL)
				finding->place = place;
			return REFUSAL_CERTIFICATE_REVOKED;
		}
		reasons |= covered;
		if (facts->this_update >= since)
			reasons_since |= covered;
	}
	if (reasons == REVOCATION_REASONS_ALL)
		return reasons_since == reasons ? REFUSAL_NONE : REFUSAL_CERTIFICATE_REVOKED;
	return is_any_current ? REFUSAL_REVOCATION_UNKNOWN : REFUSAL_REVOCATION_UNAVAILABLE;
}

enum refusal revocation_set_check(const struct revocation_set *set,
	const struct revocation_target *target, int64_t now, struct revocation_finding *finding)
{
	if (target->authority < 0 || (size_t)target->authority >= set->count)
		return REFUSAL_REVOCATION_UNAVAILABLE;
	return answer(set, &(struct question){.target = target}, now, finding);
}

/* Speaks for every user's certificate and every reason. */
static bool is_complete(const struct revocation_scope *scope)
{
	return scope->name_count == 0 && scope->reasons == REVOCATION_REASONS_ALL;
}

int64_t revocation_set_effective(const struct revocation_set *set, int authority, int64_t now)
{
	const struct revocation_target users = {.authority = authority};
	const struct question question = {.target = &users};
	const struct revocation_slot *slot;
	int64_t of_complete = INT64_MIN; /* the latest */
	int64_t of_parts = INT64_MAX;    /* the oldest */

	if (authority < 0 || (size_t)authority >= set->count)
		return INT64_MIN;
	slot = &set->slots[authority];
	/* It would let in whom nobody looks at. */
	if (is_left_out(slot, &users, now))
		return INT64_MIN;
	for (size_t place = 0; place < CRL_LOCATION_MAX; place++) {
		const struct revocation_facts *facts;

		if (!slot->is_place[place])
			continue;
		if (slot->indexes[place] == NULL) {
			of_parts = INT64_MIN;
			continue;
		}
		facts = revocation_index_facts(slot->indexes[place]);
		if (!revocation_scope_has_kind(&facts->scope, false))
			continue;
		if (!is_signer_good(set, &question, facts, now)) {
			of_parts = INT64_MIN;
			continue;
		}
		if (is_complete(&facts->scope) && facts->this_update > of_complete)
			of_complete = facts->this_update;
		if (facts->this_update < of_parts)
			of_parts = facts->this_update;
	}
	if (of_complete != INT64_MIN)
		return of_complete;
	return of_parts == INT64_MAX ? INT64_MIN : of_parts;
}

/* The earlier of the two that lies after now. */
static void take_earlier(int64_t *earliest, int64_t moment, int64_t now)
{
	if (moment > now && moment < *earliest)
		*earliest = moment;
}

int64_t revocation_set_next_change(const struct revocation_set *set, int64_t now)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < set->count; i++) {
		const struct revocation_slot *slot = &set->slots[i];

		/* The last second of a certificate or a CRL is good; that of an exemption is over. */
		take_earlier(&earliest, slot->exempt_until, now);
		take_earlier(&earliest, slot->not_before, now);
		take_earlier(&earliest, slot->not_after + 1, now);
		for (size_t place = 0; place < CRL_LOCATION_MAX; place++) {
			const struct revocation_facts *facts;

			if (slot->indexes[place] == NULL)
				continue;
			facts = revocation_index_facts(slot->indexes[place]);
			take_earlier(
				&earliest, facts->next_update + (int64_t)slot->grace_s + 1, now);
			take_earlier(&earliest, facts->this_update - REVOCATION_CLOCK_GRACE, now);
		}
	}
	return earliest;
}
