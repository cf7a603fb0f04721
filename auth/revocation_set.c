#include <stdlib.h>
#include <string.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_index.h"

int revocation_set_init(
	struct revocation_set *set, const struct trust_store *store, struct error *err)
{
	set->count = 0;
	set->slots = calloc(store->count == 0 ? 1 : store->count, sizeof(*set->slots));
	if (set->slots == NULL)
		return error_set(err, "preparing the revocation indexes: out of memory");
	for (size_t i = 0; i < store->count; i++) {
		const struct authority *authority = &store->authorities[i];
		struct revocation_slot *slot = &set->slots[i];

		slot->is_configured = authority->crls[0].url[0] != '\0';
		if (revocation_authority_key(authority->certificate, slot->authority_key, err) ==
			-1) {
			free(set->slots);
			set->slots = NULL;
			return -1;
		}
	}
	set->count = store->count;
	return 0;
}

static int slot_check(const struct revocation_slot *slot, const struct revocation_facts *facts,
	int authority, struct error *err)
{
	if (!slot->is_configured)
		return error_set(err,
			"taking over a revocation index: authority %d has no CRL location",
			authority);
	if (memcmp(slot->authority_key, facts->authority_key, sizeof(slot->authority_key)) != 0)
		return error_set(
			err, "taking over a revocation index: not one of authority %d", authority);
	if (slot->index != NULL &&
		facts->this_update < revocation_index_facts(slot->index)->this_update)
		return error_set(err,
			"taking over a revocation index: older than the one of authority %d in use",
			authority);
	return 0;
}

int revocation_set_put(struct revocation_set *set, int authority, struct revocation_index *index,
	struct error *err)
{
	struct revocation_slot *slot;

	if (authority < 0 || (size_t)authority >= set->count) {
		revocation_index_close(index);
		return error_set(
			err, "taking over a revocation index: there is no authority %d", authority);
	}
	slot = &set->slots[authority];
	if (slot_check(slot, revocation_index_facts(index), authority, err) == -1) {
		revocation_index_close(index);
		return -1;
	}
	revocation_index_close(slot->index);
	slot->index = index;
	return 0;
}

void revocation_set_clear(struct revocation_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		revocation_index_close(set->slots[i].index);
	free(set->slots);
	set->slots = NULL;
	set->count = 0;
}

enum refusal revocation_set_check(
	const struct revocation_set *set, int authority, const struct serial *serial, int64_t now)
{
	const struct revocation_facts *facts;
	const struct revocation_slot *slot;

	if (authority == -1)
		return REFUSAL_NONE;
	if (authority < 0 || (size_t)authority >= set->count)
		return REFUSAL_REVOCATION_UNAVAILABLE;
	slot = &set->slots[authority];
	if (!slot->is_configured)
		return REFUSAL_NONE;
	if (slot->index == NULL)
		return REFUSAL_REVOCATION_UNAVAILABLE;
	facts = revocation_index_facts(slot->index);
	if (now > facts->next_update || now + REVOCATION_CLOCK_GRACE < facts->this_update)
		return REFUSAL_REVOCATION_UNAVAILABLE;
	if (revocation_index_find(slot->index, serial, NULL, NULL))
		return REFUSAL_CERTIFICATE_REVOKED;
	return REFUSAL_NONE;
}
