#include "tests/unit/check.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/device_index.h"
#include "proxy/device_state.h"

static const char bob[] = "bob@contoso.test";

static size_t allocations;

static void *count_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return malloc(size);
}

static void *count_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return realloc(old, size);
}

static void count_free(void *old, const char *file, int line)
{
	(void)file;
	(void)line;
	free(old);
}

static struct device_index *compile(struct device_index_list *list, uint64_t grants)
{
	struct error err = {""};
	struct device_index *index;
	int fd = device_index_write(list, grants, &err);

	CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
	index = device_index_open(fd, &err);
	close(fd);
	device_index_list_free(list);
	if (index == NULL)
		fprintf(stderr, "%s\n", err.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	return index;
}

static bool find(const struct device_index *index, const char *mailbox, const char *id,
	struct device_finding *finding)
{
	struct device_key key;

	CU_ASSERT_EQUAL(device_index_key(mailbox, id, &key), 0);
	return device_index_find(index, &key, finding);
}

static void test_what_is_held_against_a_device_is_found(void)
{
	struct device_index_list list = {0};
	struct device_finding finding;
	struct device_index *index;

	device_index_list_add(&list, bob, "appl1", DEVICE_BLOCKED, DEVICE_ALLOWED, 0);
	device_index_list_add(&list, bob, "appl2", DEVICE_WIPE_FAILED, DEVICE_WIPE_ALL, 0);
	device_index_list_add(&list, bob, "appl3", DEVICE_ALLOWED, DEVICE_ALLOWED, 41);
	index = compile(&list, 42);
	CU_ASSERT_EQUAL(device_index_count(index), 3);
	CU_ASSERT_EQUAL(device_index_grants(index), 42);
	CU_ASSERT_TRUE(find(index, bob, "appl1", &finding));
	CU_ASSERT_EQUAL(finding.state, DEVICE_BLOCKED);
	CU_ASSERT_TRUE(find(index, bob, "appl2", &finding));
	CU_ASSERT_EQUAL(finding.state, DEVICE_WIPE_FAILED);
	CU_ASSERT_EQUAL(finding.wipe, DEVICE_WIPE_ALL);
	CU_ASSERT_TRUE(find(index, bob, "appl3", &finding));
	CU_ASSERT_EQUAL(finding.state, DEVICE_ALLOWED);
	CU_ASSERT_EQUAL(finding.grants, 41);
	CU_ASSERT_FALSE(find(index, bob, "appl4", &finding));
	CU_ASSERT_FALSE(find(index, "amy@contoso.test", "appl1", &finding));
	CU_ASSERT_FALSE(find(index, "bob@contoso.testa", "ppl1", &finding));
	device_index_close(index);
}

static void test_nothing_is_held_against_anybody_without_an_index(void)
{
	struct device_index_list list = {0};
	struct device_finding finding;
	struct device_index *index = compile(&list, 7);

	CU_ASSERT_FALSE(find(index, bob, "appl1", &finding));
	CU_ASSERT_EQUAL(device_index_grants(index), 7);
	device_index_close(index);
	CU_ASSERT_FALSE(find(NULL, bob, "appl1", &finding));
	CU_ASSERT_EQUAL(device_index_count(NULL), 0);
	CU_ASSERT_EQUAL(device_index_grants(NULL), 0);
	device_index_close(NULL);
}

static void test_many_are_found_without_touching_the_heap(void)
{
	enum { MANY = 20000 };
	struct device_index_list list = {0};
	struct device_finding finding;
	struct device_index *index;
	size_t before, found = 0;
	char id[24];

	for (int i = 0; i < MANY; i++) {
		snprintf(id, sizeof(id), "d%d", i * 7919 % MANY);
		device_index_list_add(&list, bob, id, DEVICE_QUARANTINED, DEVICE_ALLOWED, 0);
	}
	index = compile(&list, 0);
	before = allocations;
	for (int i = 0; i < MANY; i++) {
		snprintf(id, sizeof(id), "d%d", i);
		found += find(index, bob, id, &finding) && finding.state == DEVICE_QUARANTINED;
	}
	CU_ASSERT_EQUAL(allocations, before);
	CU_ASSERT_EQUAL(found, MANY);
	device_index_close(index);
}

static void test_names_that_are_too_long_have_no_key(void)
{
	char name[400];
	struct device_key key;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CU_ASSERT_EQUAL(device_index_key(name, "appl1", &key), -1);
	CU_ASSERT_EQUAL(device_index_key(bob, name, &key), -1);
}

static void expect_refused(const uint8_t *data, size_t size, const char *why)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct error err = {""};

