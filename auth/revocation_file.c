#include "auth/revocation_file.h"
#include "auth/sealed_index.h"

#include <openssl/evp.h>
#include <string.h>

static const uint8_t magic[8] = "EASRVIDX";

enum {
	AT_VERSION = 8,
	AT_WIDTH = 12,
	AT_AUTHORITY_KEY = 16,
	AT_SIGNER_KEY = 48,
	AT_CRL_NUMBER = 80,
	AT_DELTA_NUMBER = 100,
	AT_THIS_UPDATE = 120,
	AT_NEXT_UPDATE = 128,
	AT_NEXT_PUBLISH = 136,
	AT_BASE_THIS_UPDATE = 144,
	AT_SIZE = 152,
	AT_COUNT = 160,
	AT_SECTION_COUNT = 168,
	AT_FLAGS = 172,
	AT_REASONS = 174,
	AT_NAME_COUNT = 176,
	AT_INVALIDITY_COUNT = 180,
	AT_FENCE_COUNT = 184,
	AT_ISSUER = 192,
	AT_NAMES = 208,
	HOURS_MAX = 0xfffff,
	HOUR = 3600,
};

enum flag {
	FLAG_DELTA = 1,
	FLAG_USER = 2,
	FLAG_CA = 4,
	FLAG_ATTRIBUTES = 8,
	FLAG_INDIRECT = 16,
	FLAG_NUMBER = 32,
	FLAG_ALL = 63,
};

struct revocation_meta revocation_meta_of(unsigned int reason, int64_t date)
{
	int64_t hours = date < 0 ? 0 : date / HOUR;
	struct revocation_meta meta;

	if (hours > HOURS_MAX)
		hours = HOURS_MAX;
	sealed_index_put(
		meta.octets, sizeof(meta.octets), (uint64_t)(reason & 15) << 20 | (uint64_t)hours);
	return meta;
}

unsigned int revocation_meta_reason(const struct revocation_meta *meta)
{
	return meta->octets[0] >> 4;
}

int64_t revocation_meta_date(const struct revocation_meta *meta)
{
	uint64_t both = sealed_index_get(meta->octets, sizeof(meta->octets));

	return (int64_t)(both & HOURS_MAX) * HOUR;
}

unsigned int revocation_serial_common(
	const struct serial *a, const struct serial *b, unsigned int width)
{
	const uint8_t *from_a = a->octets + sizeof(a->octets) - width;
	const uint8_t *from_b = b->octets + sizeof(b->octets) - width;
	unsigned int common = 0;

	while (common < width && from_a[common] == from_b[common])
		common++;
	return common;
}

unsigned int revocation_serial_width(const struct serial *serial)
{
	unsigned int width = sizeof(serial->octets);

	while (width > 1 && serial->octets[sizeof(serial->octets) - width] == 0)
		width--;
	return width;
}

static unsigned int flags_of(const struct revocation_facts *facts)
{
	return (facts->has_delta ? FLAG_DELTA : 0U) | (facts->scope.only_user ? FLAG_USER : 0U) |
	       (facts->scope.only_ca ? FLAG_CA : 0U) |
	       (facts->scope.only_attributes ? FLAG_ATTRIBUTES : 0U) |
	       (facts->scope.is_indirect ? FLAG_INDIRECT : 0U) |
	       (facts->has_number ? FLAG_NUMBER : 0U);
}

