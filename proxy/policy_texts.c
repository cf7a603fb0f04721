#include "proxy/policy_texts.h"

#include <stdlib.h>
#include <string.h>

enum shape { SHAPE_EXACT, SHAPE_PREFIX, SHAPE_SUFFIX, SHAPE_INSIDE, SHAPE_ANY, SHAPE_GLOB };

struct entry {
	uint64_t hash; /* of SHAPE_EXACT */
	char *text;    /* lower case; but for SHAPE_GLOB without its stars */
	uint32_t len;
	uint8_t shape;
	bool is_not;
};

struct policy_texts {
	bool names_any;
	uint32_t exact_count, count; /* the exact ones stand first */
	uint32_t slot_mask;          /* of slots; 0: there are none, few are compared one by one */
	uint16_t *slots;             /* number of an entry and 1, by hash; 0: free */
	struct entry entries[];
};

enum { COMPARED_ONE_BY_ONE = 4 };

/* Eight bytes at a time, with the bit set that tells small letters from capitals; what else that makes
 * equal is told apart by whoever compares the texts. */
uint64_t policy_texts_hash(struct span text)
{
	static const uint64_t case_bits = UINT64_C(0x2020202020202020);
	static const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
	const uint8_t *at = text.data;
	uint64_t sum = text.len * factor, word = 0;
	size_t left = text.len;

	for (; left > 8; left -= 8, at += 8) {
		memcpy(&word, at, 8);
		sum = (sum ^ (word | case_bits)) * factor;
		sum ^= sum >> 32;
	}
	if (text.len >= 8) {
		/* The last eight, some of which were there before. */
		memcpy(&word, text.data + text.len - 8, 8);
	} else {
		for (word = 0; left > 0; left--)
			word = word << 8 | *at++;
	}
	sum = (sum ^ (word | case_bits)) * factor;
	return sum ^ sum >> 29;
}

static bool is_equal(const uint8_t *text, const char *pattern, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (policy_lower(text[i]) != (uint8_t)pattern[i])
			return false;
	return true;
}

static bool is_inside(struct span text, const char *pattern, size_t len)
{
	for (size_t i = 0; i + len <= text.len; i++)
		if (policy_lower(text.data[i]) == (uint8_t)pattern[0] &&
			is_equal(text.data + i, pattern, len))
			return true;
	return false;
}

/* One character of UTF-8; one byte of what is none. */
static size_t character_len(struct span text, size_t at)
{
	size_t len = 1;

	if (text.data[at] >= 0xC0)
		while (at + len < text.len && len < 4 && (text.data[at + len] & 0xC0) == 0x80)
			len++;
	return len;
}

/* Only the last star is ever tried again, so that it takes text times pattern steps at most. */
static bool is_glob_match(struct span text, const char *pattern, size_t len)
{
	size_t at = 0, p = 0, star = SIZE_MAX, star_at = 0;

	while (at < text.len) {
		if (p < len && pattern[p] == '*') {
			star = p++;
			star_at = at;
		} else if (p < len && pattern[p] == '?') {
			at += character_len(text, at);
			p++;
		} else if (p < len && (uint8_t)pattern[p] == policy_lower(text.data[at])) {
			at++;
			p++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			at = ++star_at;
		} else {
			return false;
		}
	}
	while (p < len && pattern[p] == '*')
		p++;
	return p == len;
}

static bool entry_matches(const struct entry *entry, struct span text)
{
	size_t len = entry->len;

	switch (entry->shape) {
	case SHAPE_ANY: return true;
	case SHAPE_GLOB: return is_glob_match(text, entry->text, len);
	default: break;
	}
	if (text.len < len)
		return false;
	switch (entry->shape) {
	case SHAPE_PREFIX: return is_equal(text.data, entry->text, len);
	case SHAPE_SUFFIX: return is_equal(text.data + (text.len - len), entry->text, len);
	case SHAPE_INSIDE: return is_inside(text, entry->text, len);
	default: return text.len == len && is_equal(text.data, entry->text, len);
	}
}

