/*
 * Eight bytes at a time: whether one of them is of a kind that needs a closer look. For scanners whose
 * bytes are nearly all harmless: log values, HTTP field values, lines of a message. A false alarm is
 * possible, and a byte of the kind is never missed.
 */
#ifndef CONFIG_OCTETS_H
#define CONFIG_OCTETS_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The first byte is the lowest, on any machine. */
static inline uint64_t octets_load(const uint8_t *at)
{
	uint64_t octets;

	memcpy(&octets, at, sizeof(octets));
	return le64toh(octets);
}

/* One to seven bytes as eight, in some order, some of them twice, and zeros behind less than four. Of as many
 * bytes the same number comes from the same bytes alone; of more or fewer it may come from others. */
static inline uint64_t octets_few(const uint8_t *at, size_t len)
{
	uint32_t first, last;

	if (len < 4)
		return at[0] | (uint64_t)at[len / 2] << 8 | (uint64_t)at[len - 1] << 16;
	memcpy(&first, at, sizeof(first));
	memcpy(&last, at + len - 4, sizeof(last));
	return first | (uint64_t)last << 32;
}

static inline uint64_t octets_each(uint8_t byte)
{
	return byte * UINT64_C(0x0101010101010101);
}

/* Not 0 where a byte is below limit, which is at most 0x80, or where one of 0x80 and above follows such a
 * byte; bytes of 0x80 and above alone are not told. */
static inline uint64_t octets_below(uint64_t octets, uint8_t limit)
{
	return (octets - octets_each(limit)) & ~octets & octets_each(0x80);
}

static inline uint64_t octets_equal(uint64_t octets, uint8_t byte)
{
	return octets_below(octets ^ octets_each(byte), 1);
}

/* Not 0 where a byte is 0x80 or above. */
static inline uint64_t octets_high(uint64_t octets)
{
	return octets & octets_each(0x80);
}

/* The place of the first byte that octets_below() or octets_equal() tells of; that one is never a false
 * alarm. */
static inline size_t octets_first(uint64_t told)
{
	return (size_t)__builtin_ctzll(told) / 8;
}

#endif
