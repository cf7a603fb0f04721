/* Found by a hash of the length and two letters, and compared eight letters at a time. */
#include "proxy/http_name.h"

#include <assert.h>

#include "config/octets.h"

enum { SLOT_COUNT = 256, NAME_MAX_LEN = 32, OCTETS_MAX = NAME_MAX_LEN / 8 };

static const char *const texts[HTTP_NAME_COUNT] = {
	[HTTP_NAME_OTHER] = "",
#define HTTP_NAME(number, name) [HTTP_NAME_##number] = (name),
#include "proxy/http_names.def"
#undef HTTP_NAME
};

static_assert(HTTP_NAME_COUNT <= 64, "a set of names is a uint64_t");

/* A name as it is compared: its first eight characters, its last eight, and in eights what may be between
 * them; one of less than eight is its start alone. */
struct octets {
	uint64_t start, end, middle[OCTETS_MAX - 2];
};

struct row {
	struct octets text;
	struct octets cases; /* the bits by which the letters' cases differ */
	size_t len;
};

struct names {
	bool is_made;
	uint8_t slots
		[SLOT_COUNT]; /* numbers, 0: empty; what does not fit in its slot is in the next */
	struct row rows[HTTP_NAME_COUNT];
};

static size_t slot_of(const uint8_t *name, size_t len)
{
	return (4 * (size_t)(name[0] | 0x20) + 5 * (size_t)(name[len - 1] | 0x20) + 27 * len) %
	       SLOT_COUNT;
}

/* Of the characters of names, letters alone have the bit 0x40. */
static uint64_t cases_of(uint64_t octets)
{
	return (octets & octets_each(0x40)) >> 1;
}

static void row_add(struct names *names, unsigned int number)
{
	const uint8_t *name = (const uint8_t *)texts[number];
	struct row *row = &names->rows[number];
	size_t slot, len = strlen(texts[number]);

	assert(len > 0 && len <= NAME_MAX_LEN);
	row->len = len;
	row->text.start = len < 8 ? octets_few(name, len) : octets_load(name);
	row->cases.start = cases_of(row->text.start);
	if (len > 8) {
		row->text.end = octets_load(name + len - 8);
		row->cases.end = cases_of(row->text.end);
	}
	for (size_t i = 0; 8 * i + 16 < len; i++) {
		row->text.middle[i] = octets_load(name + 8 * i + 8);
		row->cases.middle[i] = cases_of(row->text.middle[i]);
	}
	slot = slot_of(name, len);
	while (names->slots[slot] != 0)
		slot = (slot + 1) % SLOT_COUNT;
	names->slots[slot] = (uint8_t)number;
}

/* Made once in each process; the table alone is its size. */
static const struct names *names_get(void)
{
	static struct names names;

	if (!names.is_made) {
		for (unsigned int number = HTTP_NAME_OTHER + 1; number < HTTP_NAME_COUNT; number++)
			row_add(&names, number);
		names.is_made = true;
	}
	return &names;
}

static bool row_fits(const struct row *row, struct span name)
{
	uint64_t other;

	if (row->len != name.len)
		return false;
	if (name.len < 8)
		return ((octets_few(name.data, name.len) ^ row->text.start) & ~row->cases.start) ==
		       0;
	other = (octets_load(name.data) ^ row->text.start) & ~row->cases.start;
	if (name.len > 8)
		other |= (octets_load(name.data + name.len - 8) ^ row->text.end) & ~row->cases.end;
	for (size_t i = 0; 8 * i + 16 < name.len; i++)
		other |= (octets_load(name.data + 8 * i + 8) ^ row->text.middle[i]) &
			 ~row->cases.middle[i];
	return other == 0;
}

enum http_name http_name_find(struct span name)
{
	const struct names *names = names_get();
	size_t slot;

	if (name.len == 0 || name.len > NAME_MAX_LEN)
		return HTTP_NAME_OTHER;
	for (slot = slot_of(name.data, name.len); names->slots[slot] != 0;
		slot = (slot + 1) % SLOT_COUNT)
		if (row_fits(&names->rows[names->slots[slot]], name))
			return (enum http_name)names->slots[slot];
	return HTTP_NAME_OTHER;
}

enum http_name http_name_find_like(struct span name)
{
	uint8_t folded[NAME_MAX_LEN];

	if (name.len > sizeof(folded))
		return HTTP_NAME_OTHER;
	for (size_t i = 0; i < name.len; i++)
		folded[i] = http_letter_folded(name.data[i]);
	return http_name_find(span_of(folded, name.len));
}

const char *http_name_text(enum http_name name)
{
	return texts[name];
}