static void note(struct policy_texts_found *found, const struct entry *entry)
{
	found->is_named |= !entry->is_not;
	found->is_excluded |= entry->is_not;
}

/* An exact text may stand in the list twice, once with "!". */
static void find_exact(const struct policy_texts *texts, struct span text, uint64_t hash,
	struct policy_texts_found *found)
{
	if (texts->slots == NULL) {
		for (uint32_t i = 0; i < texts->exact_count; i++)
			if (texts->entries[i].hash == hash &&
				entry_matches(&texts->entries[i], text))
				note(found, &texts->entries[i]);
		return;
	}
	for (uint64_t at = hash;; at++) {
		uint16_t slot = texts->slots[at & texts->slot_mask];

		if (slot == 0)
			return;
		if (texts->entries[slot - 1].hash == hash &&
			entry_matches(&texts->entries[slot - 1], text))
			note(found, &texts->entries[slot - 1]);
	}
}

struct policy_texts_found policy_texts_find(
	const struct policy_texts *texts, struct span text, uint64_t hash)
{
	struct policy_texts_found found = {0};

	if (texts->exact_count > 0)
		find_exact(texts, text, hash, &found);
	for (uint32_t i = texts->exact_count; i < texts->count; i++) {
		const struct entry *entry = &texts->entries[i];

		if (entry->is_not ? found.is_excluded : found.is_named)
			continue;
		if (entry_matches(entry, text))
			note(&found, entry);
	}
	return found;
}

static uint64_t bit_of(uint64_t value)
{
	return UINT64_C(1) << (value & 63);
}

/* What every text that the entry matches begins with, and ends in. */
static struct span literal_start(const struct entry *entry)
{
	if (entry->shape != SHAPE_EXACT && entry->shape != SHAPE_PREFIX &&
		entry->shape != SHAPE_GLOB)
		return (struct span){0};
	return span_of(entry->text, strcspn(entry->text, "*?"));
}

static struct span literal_end(const struct entry *entry)
{
	bool is_literal = entry->len > 0 && strchr("*?", entry->text[entry->len - 1]) == NULL;

	if (!is_literal || entry->shape == SHAPE_PREFIX || entry->shape == SHAPE_INSIDE)
		return (struct span){0};
	return span_of(entry->text + entry->len - 1, 1);
}

enum policy_mark policy_texts_marks(const struct policy_texts *texts, uint64_t *marks)
{
	bool by_hash = texts->names_any, by_start = by_hash, by_last = by_hash;
	uint64_t hashes = 0, starts = 0, lasts = 0;

	for (uint32_t i = 0; i < texts->count; i++) {
		const struct entry *entry = &texts->entries[i];
		struct span start = literal_start(entry), end = literal_end(entry);

		if (entry->is_not)
			continue;
		by_hash &= entry->shape == SHAPE_EXACT;
		by_start &= start.len >= POLICY_START_LEN;
		by_last &= end.len > 0;
		hashes |= bit_of(policy_mark(POLICY_MARK_HASH, start, entry->hash));
		starts |= bit_of(policy_mark(POLICY_MARK_START, start, 0));
		lasts |= bit_of(policy_mark(POLICY_MARK_LAST, end, 0));
	}
	*marks = by_hash ? hashes : by_start ? starts : by_last ? lasts : UINT64_MAX;
	return by_hash    ? POLICY_MARK_HASH
	       : by_start ? POLICY_MARK_START
	       : by_last  ? POLICY_MARK_LAST
			  : POLICY_MARK_NONE;
}

bool policy_texts_ask_hash(const struct policy_texts *texts)
{
	return texts->exact_count > 0;
}

bool policy_texts_accept(const struct policy_texts *texts, struct span text, uint64_t hash)
{
	struct policy_texts_found found = policy_texts_find(texts, text, hash);

	return (found.is_named || !texts->names_any) && !found.is_excluded;
}

