#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/user_index.h"
#include "auth/user_index_file.h"

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

static const struct user_entry sample[] = {
	{"zoe@contoso.test", 1700000003},
	{"bob@contoso.test", 1700000001},
	{"carol@contoso.test", INT64_MAX},
};

enum { SAMPLE_COUNT = sizeof(sample) / sizeof(sample[0]) };

static int write_sample(void)
{
	struct error err = {""};
	int fd = user_index_write(sample, SAMPLE_COUNT, &err);

	CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
	return fd;
}

static struct user_index *open_and_close(int fd, struct error *err)
{
	struct user_index *index = user_index_open(fd, err);

	close(fd);
	return index;
}

static void test_what_is_written_is_found(void)
{
	struct error err = {""};
	struct user_index *index = open_and_close(write_sample(), &err);
	int64_t valid_from = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(user_index_count(index), SAMPLE_COUNT);
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		CU_ASSERT_TRUE(user_index_find(index, sample[i].mailbox, &valid_from));
		CU_ASSERT_EQUAL(valid_from, sample[i].valid_from);
	}
	CU_ASSERT_FALSE(user_index_find(index, "alice@contoso.test", &valid_from));
	CU_ASSERT_FALSE(user_index_find(index, "bob@contoso.tes", &valid_from));
	CU_ASSERT_FALSE(user_index_find(index, "", &valid_from));
	user_index_close(index);
}

static void test_nobody_is_in_an_empty_index_or_in_none(void)
{
	struct error err = {""};
	int fd = user_index_write(NULL, 0, &err);
	struct user_index *index;
	int64_t valid_from;

	CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
	index = open_and_close(fd, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(user_index_count(index), 0);
	CU_ASSERT_FALSE(user_index_find(index, "bob@contoso.test", &valid_from));
	user_index_close(index);
	CU_ASSERT_FALSE(user_index_find(NULL, "bob@contoso.test", &valid_from));
	CU_ASSERT_EQUAL(user_index_count(NULL), 0);
	user_index_close(NULL);
}

static void test_of_two_entries_of_one_mailbox_the_later_holds(void)
{
	static const struct user_entry twice[] = {{"bob@contoso.test", 300},
		{"amy@contoso.test", 5}, {"bob@contoso.test", 70000}, {"bob@contoso.test", 256}};
	struct error err = {""};
	struct user_index *index = open_and_close(user_index_write(twice, 4, &err), &err);
	int64_t valid_from = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(user_index_count(index), 2);
	CU_ASSERT_TRUE(user_index_find(index, "bob@contoso.test", &valid_from));
	CU_ASSERT_EQUAL(valid_from, 70000);
	user_index_close(index);
}

static void test_many_are_found_without_touching_the_heap(void)
{
	enum { MANY = 20000 };
	static char names[MANY][32];
	static struct user_entry entries[MANY];
	struct error err = {""};
	struct user_index *index;
	size_t before, found = 0;
	int64_t valid_from;

	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "user%d@contoso.test", i * 7919 % MANY);
		entries[i] = (struct user_entry){names[i], i};
	}
	index = open_and_close(user_index_write(entries, MANY, &err), &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	before = allocations;
	for (int i = 0; i < MANY; i++)
		found += user_index_find(index, names[i], &valid_from) && valid_from == i;
	CU_ASSERT_EQUAL(allocations, before);
	CU_ASSERT_EQUAL(found, MANY);
	user_index_close(index);
}

static void test_the_file_cannot_be_changed_and_holds_no_name(void)
{
	static char content[4096];
	int fd = write_sample();
	ssize_t len = pread(fd, content, sizeof(content), 0);

	CU_ASSERT_EQUAL(len, SEALED_INDEX_HEADER_SIZE + SAMPLE_COUNT * USER_FILE_ENTRY_SIZE);
	CU_ASSERT_PTR_NULL(memmem(content, (size_t)len, "bob", 3));
	CU_ASSERT_EQUAL(pwrite(fd, "x", 1, 0), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), -1);
	CU_ASSERT_EQUAL(ftruncate(fd, 8192), -1);
	close(fd);
}

/* A sealed memory file with these octets. */
static int sealed(const uint8_t *data, size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1 || write(fd, data, size) != (ssize_t)size ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == -1)
		abort();
	return fd;
}

