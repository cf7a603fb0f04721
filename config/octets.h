/*
 * Eight bytes at a time: whether one of them is of a kind that needs a closer look. For scanners whose
 * bytes are nearly all harmless: log values, HTTP field values, lines of a message. A false alarm is
 * possible, and a byte of the kind is never missed.
 */
#ifndef CONFIG_OCTETS_H
#define CONFIG_OCTETS_H

#include <stdint.h>
#include <string.h>

static inline uint64_t octets_load(const uint8_t *at)
{
	uint64_t octets;

	memcpy(&octets, at, sizeof(octets));
	return octets;
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

#endif