bool policy_texts_accept_either(
	const struct policy_texts *texts, struct span one, struct span other)
{
	struct policy_texts_found a = {0}, b = {0};

	if (one.len > 0)
		a = policy_texts_find(texts, one, policy_texts_hash(one));
	if (other.len > 0)
		b = policy_texts_find(texts, other, policy_texts_hash(other));
	return (a.is_named || b.is_named || !texts->names_any) && !a.is_excluded && !b.is_excluded;
}

static enum shape shape_of(const char *pattern, size_t len)
{
	bool begins = len > 0 && pattern[0] == '*';
	bool ends = len > 0 && pattern[len - 1] == '*';
	size_t inner = len - begins - (ends && len > 1);

	if (strspn(pattern, "*") == len)
		return len == 0 ? SHAPE_EXACT : SHAPE_ANY;
	if (strcspn(pattern + begins, "*?") < inner)
		return SHAPE_GLOB;
	if (begins && ends)
		return SHAPE_INSIDE;
	return begins ? SHAPE_SUFFIX : ends ? SHAPE_PREFIX : SHAPE_EXACT;
}

static int entry_fill(struct entry *entry, const char *word)
{
	const char *pattern = word + (word[0] == '!');
	size_t len = strlen(pattern);
	size_t from = 0;

	entry->is_not = word[0] == '!';
	entry->shape = (uint8_t)shape_of(pattern, len);
	if (entry->shape == SHAPE_SUFFIX || entry->shape == SHAPE_INSIDE)
		from = 1;
	if (entry->shape == SHAPE_PREFIX || entry->shape == SHAPE_INSIDE)
		len--;
	entry->len = (uint32_t)(len - from);
	entry->text = strndup(pattern + from, entry->len);
	if (entry->text == NULL)
		return -1;
	for (char *c = entry->text; *c != '\0'; c++)
		*c = (char)policy_lower((uint8_t)*c);
	entry->hash = policy_texts_hash(span_of(entry->text, entry->len));
	return 0;
}

static int make_slots(struct policy_texts *texts)
{
	uint32_t size = 16;

	while (size < 2 * texts->exact_count)
		size *= 2;
	texts->slots = calloc(size, sizeof(*texts->slots));
	if (texts->slots == NULL)
		return -1;
	texts->slot_mask = size - 1;
	for (uint32_t i = 0; i < texts->exact_count; i++) {
		uint64_t at = texts->entries[i].hash;

		while (texts->slots[at & texts->slot_mask] != 0)
			at++;
		texts->slots[at & texts->slot_mask] = (uint16_t)(i + 1);
	}
	return 0;
}

static bool is_exact(const struct config_word *word)
{
	return strpbrk(word->text, "*?") == NULL;
}

static int add(struct policy_texts *texts, const char *word)
{
	struct entry *entry = &texts->entries[texts->count];

	if (entry_fill(entry, word) == -1)
		return -1;
	texts->count++;
	texts->names_any |= !entry->is_not;
	return 0;
}

struct policy_texts *policy_texts_new(const struct config_words *words)
{
	struct policy_texts *texts =
		calloc(1, sizeof(*texts) + words->count * sizeof(texts->entries[0]));

	if (texts == NULL)
		return NULL;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < words->count; i++)
			if (is_exact(&words->list[i]) == (pass == 0) &&
				add(texts, words->list[i].text) == -1)
				goto fail;
		if (pass == 0)
			texts->exact_count = texts->count;
	}
	if (texts->exact_count > COMPARED_ONE_BY_ONE && make_slots(texts) == -1)
		goto fail;
	return texts;
fail:
	policy_texts_free(texts);
	return NULL;
}

void policy_texts_free(struct policy_texts *texts)
{
	if (texts == NULL)
		return;
	for (uint32_t i = 0; i < texts->count; i++)
		free(texts->entries[i].text);
	free(texts->slots);
	free(texts);
}
