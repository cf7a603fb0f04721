#include "auth/revocation_sort.h"

#include <assert.h>
#include <string.h>

/* Three-way radix quicksort (Bentley and Sedgewick, 1997): records are parted by one octet at a time
 * into those below, at and above a pivot; those at it go on with the next octet. An octet has 256
 * values, so that even the worst choice of pivots parts a range 256 times for each octet. */

enum {
	INSERTION_MAX = 12,
	/* The smallest part is at most a third, and is sorted first: two of each size wait. */
	STACK_MAX = 2 * 64,
};

struct range {
	size_t first, count, depth; /* all share the octets before depth */
};

struct sort {
	uint8_t *records;
	size_t width, key_len;
	size_t waiting;
	struct range stack[STACK_MAX];
};

static uint8_t *record(const struct sort *sort, size_t i)
{
	return sort->records + i * sort->width;
}

static void swap(const struct sort *sort, size_t i, size_t j)
{
	uint8_t *a = record(sort, i);
	uint8_t *b = record(sort, j);
	size_t at = 0;

	/* Eight octets at a time: copies of a size that compilers do not know are calls. */
	for (; at + sizeof(uint64_t) <= sort->width; at += sizeof(uint64_t)) {
		uint64_t of_a, of_b;

		memcpy(&of_a, a + at, sizeof(of_a));
		memcpy(&of_b, b + at, sizeof(of_b));
		memcpy(a + at, &of_b, sizeof(of_b));
		memcpy(b + at, &of_a, sizeof(of_a));
	}
	for (; at < sort->width; at++) {
		uint8_t of_a = a[at];

		a[at] = b[at];
		b[at] = of_a;
	}
}

static void insertion(const struct sort *sort, const struct range *range)
{
	uint8_t kept[REVOCATION_SORT_WIDTH_MAX];

	for (size_t i = range->first + 1; i < range->first + range->count; i++) {
		size_t to = i;

		memcpy(kept, record(sort, i), sort->width);
		while (to > range->first &&
			memcmp(record(sort, to - 1) + range->depth, kept + range->depth,
				sort->key_len - range->depth) > 0) {
			memcpy(record(sort, to), record(sort, to - 1), sort->width);
			to--;
		}
		memcpy(record(sort, to), kept, sort->width);
	}
}

static uint8_t median(uint8_t a, uint8_t b, uint8_t c)
{
	if ((a <= b) == (b <= c))
		return b;
	return (b <= a) == (a <= c) ? a : c;
}

static void wait_for(struct sort *sort, struct range range)
{
	if (range.count < 2 || range.depth >= sort->key_len)
		return;
	assert(sort->waiting < STACK_MAX); /* see there */
	sort->stack[sort->waiting++] = range;
}

/* The largest first, so that the smallest is the next one to be taken. */
static void wait_for_all(struct sort *sort, struct range parts[3])
{
	for (size_t i = 0; i < 3; i++)
		for (size_t j = i + 1; j < 3; j++)
			if (parts[j].count > parts[i].count) {
				struct range kept = parts[i];

				parts[i] = parts[j];
				parts[j] = kept;
			}
	for (size_t i = 0; i < 3; i++)
		wait_for(sort, parts[i]);
}

static void part(struct sort *sort, const struct range *range)
{
	size_t last = range->first + range->count - 1;
	uint8_t pivot = median(record(sort, range->first)[range->depth],
		record(sort, range->first + range->count / 2)[range->depth],
		record(sort, last)[range->depth]);
	size_t low = range->first; /* those before are below */
	size_t high = last + 1;    /* and from here on above */
	size_t at = low;

	while (at < high) {
		uint8_t octet = record(sort, at)[range->depth];

		if (octet < pivot) {
			if (low != at)
				swap(sort, low, at);
			low++;
			at++;
		} else if (octet > pivot) {
			/* Those that are there already stay there: CRLs are often in order. */
			do
				high--;
			while (high > at && record(sort, high)[range->depth] > pivot);
			if (high > at)
				swap(sort, at, high);
		} else {
			at++;
		}
	}
	wait_for_all(sort, (struct range[3]){{range->first, low - range->first, range->depth},
				   {low, high - low, range->depth + 1},
				   {high, last + 1 - high, range->depth}});
}

void revocation_sort(uint8_t *records, size_t count, size_t width, size_t key_len)
{
	struct sort sort = {.records = records, .width = width, .key_len = key_len};

	assert(width <= REVOCATION_SORT_WIDTH_MAX && key_len <= width);
	wait_for(&sort, (struct range){0, count, 0});
	while (sort.waiting > 0) {
		struct range range = sort.stack[--sort.waiting];

		if (range.count <= INSERTION_MAX)
			insertion(&sort, &range);
		else
			part(&sort, &range);
	}
}