void revocation_file_encode(const struct revocation_facts *facts,
	const struct revocation_counts *counts, uint8_t header[REVOCATION_FILE_CHECKSUM_AT])
{
	const struct revocation_scope *scope = &facts->scope;

	memset(header, 0, REVOCATION_FILE_CHECKSUM_AT);
	memcpy(header, magic, sizeof(magic));
	sealed_index_put(header + AT_VERSION, 4, REVOCATION_FILE_VERSION);
	sealed_index_put(header + AT_WIDTH, 4, counts->width);
	memcpy(header + AT_AUTHORITY_KEY, facts->authority_key, sizeof(facts->authority_key));
	memcpy(header + AT_SIGNER_KEY, facts->signer_key, sizeof(facts->signer_key));
	memcpy(header + AT_CRL_NUMBER, facts->crl_number, sizeof(facts->crl_number));
	memcpy(header + AT_DELTA_NUMBER, facts->delta_number, sizeof(facts->delta_number));
	sealed_index_put(header + AT_THIS_UPDATE, 8, (uint64_t)facts->this_update);
	sealed_index_put(header + AT_NEXT_UPDATE, 8, (uint64_t)facts->next_update);
	sealed_index_put(header + AT_NEXT_PUBLISH, 8, (uint64_t)facts->next_publish);
	sealed_index_put(header + AT_BASE_THIS_UPDATE, 8, (uint64_t)facts->base_this_update);
	sealed_index_put(header + AT_SIZE, 8, facts->size_bytes);
	sealed_index_put(header + AT_COUNT, 8, facts->entry_count);
	sealed_index_put(header + AT_SECTION_COUNT, 4, counts->sections);
	sealed_index_put(header + AT_FLAGS, 2, flags_of(facts));
	sealed_index_put(header + AT_REASONS, 2, scope->reasons);
	sealed_index_put(header + AT_NAME_COUNT, 2, scope->name_count);
	sealed_index_put(header + AT_INVALIDITY_COUNT, 4, counts->invalidities);
	sealed_index_put(header + AT_FENCE_COUNT, 8, counts->fences);
	memcpy(header + AT_ISSUER, scope->issuer.octets, sizeof(scope->issuer.octets));
	memcpy(header + AT_NAMES, scope->names, sizeof(scope->names));
}

static void facts_decode(const uint8_t *header, struct revocation_facts *facts)
{
	uint64_t flags = sealed_index_get(header + AT_FLAGS, 2);

	memset(facts, 0, sizeof(*facts));
	memcpy(facts->authority_key, header + AT_AUTHORITY_KEY, sizeof(facts->authority_key));
	memcpy(facts->signer_key, header + AT_SIGNER_KEY, sizeof(facts->signer_key));
	memcpy(facts->crl_number, header + AT_CRL_NUMBER, sizeof(facts->crl_number));
	memcpy(facts->delta_number, header + AT_DELTA_NUMBER, sizeof(facts->delta_number));
	facts->has_number = (flags & FLAG_NUMBER) != 0;
	facts->has_delta = (flags & FLAG_DELTA) != 0;
	facts->this_update = (int64_t)sealed_index_get(header + AT_THIS_UPDATE, 8);
	facts->next_update = (int64_t)sealed_index_get(header + AT_NEXT_UPDATE, 8);
	facts->next_publish = (int64_t)sealed_index_get(header + AT_NEXT_PUBLISH, 8);
	facts->base_this_update = (int64_t)sealed_index_get(header + AT_BASE_THIS_UPDATE, 8);
	facts->size_bytes = sealed_index_get(header + AT_SIZE, 8);
	facts->entry_count = sealed_index_get(header + AT_COUNT, 8);
	facts->scope.only_user = (flags & FLAG_USER) != 0;
	facts->scope.only_ca = (flags & FLAG_CA) != 0;
	facts->scope.only_attributes = (flags & FLAG_ATTRIBUTES) != 0;
	facts->scope.is_indirect = (flags & FLAG_INDIRECT) != 0;
	facts->scope.reasons = (uint16_t)sealed_index_get(header + AT_REASONS, 2);
	facts->scope.name_count = (uint16_t)sealed_index_get(header + AT_NAME_COUNT, 2);
	memcpy(facts->scope.issuer.octets, header + AT_ISSUER, sizeof(facts->scope.issuer.octets));
	memcpy(facts->scope.names, header + AT_NAMES, sizeof(facts->scope.names));
}

