#include "auth/revocation_entries.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_der.h"
#include "auth/revocation_sort.h"
#include "auth/sealed_index.h"

enum {
	ENTRY_SIZE_MIN = 20, /* SEQUENCE, INTEGER of one octet, UTCTime */
	KEY_SIZE = 22,       /* section and serial */
	NAMES_SIZE_MAX = 65536,
	GIVE_BACK_SIZE = 1 << 20,
};

enum { ROW_REASON, ROW_INVALIDITY, ROW_CERTIFICATE_ISSUER }; /* in entry_rows */

static const struct revocation_extension_row entry_rows[] = {
	{{0x55, 0x1d, 21}, 3, true, "reasonCode"},
	{{0x55, 0x1d, 24}, 3, true, "invalidityDate"},
	{{0x55, 0x1d, 29}, 3, true, "certificateIssuer"},
	{{0x55, 0x1d, 23}, 3, false, "holdInstructionCode"},
};

/* The stream of entries, and the certificate issuer that holds at its place. */
struct reader {
	struct revocation_entries *out;
	const struct revocation_crl *crl;
	struct span left;
	size_t section;
	struct span issuer; /* the certificateIssuer read last, as it stood there */
	size_t invalidity_size;
	const uint8_t *kept; /* up to there the DER has been given back */
};

/* Whole pages of memory that was allocated, and whose content nobody needs. */
static void give_back(const uint8_t *from, const uint8_t *to)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uint8_t *begin = from + (page - (uintptr_t)from % page) % page;
	const uint8_t *end = to - (uintptr_t)to % page;

	/* Where it cannot be done, more memory is in use for a moment, and that is all. */
	if (begin < end)
		(void)madvise((void *)begin, (size_t)(end - begin), MADV_DONTNEED);
}

static int section_of(struct reader *reader, const struct name_key *issuer, struct error *err)
{
	struct revocation_entries *out = reader->out;

	reader->section = 0;
	while (reader->section < out->issuer_count &&
		!name_key_equal(&out->issuers[reader->section], issuer))
		reader->section++;
	if (reader->section < out->issuer_count)
		return 0;
	if (out->issuer_count == REVOCATION_FILE_SECTION_MAX)
		return error_set(
			err, "more than %d issuers of certificates", REVOCATION_FILE_SECTION_MAX);
	out->issuers[out->issuer_count++] = *issuer;
	return 0;
}

/* An issuer that is named in two ways is one of two issuers; which of them is meant is in doubt. */
static int key_of_issuer(const GENERAL_NAMES *names, struct name_key *key)
{
	bool is_found = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DIRNAME)
			continue;
		if (is_found || name_key_of_general_name(name, key) == -1)
			return -1;
		is_found = true;
	}
	return is_found ? 0 : -1;
}

static int certificate_issuer_read(struct reader *reader, struct span value, struct error *err)
{
	const uint8_t *at = value.data;
	struct name_key key;
	GENERAL_NAMES *names;
	int result;

	if (!reader->crl->said.scope.is_indirect)
		return error_set(err, "certificateIssuer in a CRL that is not indirect");
	if (span_equal(value, reader->issuer))
		return 0;
	if (value.len > NAMES_SIZE_MAX)
		return error_set(err, "malformed certificateIssuer");
	names = d2i_GENERAL_NAMES(NULL, &at, (long)value.len);
	result = names != NULL && at == value.data + value.len ? key_of_issuer(names, &key) : -1;
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	if (result == -1)
		return error_set(err, "certificateIssuer is malformed or not one directory name");
	reader->issuer = value;
	return section_of(reader, &key, err);
}

static int reason_read(
	const struct reader *reader, struct span value, unsigned int *reason, struct error *err)
{
	struct der_item item;

	if (der_expect(&value, DER_ENUMERATED, &item) == -1 || value.len != 0 ||
		item.value.len != 1 || item.value.data[0] > REVOCATION_REASON_MAX)
		return error_set(err, "malformed reasonCode");
	/* RFC 5280 5.3.1: only in delta CRLs. */
	if (item.value.data[0] == REVOCATION_REASON_REMOVE && !reader->crl->said.is_delta)
		return error_set(err, "removeFromCRL outside a delta CRL");
	*reason = item.value.data[0];
	return 0;
}

/* 1970 itself would read as none, which loses nothing that could matter. */
static int invalidity_read(struct span value, int64_t *date, struct error *err)
{
	struct der_item item;

	if (der_next(&value, &item) == -1 || value.len != 0 || item.tag != DER_GENERALIZED_TIME ||
		der_time(&item, date) == -1)
		return error_set(err, "malformed invalidityDate");
	return 0;
}

