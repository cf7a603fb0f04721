#include "wbxml/utf8.h"

#include <endian.h>
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

static const ptrdiff_t one_block = sizeof(utf8_block), four_blocks = 4 * sizeof(utf8_block);

/* FF for each byte that is not plain. */
static utf8_block block_marks(const uint8_t *at)
{
	utf8_block block;

	memcpy(&block, at, sizeof(block));
	return block < 0x20;
}

/* The first byte of a block that is not plain, or its end. */
static const uint8_t *block_skip(const uint8_t *at)
{
	utf8_block block = block_marks(at);
	uint64_t marks[2];

	memcpy(marks, &block, sizeof(marks));
	if (marks[0] != 0)
		return at + (__builtin_ctzll(le64toh(marks[0])) >> 3);
	at += sizeof(marks[0]);
	return at + (marks[1] != 0 ? __builtin_ctzll(le64toh(marks[1])) >> 3 : 8);
}

static bool blocks_are_plain(const uint8_t *at)
{
	utf8_block block = block_marks(at) | block_marks(at + one_block) |
			   block_marks(at + 2 * one_block) | block_marks(at + 3 * one_block);
	uint64_t marks[2];

	memcpy(marks, &block, sizeof(marks));
	return (marks[0] | marks[1]) == 0;
}

/* A short text, as most are, ends in its first block; a long one is gone through four blocks at a time. */
static const uint8_t *plain_skip(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *stop;

	if (end - at < one_block)
		return at;
	stop = block_skip(at);
	if (stop != at + one_block)
		return stop;
	at = stop;
	while (end - at >= four_blocks && blocks_are_plain(at))
		at += four_blocks;
	while (end - at >= one_block) {
		stop = block_skip(at);
		if (stop != at + one_block)
			return stop;
		at = stop;
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
