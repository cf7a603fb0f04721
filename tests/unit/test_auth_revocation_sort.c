#include <stdlib.h>
#include <string.h>

#include "auth/revocation_sort.h"
#include "check.h"

enum { WIDTH = 25, KEY = 22 };

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, KEY);
}

/* Fills record number i in a way that is a case of its own. */
static void fill(uint8_t *record, int kind, size_t i, size_t count)
{
	static uint64_t state = 1;

	memset(record, 0, WIDTH);
	state = state * 6364136223846793005u + 1442695040888963407u;
	switch (kind) {
	case 0: /* random */
		for (size_t at = 0; at < KEY; at++)
			record[at] = (uint8_t)(state >> (at + 20));
		break;
	case 1: memcpy(record, &(uint32_t){(uint32_t)i}, 4); break; /* low octet first */
	case 2:                                                     /* falling */
		record[KEY - 2] = (uint8_t)((count - i) >> 8);
		record[KEY - 1] = (uint8_t)(count - i);
		break;
	case 3: break;                                       /* all alike */
	case 4: record[i % KEY] = (uint8_t)(i / KEY); break; /* one octet set */
	case 5: record[0] = (uint8_t)(i % 2); break;         /* two values */
	default:                                             /* an organ pipe, in two octets */
		record[KEY - 2] = (uint8_t)((i < count / 2 ? i : count - i) >> 8);
		record[KEY - 1] = (uint8_t)(i < count / 2 ? i : count - i);
		break;
	}
	record[WIDTH - 1] = (uint8_t)i; /* travels along */
}

static void check_sort(int kind, size_t count)
{
	uint8_t *sorted = malloc(count * WIDTH + 1);
	uint8_t *wanted = malloc(count * WIDTH + 1);
	uint64_t sums[2] = {0, 0};

	for (size_t i = 0; i < count; i++)
		fill(sorted + i * WIDTH, kind, i, count);
	memcpy(wanted, sorted, count * WIDTH);
	qsort(wanted, count, WIDTH, compare);
	revocation_sort(sorted, count, WIDTH, KEY);
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(memcmp(sorted + i * WIDTH, wanted + i * WIDTH, KEY), 0);
		sums[0] += sorted[i * WIDTH + WIDTH - 1];
		sums[1] += wanted[i * WIDTH + WIDTH - 1];
	}
	CU_ASSERT_EQUAL(sums[0], sums[1]);
	free(sorted);
	free(wanted);
}

static void test_every_order_is_sorted(void)
{
	static const size_t counts[] = {0, 1, 2, 11, 12, 13, 14, 100, 5000, 30000};

	for (int kind = 0; kind <= 6; kind++)
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			check_sort(kind, counts[i]);
}

int main(void)
{
	static const struct check checks[] = {
		{"every order is sorted", test_every_order_is_sorted},
	};

	return check_run("auth/revocation_sort", checks, sizeof(checks) / sizeof(checks[0]));
}
