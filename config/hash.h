/*
 * Texts as numbers, eight bytes at a time, for tables in memory. A secret seed keeps anybody from choosing
 * texts that meet in one place. The numbers are not to be stored: another machine has others.
 */
#ifndef CONFIG_HASH_H
#define CONFIG_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Both halves of the product, so that every bit of the number reaches all bits, the highest, too. */
static inline uint64_t hash_number(uint64_t hash, uint64_t number)
{
	unsigned __int128 product =
		(unsigned __int128)(hash ^ number) * UINT64_C(0xd6e8feb86659fd93);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Goes on with a text, and its length, so that "ab" "c" is another than "a" "bc". The first hash is the seed. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
	size_t len = strlen(text);
	uint64_t word = 0;

	for (size_t at = 0; at + sizeof(word) < len; at += sizeof(word)) {
		memcpy(&word, text + at, sizeof(word));
		hash = hash_number(hash, word);
	}
	/* The last eight may have some of those before them. */
	if (len >= sizeof(word))
		memcpy(&word, &text[len - sizeof(word)], sizeof(word));
	else
		for (size_t i = 0; i < len; i++)
			word |= (uint64_t)(uint8_t)text[i] << (8 * i);
	return hash_number(hash_number(hash, word), len);
}

#endif
