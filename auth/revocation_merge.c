#include <string.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_entries.h"
#include "auth/revocation_trusted.h"
#include "auth/revocation_writer.h"

/* Both sides of a merge, each at the place that comes next. */
struct merge {
	struct revocation_writer *writer;
	unsigned int width;
	const struct revocation_view *base;
	size_t base_section; /* in the list of sections */
	size_t base_at, base_end;
	const struct revocation_entries *delta;
	size_t delta_at, delta_end, delta_invalidity;
};

/* RFC 5280 5.2.4 and 6.3.3 (c): whether the delta says what has changed since this base. */
static int pair_check(const struct revocation_facts *base, const struct revocation_peek *said,
	const struct revocation_facts *delta, struct error *err)
{
	if (!said->is_delta)
		return error_set(err, "a complete CRL where a delta CRL was expected");
	if (base->has_delta)
		return error_set(err, "its base has a delta merged into it already");
	if (memcmp(base->authority_key, delta->authority_key, sizeof(base->authority_key)) != 0)
		return error_set(err, "its base is another authority's");
	if (memcmp(base->signer_key, delta->signer_key, sizeof(base->signer_key)) != 0)
		return error_set(err, "signed by another key than its base");
	if (!revocation_scope_equal(&base->scope, &delta->scope))
		return error_set(err, "its scope (issuing distribution point) is not its base's");
	if (!base->has_number || !delta->has_number)
		return error_set(err, "no CRL number in it or in its base, so that nothing tells "
				      "whether they fit");
	if (memcmp(said->base_number, base->crl_number, sizeof(base->crl_number)) > 0)
		return error_set(err, "it starts from a CRL that is newer than the base at hand");
	if (memcmp(delta->crl_number, base->crl_number, sizeof(base->crl_number)) < 0 ||
		delta->this_update < base->this_update)
		return error_set(err, "it is older than its base");
	return 0;
}

/* What a replay of an older delta, or of an older base, would look like. */
static int replay_check(const struct revocation_facts *facts,
	const struct revocation_facts *previous, struct error *err)
{
	if (previous == NULL)
		return 0;
	if (memcmp(facts->crl_number, previous->crl_number, sizeof(facts->crl_number)) < 0)
		return error_set(err, "its base's number is below that of the one before");
	if (previous->has_delta && memcmp(facts->delta_number, previous->delta_number,
					   sizeof(facts->delta_number)) < 0)
		return error_set(err, "its number is below that of the one before: replayed?");
	if (facts->this_update < previous->this_update)
		return error_set(err, "its thisUpdate is before that of the one before: replayed?");
	return 0;
}

/* From the facts of both to those of the pair: as new as the newer, stale with the first. */
static void facts_join(const struct revocation_facts *base, struct revocation_facts *facts)
{
	memcpy(facts->delta_number, facts->crl_number, sizeof(facts->delta_number));
	memcpy(facts->crl_number, base->crl_number, sizeof(facts->crl_number));
	facts->has_delta = true;
	facts->base_this_update = base->this_update;
	if (base->next_update < facts->next_update)
		facts->next_update = base->next_update;
	if (facts->next_publish == 0 ||
		(base->next_publish != 0 && base->next_publish < facts->next_publish))
		facts->next_publish = base->next_publish;
	facts->size_bytes += base->size_bytes;
}

static size_t delta_section(const struct revocation_entries *delta, size_t i)
{
	return (size_t)(delta->entries[i].section[0] << 8 | delta->entries[i].section[1]);
}

/* The entries of the issuer that comes next on either side; the key of that issuer. */
static struct name_key section_begin(struct merge *merge)
{
	const struct name_key *delta_issuer = NULL;
	struct revocation_section section = {.count = 0};
	struct name_key issuer = {{0}};
	int order = 1; /* > 0: the delta's issuer is the next one */

	merge->base_end = merge->base_at;
	merge->delta_end = merge->delta_at;
	if (merge->delta_at < merge->delta->count)
		delta_issuer = &merge->delta->issuers[delta_section(merge->delta, merge->delta_at)];
	if (merge->base_section < merge->base->section_count) {
		section = revocation_view_section(merge->base, merge->base_section);
		order = delta_issuer == NULL ? -1
					     : memcmp(section.issuer.octets, delta_issuer->octets,
						       sizeof(issuer.octets));
	}
	if (order <= 0) {
		issuer = section.issuer;
		merge->base_end += section.count;
		merge->base_section++;
	}
	if (order >= 0 && delta_issuer != NULL) {
		size_t number = delta_section(merge->delta, merge->delta_at);

		issuer = *delta_issuer;
		while (merge->delta_end < merge->delta->count &&
			delta_section(merge->delta, merge->delta_end) == number)
			merge->delta_end++;
	}
	return issuer;
}

