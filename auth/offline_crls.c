#include "auth/offline_crls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_compile.h"

struct crl {
	char *name; /* of its file */
	uint8_t *der;
	size_t len;
	struct revocation_peek peek;
	bool is_used;
	struct error fault; /* why it was not, the last time */
};

struct offline_crls {
	struct crl *list;
	size_t count, capacity;
	offline_report *report;
	void *context;
};

/* What a CRL is offered to. */
struct offering {
	const struct trust_store *store;
	const struct verdict *verdict;
	struct revocation_set *set;
	int64_t now;
};

struct offline_crls *offline_crls_new(offline_report *report, void *context)
{
	struct offline_crls *crls = calloc(1, sizeof(*crls));

	if (crls != NULL) {
		crls->report = report;
		crls->context = context;
	}
	return crls;
}

void offline_crls_free(struct offline_crls *crls)
{
	if (crls == NULL)
		return;
	for (size_t i = 0; i < crls->count; i++) {
		free(crls->list[i].name);
		free(crls->list[i].der);
	}
	free(crls->list);
	free(crls);
}

static void report(const struct offline_crls *crls, const char *name, const char *text)
{
	char line[800];

	snprintf(line, sizeof(line), "%.250s: %s", name, text);
	if (crls->report != NULL)
		crls->report(crls->context, line);
}

static int grow(struct offline_crls *crls)
{
	size_t capacity = crls->capacity == 0 ? 64 : crls->capacity * 2;
	struct crl *list;

	if (crls->count < crls->capacity)
		return 0;
	list = realloc(crls->list, capacity * sizeof(*list));
	if (list == NULL)
		return -1;
	crls->list = list;
	crls->capacity = capacity;
	return 0;
}

static int take_crl(void *context, const char *name, struct span der, struct error *err)
{
	struct offline_crls *crls = context;
	struct crl crl = {.len = der.len};

	if (!revocation_crl_peek(der, &crl.peek)) {
		report(crls, name, "not a CRL that can be read");
		return 0;
	}
	crl.name = strdup(name);
	crl.der = malloc(der.len);
	if (crl.name == NULL || crl.der == NULL || grow(crls) == -1) {
		free(crl.name);
		free(crl.der);
		return error_set(err, "%s: out of memory", name);
	}
	memcpy(crl.der, der.data, der.len);
	crls->list[crls->count++] = crl;
	return 0;
}

static void report_file(void *context, const char *text)
{
	const struct offline_crls *crls = context;

	if (crls->report != NULL)
		crls->report(crls->context, text);
}

int offline_crls_read(struct offline_crls *crls, const char *path, struct error *err)
{
	const struct offline_reader reader = {
		.kind = OFFLINE_CRL, .take = take_crl, .report = report_file, .context = crls};

	return offline_read(&reader, path, err) < 0 ? -1 : 0;
}

/* Whether a certificate of the chain that the authority issued names the issuer of an indirect CRL. */
static bool is_named_in_chain(
	const struct offering *offering, size_t authority, const struct name_key *issuer)
{
	const struct verdict *verdict = offering->verdict;

	for (uint32_t i = 0; i < verdict->point_count; i++) {
		const struct revocation_point *point = &verdict->points[i];

		if (verdict->links[point->link].authority == (int)authority &&
			name_key_equal(&point->crl_issuer, issuer))
			return true;
	}
	return false;
}

static bool could_speak_for(
	const struct offering *offering, const struct crl *crl, size_t authority)
{
	const struct revocation_scope *scope = &crl->peek.scope;

	return name_key_equal(&scope->issuer, &offering->set->slots[authority].name) ||
	       (scope->is_indirect && is_named_in_chain(offering, authority, &scope->issuer));
}

static int free_place(const struct revocation_slot *slot)
{
	for (int place = 0; place < CRL_LOCATION_MAX; place++)
		if (slot->indexes[place] == NULL)
			return place;
	return -1;
}

/* The index of a CRL, or of base with the delta crl merged into it. NULL with the CRL's fault filled where
 * it cannot be used. */
static struct revocation_index *compile(const struct offering *offering, struct crl *crl,
	const struct revocation_index *base, size_t authority)
{
	const struct revocation_signers signers = {
		.store = offering->store, .authority = (int)authority};
	struct span der = span_of(crl->der, crl->len);
	struct revocation_index *index = NULL;
	int fd = memfd_create("revocation-index", MFD_CLOEXEC);
	struct revocation_facts facts;
	int result;

	if (fd == -1) {
		error_sys(&crl->fault, "making an index");
		return NULL;
	}
	result = base == NULL ? revocation_compile(
					der, &signers, NULL, offering->now, fd, &facts, &crl->fault)
			      : revocation_merge(base, der, &signers, NULL, offering->now, fd,
					&facts, &crl->fault);
	if (result == 0)
		index = revocation_index_open(fd, crl->name, &crl->fault);
	close(fd);
	return index;
}

static int offer_base(
	const struct offering *offering, struct crl *crl, size_t authority, struct error *err)
{
	struct revocation_slot *slot = &offering->set->slots[authority];
	struct revocation_index *index;
	int place;

	if (!could_speak_for(offering, crl, authority))
		return 0;
	index = compile(offering, crl, NULL, authority);
	if (index == NULL)
		return 0;
	place = free_place(slot);
	if (place == -1) {
		revocation_index_close(index);
		return error_set(err, "%s: more than %d CRLs for %s", crl->name,
			(int)CRL_LOCATION_MAX, offering->store->authorities[authority].issuer);
	}
	if (revocation_set_put(offering->set, (int)authority, place, index, &crl->fault) == 0)
		crl->is_used = true;
	return 0;
}

/* A delta that does not fit leaves the CRL as it is, which is still what its issuer said. */
static void offer_delta(const struct offering *offering, struct crl *crl, size_t authority)
{
	struct revocation_slot *slot = &offering->set->slots[authority];

	if (!could_speak_for(offering, crl, authority))
		return;
	for (int place = 0; place < CRL_LOCATION_MAX && slot->indexes[place] != NULL; place++) {
		struct revocation_index *index =
			compile(offering, crl, slot->indexes[place], authority);

		if (index != NULL && revocation_set_put(offering->set, (int)authority, place, index,
					     &crl->fault) == 0)
			crl->is_used = true;
	}
}

int offline_crls_put(struct offline_crls *crls, const struct trust_store *store,
	const struct verdict *verdict, int64_t now, struct revocation_set *set, struct error *err)
{
	const struct offering offering = {
		.store = store, .verdict = verdict, .set = set, .now = now};

	for (size_t i = 0; i < crls->count; i++)
		for (size_t n = 0; n < store->count; n++)
			if (!crls->list[i].peek.is_delta &&
				offer_base(&offering, &crls->list[i], n, err) == -1)
				return -1;
	for (size_t i = 0; i < crls->count; i++)
		for (size_t n = 0; n < store->count; n++)
			if (crls->list[i].peek.is_delta)
				offer_delta(&offering, &crls->list[i], n);
	for (size_t i = 0; i < crls->count; i++)
		if (!crls->list[i].is_used && crls->list[i].fault.text[0] != '\0')
			report(crls, crls->list[i].name, crls->list[i].fault.text);
	return 0;
}
