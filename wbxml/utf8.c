#include "wbxml/utf8.h"

#include <endian.h>
#include <string.h>

/* What the next byte may be, named for the bytes before it. */
enum utf8_state {
	UTF8_NONE = UTF8_WHOLE,
	UTF8_ONE_LEFT,
	UTF8_TWO_LEFT,
	UTF8_THREE_LEFT,
	UTF8_E0,    /* no overlong form */
	UTF8_ED,    /* no surrogate */
	UTF8_EF,    /* perhaps U+FFFE or U+FFFF */
	UTF8_EF_BF, /* XML 1.0 holds neither */
	UTF8_F0,    /* no overlong form */
	UTF8_F4,    /* nothing above U+10FFFF */
};

static const struct utf8_rule {
	uint8_t low, high, next;
} utf8_rules[] = {
	[UTF8_ONE_LEFT] = {0x80, 0xBF, UTF8_NONE},
	[UTF8_TWO_LEFT] = {0x80, 0xBF, UTF8_ONE_LEFT},
	[UTF8_THREE_LEFT] = {0x80, 0xBF, UTF8_TWO_LEFT},
	[UTF8_E0] = {0xA0, 0xBF, UTF8_ONE_LEFT},
	[UTF8_ED] = {0x80, 0x9F, UTF8_ONE_LEFT},
	[UTF8_EF] = {0x80, 0xBE, UTF8_ONE_LEFT},
	[UTF8_EF_BF] = {0x80, 0xBD, UTF8_NONE},
	[UTF8_F0] = {0x90, 0xBF, UTF8_TWO_LEFT},
	[UTF8_F4] = {0x80, 0x8F, UTF8_TWO_LEFT},
};

static uint8_t utf8_first(uint8_t byte)
{
	if (byte < 0x80)
		return byte >= 0x20 || byte == '\t' || byte == '\n' || byte == '\r' ? UTF8_NONE
										    : UTF8_WRONG;
	if (byte < 0xC2 || byte > 0xF4)
		return UTF8_WRONG;
	if (byte < 0xE0)
		return UTF8_ONE_LEFT;
	switch (byte) {
	case 0xE0: return UTF8_E0;
	case 0xED: return UTF8_ED;
	case 0xEF: return UTF8_EF;
	case 0xF0: return UTF8_F0;
	case 0xF4: return UTF8_F4;
	default: return byte < 0xF0 ? UTF8_TWO_LEFT : UTF8_THREE_LEFT;
	}
}

static uint8_t utf8_next(uint8_t state, uint8_t byte)
{
	const struct utf8_rule *rule = &utf8_rules[state];

	if (state == UTF8_NONE)
		return utf8_first(byte);
	if (state == UTF8_EF && byte == 0xBF)
		return UTF8_EF_BF;
	return byte >= rule->low && byte <= rule->high ? rule->next : UTF8_WRONG;
}

/* Marks, by its top bit, each of the eight bytes that is not from 0x20 to 0x7F. A borrow can mark a
 * byte wrongly only above one that is marked rightly, so the lowest mark is always true. */
static uint64_t plain_marks(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;

	return (((word - 0x20 * ones) & ~word) | word) & tops;
}

/* Most text is plain ASCII: eight bytes at a time. */
static const uint8_t *plain_skip(const uint8_t *at, const uint8_t *end)
{
	uint64_t word, marks;

	while (end - at >= 8) {
		memcpy(&word, at, sizeof(word));
		marks = plain_marks(le64toh(word));
		if (marks != 0)
			return at + (__builtin_ctzll(marks) >> 3);
		at += 8;
	}
	return at;
}

const uint8_t *utf8_scan(const uint8_t *at, const uint8_t *end, uint8_t *state)
{
	uint8_t now = *state, next;

	while (at < end) {
		if (now == UTF8_NONE) {
			at = plain_skip(at, end);
			if (at == end)
				break;
		}
		next = utf8_next(now, *at);
		if (next == UTF8_WRONG)
			break;
		now = next;
		at++;
	}
	*state = now;
	return at;
}