static int invalidity_keep(struct reader *reader, const struct revocation_entry *entry,
	int64_t date, struct error *err)
{
	struct revocation_entries *out = reader->out;
	struct revocation_invalidity *at;

	if (out->invalidity_count == reader->invalidity_size) {
		size_t size = reader->invalidity_size == 0 ? 64 : reader->invalidity_size * 2;

		at = realloc(out->invalidities, size * sizeof(*at));
		if (at == NULL)
			return error_set(err, "out of memory");
		out->invalidities = at;
		reader->invalidity_size = size;
	}
	at = &out->invalidities[out->invalidity_count++];
	memset(at, 0, sizeof(*at));
	memcpy(at->section, entry->section, sizeof(at->section));
	at->serial = entry->serial;
	at->date = date;
	return 0;
}

static int extensions_read(struct reader *reader, struct span extensions, unsigned int *reason,
	int64_t *invalidity_date, struct error *err)
{
	struct revocation_extension_walk walk = {.rows = entry_rows,
		.row_count = sizeof(entry_rows) / sizeof(entry_rows[0]),
		.left = extensions};
	enum revocation_walk step;
	int result = 0;

	while (result == 0 &&
		(step = revocation_extension_next(&walk, err)) != REVOCATION_WALK_END) {
		struct span value = walk.extension.value;

		if (step == REVOCATION_WALK_ERROR)
			result = -1;
		else if (walk.row == ROW_REASON)
			result = reason_read(reader, value, reason, err);
		else if (walk.row == ROW_INVALIDITY)
			result = invalidity_read(value, invalidity_date, err);
		else
			result = certificate_issuer_read(reader, value, err);
	}
	return result;
}

static int entry_read(struct reader *reader, struct revocation_entry *entry, struct error *err)
{
	int64_t invalidity_date = 0;
	unsigned int reason = 0;
	struct der_item item;
	struct der_item part;
	int64_t date;

	if (der_expect(&reader->left, DER_SEQUENCE, &item) == -1)
		return error_set(err, "malformed");
	if (der_expect(&item.value, DER_INTEGER, &part) == -1 ||
		der_integer(part.value, entry->serial.octets, sizeof(entry->serial.octets)) == -1)
		return error_set(err, "malformed serial, or one of more than 20 octets");
	if (der_next(&item.value, &part) == -1 || der_time(&part, &date) == -1)
		return error_set(err, "malformed revocationDate");
	if (item.value.len > 0) {
		if (!reader->crl->is_v2 || der_expect(&item.value, DER_SEQUENCE, &part) == -1 ||
			item.value.len != 0)
			return error_set(err, "malformed extensions");
		if (extensions_read(reader, part.value, &reason, &invalidity_date, err) == -1)
			return -1;
	}
	entry->section[0] = (uint8_t)(reader->section >> 8);
	entry->section[1] = (uint8_t)reader->section;
	entry->meta = revocation_meta_of(reason, date);
	return invalidity_date == 0 ? 0 : invalidity_keep(reader, entry, invalidity_date, err);
}

/* Of an indirect CRL the issuer that was named last is still looked at. */
static void reader_give_back(struct reader *reader)
{
	if (!reader->crl->is_last_use || reader->crl->said.scope.is_indirect ||
		reader->left.data - reader->kept < GIVE_BACK_SIZE)
		return;
	give_back(reader->kept, reader->left.data);
	reader->kept = reader->left.data;
}

/* The array is as long as the CRL could make it; pages that it does not need are never touched. */
static int read_all(struct reader *reader, struct error *err)
{
	struct revocation_entries *out = reader->out;
	size_t count_max = reader->left.len / ENTRY_SIZE_MIN;
	struct error cause;

	if (count_max > REVOCATION_FILE_ENTRY_MAX)
		count_max = REVOCATION_FILE_ENTRY_MAX;
	out->entries = malloc((count_max + 1) * sizeof(*out->entries));
	if (out->entries == NULL)
		return error_set(err, "out of memory for %zu entries", count_max);
	while (reader->left.len > 0) {
		struct revocation_entry *entry = &out->entries[out->count];
		unsigned int width;

		if (out->count == count_max)
			return error_set(err, "entry %zu: malformed or too many", out->count + 1);
		if (entry_read(reader, entry, &cause) == -1)
			return error_set(err, "entry %zu: %s", out->count + 1, cause.text);
		width = revocation_serial_width(&entry->serial);
		if (width > out->width)
			out->width = width;
		out->count++;
		reader_give_back(reader);
	}
	return 0;
}

