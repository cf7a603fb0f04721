/* Structs that are mostly zeros, made small. */
#include "proxy/zero_run.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"

enum { SIZE_MAX_TRIED = 1500 };

static size_t packed_len(const uint8_t *data, size_t size)
{
	uint8_t packed[ZERO_RUN_MAX(SIZE_MAX_TRIED)], back[SIZE_MAX_TRIED];
	size_t len = zero_run_pack(data, size, packed);

	CU_ASSERT(len <= ZERO_RUN_MAX(size));
	memset(back, 0xaa, sizeof(back));
	zero_run_unpack(packed, len, back, size);
	CU_ASSERT_EQUAL(memcmp(back, data, size), 0);
	return len;
}

static void test_nothing_but_zeros_packs_to_nothing(void)
{
	const uint8_t zeros[SIZE_MAX_TRIED] = {0};

	CU_ASSERT_EQUAL(packed_len(zeros, 0), 0);
	CU_ASSERT_EQUAL(packed_len(zeros, 1), 0);
	CU_ASSERT_EQUAL(packed_len(zeros, sizeof(zeros)), 0);
}

static void test_a_few_bytes_cost_little_more_than_themselves(void)
{
	uint8_t data[200] = {0};

	data[0] = 1;
	CU_ASSERT_EQUAL(packed_len(data, sizeof(data)), 3);
	data[2] = 2; /* one zero between them is taken along */
	CU_ASSERT_EQUAL(packed_len(data, sizeof(data)), 5);
	data[199] = 3;
	CU_ASSERT_EQUAL(packed_len(data, sizeof(data)), 8);
}

static void test_any_bytes_come_back(void)
{
	uint8_t data[SIZE_MAX_TRIED];

	srandom(6);
	for (int round = 0; round < 2000; round++) {
		size_t size = (size_t)random() % (sizeof(data) + 1);
		/* From all zeros to none, in pieces of any length. */
		long share = random() % 9;

		for (size_t at = 0; at < size;) {
			size_t run = 1 + (size_t)random() % (random() % 8 == 0 ? 600 : 6);
			bool is_zero = random() % 8 < share;

			for (; run > 0 && at < size; run--)
				data[at++] = is_zero ? 0 : (uint8_t)(random() | 1);
		}
		packed_len(data, size);
	}
}

static const struct check checks[] = {
	{"nothing but zeros packs to nothing", test_nothing_but_zeros_packs_to_nothing},
	{"a few bytes cost little more than themselves",
		test_a_few_bytes_cost_little_more_than_themselves},
	{"any bytes come back", test_any_bytes_come_back},
};

int main(void)
{
	return check_run("proxy/zero_run", checks, sizeof(checks) / sizeof(checks[0]));
}