/* All counts are bounded before they are multiplied. */
static int view_place_tables(struct revocation_view *view, const uint8_t *data, size_t size)
{
	uint64_t count = view->facts.entry_count;
	uint64_t at = REVOCATION_FILE_HEADER_SIZE;

	if (view->width < 1 || view->width > sizeof(struct serial) ||
		count > REVOCATION_FILE_ENTRY_MAX ||
		view->section_count > REVOCATION_FILE_SECTION_MAX || view->fence_count > count ||
		view->invalidity_count > count)
		return -1;
	view->entries = data + at;
	at += count * (view->width + REVOCATION_FILE_META_SIZE);
	view->fences = data + at;
	at += view->fence_count * REVOCATION_FILE_FENCE_SIZE;
	view->sections = data + at;
	at += view->section_count * REVOCATION_FILE_SECTION_SIZE;
	view->invalidities = data + at;
	at += view->invalidity_count * REVOCATION_FILE_INVALIDITY_SIZE;
	return at == size ? 0 : -1;
}

static size_t fences_of(size_t count)
{
	return (count + REVOCATION_FILE_STEP - 1) / REVOCATION_FILE_STEP;
}

/* Sections divide the entries and the fences among them without a gap. */
static bool are_sections_whole(const struct revocation_view *view)
{
	size_t entries = 0;
	size_t fences = 0;

	for (size_t i = 0; i < view->section_count; i++) {
		struct revocation_section section = revocation_view_section(view, i);

		if (section.first != entries || section.first_fence != fences ||
			section.count == 0 || section.count > view->facts.entry_count - entries ||
			section.common > view->width)
			return false;
		entries += section.count;
		fences += fences_of(section.count);
	}
	return entries == view->facts.entry_count && fences == view->fence_count;
}

int revocation_view_open(struct revocation_view *view, const uint8_t *data, size_t size)
{
	memset(view, 0, sizeof(*view));
	if (size < REVOCATION_FILE_HEADER_SIZE || memcmp(data, magic, sizeof(magic)) != 0 ||
		sealed_index_get(data + AT_VERSION, 4) != REVOCATION_FILE_VERSION)
		return -1;
	view->header = data;
	view->size = size;
	view->width = (unsigned int)sealed_index_get(data + AT_WIDTH, 4);
	view->section_count = sealed_index_get(data + AT_SECTION_COUNT, 4);
	view->fence_count = sealed_index_get(data + AT_FENCE_COUNT, 8);
	view->invalidity_count = sealed_index_get(data + AT_INVALIDITY_COUNT, 4);
	facts_decode(data, &view->facts);
	view->facts.mapped_size = size;
	if (view->facts.scope.name_count > REVOCATION_SCOPE_NAME_MAX ||
		view_place_tables(view, data, size) == -1 || !are_sections_whole(view))
		return -1;
	return 0;
}

struct revocation_section revocation_view_section(const struct revocation_view *view, size_t i)
{
	const uint8_t *at = view->sections + i * REVOCATION_FILE_SECTION_SIZE;
	struct revocation_section section;

	memcpy(section.issuer.octets, at, sizeof(section.issuer.octets));
	section.first = sealed_index_get(at + 16, 8);
	section.count = sealed_index_get(at + 24, 8);
	section.first_fence = sealed_index_get(at + 32, 8);
	section.common = at[40];
	return section;
}

const uint8_t *revocation_view_entry(const struct revocation_view *view, size_t i)
{
	return view->entries + i * (view->width + REVOCATION_FILE_META_SIZE);
}

struct serial revocation_view_serial(const struct revocation_view *view, size_t i)
{
	struct serial serial = {{0}};

	memcpy(serial.octets + sizeof(serial.octets) - view->width, revocation_view_entry(view, i),
		view->width);
	return serial;
}

struct revocation_meta revocation_view_meta(const struct revocation_view *view, size_t i)
{
	struct revocation_meta meta;

	memcpy(meta.octets, revocation_view_entry(view, i) + view->width, sizeof(meta.octets));
	return meta;
}

static size_t invalidity_entry(const struct revocation_view *view, size_t i)
{
	return sealed_index_get(view->invalidities + i * REVOCATION_FILE_INVALIDITY_SIZE, 4);
}