/* What a later delta could lift comes after what is final. */
static unsigned int rank(const struct revocation_entry *entry)
{
	unsigned int reason = revocation_meta_reason(&entry->meta);

	if (reason == REVOCATION_REASON_HOLD)
		return REVOCATION_REASON_MAX + 1;
	return reason == REVOCATION_REASON_REMOVE ? REVOCATION_REASON_MAX + 2 : reason;
}

static void entries_settle(struct revocation_entries *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < out->count; i++) {
		struct revocation_entry *last = kept > 0 ? &out->entries[kept - 1] : NULL;

		if (last == NULL || memcmp(&out->entries[i], last, KEY_SIZE) != 0)
			out->entries[kept++] = out->entries[i];
		else if (rank(&out->entries[i]) < rank(last))
			last->meta = out->entries[i].meta;
	}
	out->count = kept;
}

static int name_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct name_key));
}

static void renumber(uint8_t section[2], uint8_t (*number)[2])
{
	memcpy(section, number[sealed_index_get(section, 2)], 2);
}

/* Numbers the sections anew, in the order of their issuers' keys. */
static int sections_settle(struct revocation_entries *out, struct error *err)
{
	struct name_key *before = malloc(REVOCATION_FILE_SECTION_MAX * sizeof(*before));
	uint8_t(*number)[2] = calloc(REVOCATION_FILE_SECTION_MAX, sizeof(*number));
	int result = 0;

	if (before == NULL || number == NULL) {
		result = error_set(err, "out of memory");
		goto out;
	}
	memcpy(before, out->issuers, out->issuer_count * sizeof(*before));
	qsort(out->issuers, out->issuer_count, sizeof(*out->issuers), name_compare);
	for (size_t i = 0; i < out->issuer_count; i++) {
		const struct name_key *at = bsearch(&before[i], out->issuers, out->issuer_count,
			sizeof(*out->issuers), name_compare);
		size_t place = (size_t)(at - out->issuers);

		number[i][0] = (uint8_t)(place >> 8);
		number[i][1] = (uint8_t)place;
	}
	for (size_t i = 0; i < out->count; i++)
		renumber(out->entries[i].section, number);
	for (size_t i = 0; i < out->invalidity_count; i++)
		renumber(out->invalidities[i].section, number);
out:
	free(before);
	free(number);
	return result;
}

int revocation_entries_read(
	struct revocation_entries *entries, const struct revocation_crl *crl, struct error *err)
{
	struct reader reader = {
		.out = entries, .crl = crl, .left = crl->entries, .kept = crl->entries.data};

	memset(entries, 0, sizeof(*entries));
	entries->width = 1;
	entries->issuers = malloc(REVOCATION_FILE_SECTION_MAX * sizeof(*entries->issuers));
	if (entries->issuers == NULL)
		return error_set(err, "out of memory");
	entries->issuers[entries->issuer_count++] = crl->said.scope.issuer;
	if (read_all(&reader, err) == -1)
		return -1;
	if (entries->issuer_count > 1 && sections_settle(entries, err) == -1)
		return -1;
	revocation_sort(
		(uint8_t *)entries->entries, entries->count, sizeof(*entries->entries), KEY_SIZE);
	entries_settle(entries);
	if (entries->invalidity_count > 0)
		revocation_sort((uint8_t *)entries->invalidities, entries->invalidity_count,
			sizeof(*entries->invalidities), KEY_SIZE);
	return 0;
}

void revocation_entries_clear(struct revocation_entries *entries)
{
	free(entries->entries);
	free(entries->invalidities);
	free(entries->issuers);
	memset(entries, 0, sizeof(*entries));
}

void revocation_entries_give_back(const struct revocation_entries *entries, size_t count)
{
	give_back((const uint8_t *)entries->entries, (const uint8_t *)&entries->entries[count]);
}

int64_t revocation_entries_invalidity(
	const struct revocation_entries *entries, size_t i, size_t *at)
{
	int order = -1;

	while (*at < entries->invalidity_count &&
		(order = memcmp(&entries->invalidities[*at], &entries->entries[i], KEY_SIZE)) < 0)
		++*at;
	if (*at == entries->invalidity_count || order != 0)
		return 0;
	return entries->invalidities[*at].date;
}
