/* Small pieces that lie side by side, and go back to the system: also here, where AddressSanitizer is in. */
#include "config/slab.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

enum { MANY = 20000, SIZES = SLAB_MAX + 64 };

static uint8_t *pieces[MANY];
static size_t sizes[MANY];

static bool is_all(const uint8_t *bytes, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* A new one of that size, filled with its number. */
static void take(size_t number, size_t size)
{
	pieces[number] = slab_new(size);
	sizes[number] = size;
	CU_ASSERT_PTR_NOT_NULL_FATAL(pieces[number]);
	CU_ASSERT_EQUAL((uintptr_t)pieces[number] % 8, 0);
	CU_ASSERT_TRUE(is_all(pieces[number], size, 0));
	memset(pieces[number], (int)(number % 251 + 1), size);
}

static void give(size_t number)
{
	CU_ASSERT_TRUE(is_all(pieces[number], sizes[number], (uint8_t)(number % 251 + 1)));
	slab_free(pieces[number]);
	pieces[number] = NULL;
}

static void test_every_size_has_its_own_bytes(void)
{
	size_t before = slab_bytes();

	for (size_t size = 1; size < SIZES; size++)
		take(size, size);
	CU_ASSERT_TRUE(slab_bytes() > before);
	for (size_t size = 1; size < SIZES; size++)
		give(size);
	slab_free(NULL);
}

static void test_pieces_come_and_go_in_any_order(void)
{
	uint32_t random = 12345;

	for (unsigned int i = 0; i < 400000; i++) {
		size_t number;

		random = random * 1664525 + 1013904223;
		number = (random >> 8) % MANY;
		if (pieces[number] != NULL)
			give(number);
		else
			take(number, 24 + (random >> 4) % 300);
	}
	for (size_t number = 0; number < MANY; number++)
		if (pieces[number] != NULL)
			give(number);
}

static void test_pieces_of_a_size_take_their_own_bytes_and_no_more(void)
{
	size_t before = slab_bytes();

	for (size_t number = 0; number < MANY; number++)
		take(number, 104);
	/* A hundredth for what chunks say of themselves, and the rest of the last one. */
	CU_ASSERT_TRUE(slab_bytes() - before <= (size_t)MANY * 105 + (size_t)2 * SLAB_CHUNK);
	for (size_t number = 0; number < MANY; number++)
		give(number);
}

static bool is_resident(const void *at)
{
	unsigned char pages[SLAB_CHUNK / 4096];

	return mincore((uint8_t *)at - (uintptr_t)at % SLAB_CHUNK, SLAB_CHUNK, pages) == 0 &&
	       (pages[2] & 1) != 0;
}

static void test_chunks_that_are_empty_go_back_to_the_system(void)
{
	size_t before = slab_bytes();
	const void *first, *middle;

	for (size_t number = 0; number < MANY; number++)
		take(number, 200);
	first = pieces[0];
	middle = pieces[MANY / 2];
	CU_ASSERT_TRUE(is_resident(middle));
	for (size_t number = 0; number < MANY; number++)
		if (number != 7)
			give(number);
	/* One holds a piece, and one may stay. */
	CU_ASSERT_TRUE(slab_bytes() - before <= (size_t)2 * SLAB_CHUNK);
	CU_ASSERT_FALSE(is_resident(middle));
	CU_ASSERT_TRUE(is_resident(first));
	give(7);
	/* And are used again. */
	for (size_t number = 0; number < MANY; number++)
		take(number, 96);
	for (size_t number = 0; number < MANY; number++)
		give(number);
	CU_ASSERT_TRUE(slab_bytes() - before <= (size_t)2 * SLAB_CHUNK);
}

static void test_a_size_that_comes_and_goes_keeps_its_last_chunk(void)
{
	uint8_t *first = slab_new(480);
	size_t bytes = slab_bytes();

	slab_free(first);
	CU_ASSERT_EQUAL(slab_bytes(), bytes);
	CU_ASSERT_PTR_EQUAL(slab_new(480), first);
	slab_free(first);
}

static int status_of(void (*run)(void))
{
	const struct rlimit no_core = {0, 0};
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		run();
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	return status;
}

static void free_twice(void)
{
	uint8_t *piece = slab_new(64), *other = slab_new(64);

	slab_free(piece);
	if (other != NULL)
		slab_free(piece);
}

static void free_within(void)
{
	uint8_t *volatile within = slab_new(64); /* else the compiler sees what is wrong */

	within += 8;
	slab_free(within);
}

static void free_head(void)
{
	uint8_t *volatile head = slab_new(64);

	head -= (uintptr_t)head % SLAB_CHUNK;
	slab_free(head);
}

static void free_after_chunk_went(void)
{
	static uint8_t *those[1000];

	for (unsigned int i = 0; i < 1000; i++)
		those[i] = slab_new(512);
	for (unsigned int i = 0; i < 1000; i++)
		slab_free(those[i]);
	slab_free(those[500]);
}

static void test_what_is_not_there_cannot_be_freed(void)
{
	void (*const wrong[])(void) = {free_twice, free_within, free_head, free_after_chunk_went};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int status = status_of(wrong[i]);

		CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

/* So many bytes more than what the process has of it now. */
static void allow(__rlimit_resource_t resource, const char *field, rlim_t more)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long now_kb = 0;
	char line[256];

	while (status != NULL && now_kb == 0 && fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, field, strlen(field)) == 0)
			now_kb = strtoul(line + strlen(field), NULL, 10);
	if (now_kb == 0 ||
		setrlimit(resource, &(struct rlimit){now_kb * 1024 + more, RLIM_INFINITY}) != 0)
		_exit(2);
}