static void note_range(const struct serial *low, const struct serial *high, bool *is_noted,
	struct serial *first, struct serial *last)
{
	if (!*is_noted || memcmp(low, first, sizeof(*low)) < 0)
		*first = *low;
	if (!*is_noted || memcmp(high, last, sizeof(*high)) > 0)
		*last = *high;
	*is_noted = true;
}

/* What all serials of both sides begin with, those that will be taken out included. */
static unsigned int section_common(const struct merge *merge)
{
	struct serial first = {{0}};
	struct serial last = {{0}};
	bool is_noted = false;

	if (merge->base_at < merge->base_end) {
		struct serial low = revocation_view_serial(merge->base, merge->base_at);
		struct serial high = revocation_view_serial(merge->base, merge->base_end - 1);

		note_range(&low, &high, &is_noted, &first, &last);
	}
	if (merge->delta_at < merge->delta_end)
		note_range(&merge->delta->entries[merge->delta_at].serial,
			&merge->delta->entries[merge->delta_end - 1].serial, &is_noted, &first,
			&last);
	return revocation_serial_common(&first, &last, merge->width);
}

static void base_write(struct merge *merge)
{
	struct serial serial = revocation_view_serial(merge->base, merge->base_at);

	revocation_writer_entry(merge->writer, &serial,
		revocation_view_meta(merge->base, merge->base_at),
		revocation_view_invalidity(merge->base, merge->base_at));
	merge->base_at++;
}

/* RFC 5280 5.3.1: removeFromCRL lifts a hold. A certificate that was revoked for good it takes off
 * the list only once that has expired, when nothing depends on it any more: such an entry stays. */
static void delta_write(struct merge *merge, bool is_in_base)
{
	const struct revocation_entry *entry = &merge->delta->entries[merge->delta_at];
	int64_t invalidity = revocation_entries_invalidity(
		merge->delta, merge->delta_at, &merge->delta_invalidity);
	struct revocation_meta meta;

	merge->delta_at++;
	if (revocation_meta_reason(&entry->meta) != REVOCATION_REASON_REMOVE) {
		revocation_writer_entry(merge->writer, &entry->serial, entry->meta, invalidity);
		merge->base_at += is_in_base;
		return;
	}
	if (!is_in_base)
		return;
	meta = revocation_view_meta(merge->base, merge->base_at);
	if (revocation_meta_reason(&meta) == REVOCATION_REASON_HOLD)
		merge->base_at++;
	else
		base_write(merge);
}

static void section_merge(struct merge *merge)
{
	while (merge->base_at < merge->base_end || merge->delta_at < merge->delta_end) {
		int order = -1; /* which side has the lower serial */

		if (merge->base_at == merge->base_end) {
			order = 1;
		} else if (merge->delta_at < merge->delta_end) {
			struct serial serial = revocation_view_serial(merge->base, merge->base_at);

			order = memcmp(&serial, &merge->delta->entries[merge->delta_at].serial,
				sizeof(serial));
		}
		if (order < 0)
			base_write(merge);
		else
			delta_write(merge, order == 0);
	}
}

static int entries_merge(const struct revocation_view *base, const struct revocation_entries *delta,
	int output_fd, struct revocation_facts *facts, struct error *err)
{
	struct merge merge = {.base = base, .delta = delta};

	merge.width = base->width > delta->width ? base->width : delta->width;
	merge.writer = revocation_writer_new(output_fd, merge.width, err);
	if (merge.writer == NULL)
		return -1;
	while (merge.base_at < base->facts.entry_count || merge.delta_at < delta->count) {
		struct name_key issuer = section_begin(&merge);

		revocation_writer_section(merge.writer, &issuer, section_common(&merge));
		section_merge(&merge);
	}
	return revocation_writer_finish(merge.writer, facts, err);
}

static int merge_pair(const struct revocation_view *base, const struct revocation_trusted *delta,
	const struct revocation_facts *previous, int output_fd, struct revocation_facts *facts,
	struct error *err)
{
	struct revocation_entries entries;
	int result;

	if (pair_check(&base->facts, &delta->parts.said, facts, err) == -1)
		return -1;
	facts_join(&base->facts, facts);
	if (replay_check(facts, previous, err) == -1)
		return -1;
	result = revocation_entries_read(&entries, &delta->parts, err);
	if (result == 0)
		result = entries_merge(base, &entries, output_fd, facts, err);
	revocation_entries_clear(&entries);
	return result;
}

int revocation_merge(const struct revocation_index *base, struct span delta,
	const struct revocation_signers *signers, const struct revocation_facts *previous,
	int64_t now, int output_fd, struct revocation_facts *facts, struct error *err)
{
	struct revocation_trusted trusted;
	struct error cause;
	int result = revocation_trusted_read(&trusted, delta, signers, now, facts, &cause);

	if (result == 0)
		result = merge_pair(
			revocation_index_view(base), &trusted, previous, output_fd, facts, &cause);
	revocation_trusted_clear(&trusted);
	if (result == -1)
		return error_set(err, "the delta CRL cannot be used: %s", cause.text);
	return 0;
}