	if (fd == -1 || write(fd, data, size) != (ssize_t)size)
		abort();
	CU_ASSERT_PTR_NULL(device_index_open(fd, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not a sealed memory file"));
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK);
	CU_ASSERT_PTR_NULL(device_index_open(fd, &err));
	if (strstr(err.text, why) == NULL)
		fprintf(stderr, "got \"%s\", wanted \"%s\"\n", err.text, why);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, why));
	close(fd);
}

static void test_every_damaged_octet_is_noticed(void)
{
	uint8_t content[SEALED_INDEX_HEADER_SIZE + DEVICE_INDEX_WIDTH];
	struct device_index_list list = {0};
	struct error err;
	int fd;

	device_index_list_add(&list, bob, "appl1", DEVICE_BLOCKED, DEVICE_ALLOWED, 0);
	fd = device_index_write(&list, 7, &err);
	device_index_list_free(&list);
	CU_ASSERT_EQUAL_FATAL(pread(fd, content, sizeof(content), 0), sizeof(content));
	close(fd);
	for (size_t i = 0; i < sizeof(content); i++) {
		content[i] ^= 0x10;
		expect_refused(content, sizeof(content), "reading the device index");
		content[i] ^= 0x10;
	}
	for (size_t len = 0; len < sizeof(content); len++)
		expect_refused(content, len, "reading the device index");
}

/* Which only a faulty writer makes: the checksum is right. */
static void test_a_state_that_there_is_not_is_refused(void)
{
	struct device_index_list list = {0};
	struct error err = {""};
	int fd;

	device_index_list_add(&list, bob, "appl1", DEVICE_STATE_COUNT, DEVICE_ALLOWED, 0);
	fd = device_index_write(&list, 7, &err);
	CU_ASSERT_PTR_NULL(device_index_open(fd, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a state that there is not"));
	device_index_list_free(&list);
	close(fd);
}

static void test_states_have_names(void)
{
	enum device_state state = DEVICE_BLOCKED;

	for (unsigned int i = 0; i < DEVICE_STATE_COUNT; i++) {
		CU_ASSERT_TRUE(device_state_read(device_state_name((enum device_state)i), &state));
		CU_ASSERT_EQUAL((unsigned int)state, i);
	}
	CU_ASSERT_FALSE(device_state_read("adored", &state));
	CU_ASSERT_EQUAL(state, DEVICE_WIPE_FAILED);
	CU_ASSERT_PTR_NULL(device_state_name(DEVICE_STATE_COUNT));
	CU_ASSERT_TRUE(device_state_is_wipe(DEVICE_WIPE_ACCOUNT));
	CU_ASSERT_FALSE(device_state_is_wipe(DEVICE_WIPED));
}

int main(void)
{
	static const struct check checks[] = {
		{"what is held against a device is found",
			test_what_is_held_against_a_device_is_found},
		{"nothing is held against anybody without an index",
			test_nothing_is_held_against_anybody_without_an_index},
		{"many are found without touching the heap",
			test_many_are_found_without_touching_the_heap},
		{"names that are too long have no key", test_names_that_are_too_long_have_no_key},
		{"every damaged octet is noticed", test_every_damaged_octet_is_noticed},
		{"a state that there is not is refused", test_a_state_that_there_is_not_is_refused},
		{"states have names", test_states_have_names},
	};

	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return 2;
	return check_run("proxy/device_index", checks, sizeof(checks) / sizeof(checks[0]));
}