static void use_without_addresses(void)
{
	uint8_t *first, *second;

	allow(RLIMIT_AS, "VmSize:", 1 << 30);
	first = slab_new(100);
	second = slab_new(100);
	if (first == NULL || second == NULL || !is_all(second, 100, 0) || slab_bytes() != 0)
		_exit(1);
	slab_free(second);
	slab_free(first);
}

/* The first pieces make a MB of addresses usable; what does not fit there is on the heap. */
static void use_while_no_more_can_be_had(void)
{
	static uint8_t *those[2100];

	those[0] = slab_new(512);
	allow(RLIMIT_DATA, "VmData:", (1 << 20) - 4096);
	for (unsigned int i = 1; i < 2100; i++) {
		those[i] = slab_new(512);
		if (those[i] == NULL || !is_all(those[i], 512, 0))
			_exit(1);
	}
	if (slab_bytes() > 1 << 20)
		_exit(3);
	for (unsigned int i = 0; i < 2100; i++)
		slab_free(those[i]);
}

static void test_without_addresses_pieces_come_from_the_heap(void)
{
	/* They are children of a process that has none yet. */
	CU_ASSERT_EQUAL_FATAL(slab_bytes(), 0);
	CU_ASSERT_EQUAL(status_of(use_without_addresses), 0);
	CU_ASSERT_EQUAL(status_of(use_while_no_more_can_be_had), 0);
}

int main(void)
{
	static const struct check checks[] = {
		{"without addresses pieces come from the heap",
			test_without_addresses_pieces_come_from_the_heap},
		{"every size has its own bytes", test_every_size_has_its_own_bytes},
		{"pieces come and go in any order", test_pieces_come_and_go_in_any_order},
		{"pieces of a size take their own bytes and no more",
			test_pieces_of_a_size_take_their_own_bytes_and_no_more},
		{"chunks that are empty go back to the system",
			test_chunks_that_are_empty_go_back_to_the_system},
		{"a size that comes and goes keeps its last chunk",
			test_a_size_that_comes_and_goes_keeps_its_last_chunk},
		{"what is not there cannot be freed", test_what_is_not_there_cannot_be_freed},
	};

	return check_run("config/slab", checks, sizeof(checks) / sizeof(checks[0]));
}