static void expect_refused(int fd, const char *why)
{
	struct error err = {""};

	CU_ASSERT_PTR_NULL(open_and_close(fd, &err));
	if (strstr(err.text, why) == NULL)
		fprintf(stderr, "got \"%s\", wanted \"%s\"\n", err.text, why);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, why));
}

static void test_what_is_not_sealed_is_refused(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char name[] = "/tmp/easproxy-user-index-XXXXXX";

	expect_refused(fd, "not a sealed memory file");
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	expect_refused(fd, "not a sealed memory file");
	fd = mkstemp(name);
	unlink(name);
	expect_refused(fd, "not a sealed memory file");
	expect_refused(open("/dev/null", O_RDONLY | O_CLOEXEC), "not a sealed memory file");
}

static void test_every_damaged_octet_is_noticed(void)
{
	uint8_t content[SEALED_INDEX_HEADER_SIZE + SAMPLE_COUNT * USER_FILE_ENTRY_SIZE];
	struct error err;
	int fd = write_sample();

	CU_ASSERT_EQUAL_FATAL(pread(fd, content, sizeof(content), 0), sizeof(content));
	close(fd);
	for (size_t i = 0; i < sizeof(content); i++) {
		content[i] ^= 0x10;
		CU_ASSERT_PTR_NULL(open_and_close(sealed(content, sizeof(content)), &err));
		content[i] ^= 0x10;
	}
	for (size_t len = 0; len < sizeof(content); len++)
		CU_ASSERT_PTR_NULL(open_and_close(sealed(content, len), &err));
	expect_refused(sealed((const uint8_t *)"", 0), "too short");
	content[SEALED_INDEX_VERSION_AT + 3]++;
	expect_refused(sealed(content, sizeof(content)), "not an index of this version");
}

/* A good checksum over entries in the wrong order, which only a faulty writer makes. */
static void test_entries_out_of_order_are_refused(void)
{
	uint8_t content[SEALED_INDEX_HEADER_SIZE + SAMPLE_COUNT * USER_FILE_ENTRY_SIZE], key[24];
	uint8_t *first = content + SEALED_INDEX_HEADER_SIZE;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	int fd = write_sample();

	CU_ASSERT_EQUAL_FATAL(pread(fd, content, sizeof(content), 0), sizeof(content));
	close(fd);
	memcpy(key, first, sizeof(key));
	memcpy(first, first + sizeof(key), sizeof(key));
	memcpy(first + sizeof(key), key, sizeof(key));
	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	EVP_DigestUpdate(digest, content, SEALED_INDEX_SUM_AT);
	EVP_DigestUpdate(
		digest, content + SEALED_INDEX_NUMBER_AT, sizeof(content) - SEALED_INDEX_NUMBER_AT);
	EVP_DigestFinal_ex(digest, content + SEALED_INDEX_SUM_AT, NULL);
	EVP_MD_CTX_free(digest);
	expect_refused(sealed(content, sizeof(content)), "entries out of order");
}

static void test_a_count_that_is_too_large_is_refused(void)
{
	struct error err = {""};

	CU_ASSERT_EQUAL(user_index_write(sample, (size_t)SEALED_INDEX_ENTRY_MAX + 1, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "more than"));
}

int main(void)
{
	static const struct check checks[] = {
		{"what is written is found", test_what_is_written_is_found},
		{"nobody is in an empty index, or in none",
			test_nobody_is_in_an_empty_index_or_in_none},
		{"of two entries of one mailbox the later holds",
			test_of_two_entries_of_one_mailbox_the_later_holds},
		{"many are found without touching the heap",
			test_many_are_found_without_touching_the_heap},
		{"the file cannot be changed and holds no name",
			test_the_file_cannot_be_changed_and_holds_no_name},
		{"what is not sealed is refused", test_what_is_not_sealed_is_refused},
		{"every damaged octet is noticed", test_every_damaged_octet_is_noticed},
		{"entries out of order are refused", test_entries_out_of_order_are_refused},
		{"a count that is too large is refused", test_a_count_that_is_too_large_is_refused},
	};

	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return 2;
	return check_run("auth/user_index", checks, sizeof(checks) / sizeof(checks[0]));
}
