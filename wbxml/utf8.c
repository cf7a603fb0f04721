#include "wbxml/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#else
#include <endian.h>
#endif
#include <stdbool.h>
#include <stddef.h>
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

/* Most text is plain ASCII, which is looked at in blocks. The compiler makes of them what the processor
 * has. Seen as signed numbers, bytes above 0x7F are less than 0x20, too. */
typedef int8_t utf8_block __attribute__((vector_size(16)));

enum {
	BLOCK = sizeof(utf8_block),
	TWO_BLOCKS = 2 * BLOCK,
	THREE_BLOCKS = 3 * BLOCK,
	FOUR_BLOCKS = 4 * BLOCK,
	BEYOND = 3, /* bytes that the last character of a block may have behind it */
};

/* A bit for each byte that is not plain, the first one's the lowest. */
static uint64_t block_marks(const uint8_t *at)
{
	utf8_block block;

	memcpy(&block, at, sizeof(block));
	block = block < 0x20;
#ifdef __SSE2__
	return (uint64_t)_mm_movemask_epi8((__m128i)block);
#else
	uint64_t halves[2];

	memcpy(halves, &block, sizeof(halves));
	/* Of each byte one bit; the product brings them together in the uppermost byte. */
	for (int i = 0; i < 2; i++)
		halves[i] = (le64toh(halves[i]) & UINT64_C(0x8040201008040201)) *
				    UINT64_C(0x0101010101010101) >>
			    56;
	return halves[1] << 8 | halves[0];
#endif
}

static uint64_t four_blocks_marks(const uint8_t *at)
{
	return block_marks(at) | block_marks(at + BLOCK) << BLOCK |
	       block_marks(at + TWO_BLOCKS) << TWO_BLOCKS |
	       block_marks(at + THREE_BLOCKS) << THREE_BLOCKS;
}

static bool follows(uint8_t byte)
{
	return (byte & 0xC0) == 0x80;
}

/* How many bytes a character has that is not plain, of which BEYOND more are there than its first; 0: it
 * is wrong, or long enough to be looked at byte by byte. */
static size_t character_len(const uint8_t *at)
{
	unsigned int code;

	if (at[0] < 0x80)
		return at[0] == '\n' || at[0] == '\r' || at[0] == '\t';
	if (at[0] < 0xE0)
		return at[0] >= 0xC2 && follows(at[1]) ? 2 : 0;
	if (at[0] >= 0xF0 || !follows(at[1]) || !follows(at[2]))
		return 0;
	code = (at[0] & 0x0FU) << 12 | (at[1] & 0x3FU) << 6 | (at[2] & 0x3FU);
	return code >= 0x800 && (code < 0xD800 || code > 0xDFFF) && code < 0xFFFE ? 3 : 0;
}

/* How far a block goes: over its end, with the character there, unless it stops before that at one of
 * no length. */
static size_t marks_pass(const uint8_t *at, uint64_t marks, size_t block)
{
	size_t past = 0;

	while (marks != 0) {
		size_t first = (size_t)__builtin_ctzll(marks);
		size_t len = character_len(at + first);

		if (len == 0)
			return first;
		past = first + len;
		marks &= ~(((UINT64_C(1) << len) - 1) << first);
	}
	return past > block ? past : block;
}

/* A short text, as most are, ends in its first block; a long one is gone through four blocks at a time. */
static const uint8_t *blocks_pass(const uint8_t *at, const uint8_t *end)
{
	size_t block = BLOCK;

	while ((size_t)(end - at) >= block + BEYOND) {
		size_t past = marks_pass(
			at, block == BLOCK ? block_marks(at) : four_blocks_marks(at), block);

		at += past;
		if (past < block)
			break;
		block = end - at >= FOUR_BLOCKS + BEYOND ? FOUR_BLOCKS : BLOCK;
	}
	return at;
}

static __attribute__((noinline)) const uint8_t *long_scan(
	const uint8_t *at, const uint8_t *end, uint8_t *state)
{
	uint8_t now = *state, next;

	while (at < end) {
		if (now == UTF8_NONE && end - at >= BLOCK + BEYOND)
			at = blocks_pass(at, end);
		next = utf8_next(now, *at);
		if (next == UTF8_WRONG)
			break;
		now = next;
		at++;
	}
	*state = now;
	return at;
}

const uint8_t *utf8_scan(const uint8_t *at, const uint8_t *end, uint8_t *state)
{
	/* Most texts are short and plain: all that the first block shows is their end. */
	if (*state == UTF8_NONE && end - at >= BLOCK + BEYOND) {
		uint64_t marks = block_marks(at);

		if (marks == 0)
			at += BLOCK;
		else
			at += __builtin_ctzll(marks);
		if (*at == 0)
			return at;
	}
	return long_scan(at, end, state);
}