int64_t revocation_view_invalidity(const struct revocation_view *view, size_t i)
{
	size_t low = 0;
	size_t high = view->invalidity_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (invalidity_entry(view, middle) < i)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == view->invalidity_count || invalidity_entry(view, low) != i)
		return 0;
	return (int64_t)sealed_index_get(
		view->invalidities + low * REVOCATION_FILE_INVALIDITY_SIZE + 4, 8);
}

/* A zero or repeated step would let a look-up miss an entry, and so would a wrong fence. */
static bool is_section_sound(
	const struct revocation_view *view, const struct revocation_section *section)
{
	const uint8_t *first = revocation_view_entry(view, section->first);
	const uint8_t *last = revocation_view_entry(view, section->first + section->count - 1);

	if (memcmp(first, last, section->common) != 0)
		return false;
	for (size_t i = 0; i < section->count; i++) {
		const uint8_t *entry = revocation_view_entry(view, section->first + i);
		size_t fence = section->first_fence + i / REVOCATION_FILE_STEP;

		if (i > 0 && memcmp(entry - view->width - REVOCATION_FILE_META_SIZE, entry,
				     view->width) >= 0)
			return false;
		if (entry[view->width] >> 4 > REVOCATION_REASON_MAX ||
			entry[view->width] >> 4 == REVOCATION_REASON_REMOVE)
			return false;
		if (i % REVOCATION_FILE_STEP == 0 &&
			sealed_index_get(view->fences + fence * REVOCATION_FILE_FENCE_SIZE, 8) !=
				revocation_serial_word(entry, view->width, section->common))
			return false;
	}
	return true;
}

static bool are_sections_sound(const struct revocation_view *view)
{
	for (size_t i = 0; i < view->section_count; i++) {
		struct revocation_section section = revocation_view_section(view, i);

		if (i > 0 && memcmp(view->sections + (i - 1) * REVOCATION_FILE_SECTION_SIZE,
				     section.issuer.octets, sizeof(section.issuer.octets)) >= 0)
			return false;
		if (!is_section_sound(view, &section))
			return false;
	}
	return true;
}

static bool are_invalidities_sound(const struct revocation_view *view)
{
	for (size_t i = 0; i < view->invalidity_count; i++)
		if (invalidity_entry(view, i) >= view->facts.entry_count ||
			(i > 0 && invalidity_entry(view, i) <= invalidity_entry(view, i - 1)))
			return false;
	return true;
}

/* Of what a later version may write there, nothing is known. */
static bool is_header_plain(const struct revocation_view *view)
{
	struct revocation_counts counts = {.width = view->width,
		.sections = view->section_count,
		.fences = view->fence_count,
		.invalidities = view->invalidity_count};
	uint8_t header[REVOCATION_FILE_CHECKSUM_AT];

	revocation_file_encode(&view->facts, &counts, header);
	return memcmp(header, view->header, sizeof(header)) == 0;
}

const char *revocation_view_fault(const struct revocation_view *view)
{
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE];

	if (revocation_file_sum(view->header, view->size, sum) == -1 ||
		memcmp(sum, view->header + REVOCATION_FILE_CHECKSUM_AT, sizeof(sum)) != 0)
		return "wrong checksum";
	if (!is_header_plain(view))
		return "its header holds what this version does not know";
	if (!are_sections_sound(view))
		return "entries out of order";
	if (!are_invalidities_sound(view))
		return "invalidity dates out of order";
	return NULL;
}

int revocation_file_sum(
	const uint8_t *data, size_t size, uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE])
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	int result = -1;

	if (digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(digest, data + REVOCATION_FILE_HEADER_SIZE,
			size - REVOCATION_FILE_HEADER_SIZE) == 1 &&
		EVP_DigestUpdate(digest, data, REVOCATION_FILE_CHECKSUM_AT) == 1 &&
		EVP_DigestFinal_ex(digest, sum, NULL) == 1)
		result = 0;
	EVP_MD_CTX_free(digest);
	return result;
}
