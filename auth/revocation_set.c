#include "auth/revocation_set.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_path.h"

enum {
	SIGNER_DEPTH_MAX = 3, /* the signer of the CRL that speaks for the signer of the CRL ... */
	OWN_POINT_MAX = 32,   /* of one authority's certificate */
};

static int time_from_asn1(int64_t *seconds, const ASN1_TIME *time)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return -1;
	*seconds = timegm(&tm);
	return 0;
}

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
		time_from_asn1(&slot->not_before, X509_get0_notBefore(certificate)) == -1 ||
		time_from_asn1(&slot->not_after, X509_get0_notAfter(certificate)) == -1 ||
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
	set->count = 0;
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
	revocation_index_close(slot->indexes[place]);
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
	free(set->slots);
	set->slots = NULL;
	set->count = 0;
}

static bool is_current(
	const struct revocation_slot *slot, const struct revocation_facts *facts, int64_t now)
{
	return now <= facts->next_update + (int64_t)slot->grace_s &&
	       now + REVOCATION_CLOCK_GRACE >= facts->this_update;
}

enum refusal revocation_set_check(const struct revocation_set *set,
	const struct revocation_target *target, int64_t now, struct revocation_finding *finding)
{
	const struct revocation_slot *slot;

	if (target->authority < 0 || (size_t)target->authority >= set->count)
		return REFUSAL_REVOCATION_UNAVAILABLE;
	slot = &set->slots[target->authority];
	if (!slot->is_configured)
		return REFUSAL_NONE;
	if (slot->indexes[0] == NULL ||
		!is_current(slot, revocation_index_facts(slot->indexes[0]), now))
		return REFUSAL_REVOCATION_UNAVAILABLE;
	if (revocation_index_find(slot->indexes[0], NULL, &target->serial, finding))
		return REFUSAL_CERTIFICATE_REVOKED;
	return REFUSAL_NONE;
}

int64_t revocation_set_effective(const struct revocation_set *set, int authority)
{
	if (authority < 0 || (size_t)authority >= set->count ||
		set->slots[authority].indexes[0] == NULL)
		return INT64_MIN;
	return revocation_index_facts(set->slots[authority].indexes[0])->this_update;
}
