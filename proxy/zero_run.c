#include "proxy/zero_run.h"

#include <string.h>

/* A sequence of runs: how many zeros, how many other bytes, and these. Zeros at the end are not said. */
enum {
	RUN_MAX = 255,
	HEAD = 2,
	GAP = 2, /* so few zeros amid other bytes cost less than a new head */
};

static size_t count_zeros(const uint8_t *data, size_t size)
{
	size_t count = 0;
	uint64_t word;

	while (size - count >= sizeof(word)) {
		memcpy(&word, data + count, sizeof(word));
		if (word != 0)
			break;
		count += sizeof(word);
	}
	while (count < size && data[count] == 0)
		count++;
	return count;
}

/* Up to more than GAP zeros, or to the end. */
static size_t count_others(const uint8_t *data, size_t size)
{
	size_t count = 0, zeros = 0;

	while (count + zeros < size && zeros <= GAP) {
		if (data[count + zeros] == 0) {
			zeros++;
		} else {
			count += zeros + 1;
			zeros = 0;
		}
	}
	return count;
}

static size_t less(size_t one, size_t other)
{
	return one < other ? one : other;
}

size_t zero_run_pack(const void *data, size_t size, uint8_t *packed)
{
	const uint8_t *from = data;
	size_t at = 0, len = 0;

	for (;;) {
		size_t zeros = count_zeros(from + at, size - at), others;

		if (at + zeros == size)
			return len;
		zeros = less(zeros, RUN_MAX);
		at += zeros;
		others = less(count_others(from + at, size - at), RUN_MAX);
		packed[len++] = (uint8_t)zeros;
		packed[len++] = (uint8_t)others;
		memcpy(packed + len, from + at, others);
		len += others;
		at += others;
	}
}

void zero_run_unpack(const uint8_t *packed, size_t packed_len, void *data, size_t size)
{
	uint8_t *to = data;

	memset(to, 0, size);
	while (packed_len >= HEAD) {
		size_t others = packed[1];

		to += packed[0];
		memcpy(to, packed + HEAD, others);
		to += others;
		packed += HEAD + others;
		packed_len -= HEAD + others;
	}
}
