#include "auth/revocation_file.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

static const uint8_t magic[8] = "EASRVIDX";

enum {
	AT_VERSION = 8,
	AT_WIDTH = 12,
	AT_AUTHORITY_KEY = 16,
	AT_CRL_NUMBER = 48,
	AT_ZEROS = 68,
	AT_THIS_UPDATE = 72,
	AT_NEXT_UPDATE = 80,
	AT_COUNT = 88,
	HOURS_MAX = 0xffffff,
	HOUR = 3600,
};

static void number_put(uint8_t *at, size_t size, uint64_t number)
{
	while (size-- > 0) {
		at[size] = (uint8_t)number;
		number >>= 8;
	}
}

static uint64_t number_get(const uint8_t *at, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | at[i];
	return number;
}

void revocation_entry_set_date(struct revocation_entry *entry, int64_t date)
{
	int64_t hours = date < 0 ? 0 : date / HOUR;

	number_put(entry->hours, sizeof(entry->hours),
		(uint64_t)(hours > HOURS_MAX ? HOURS_MAX : hours));
}

int64_t revocation_entry_date(const struct revocation_entry *entry)
{
	return (int64_t)number_get(entry->hours, sizeof(entry->hours)) * HOUR;
}

static void header_encode(
	const struct revocation_facts *facts, uint8_t header[REVOCATION_FILE_CHECKSUM_AT])
{
	memset(header, 0, REVOCATION_FILE_CHECKSUM_AT);
	memcpy(header, magic, sizeof(magic));
	number_put(header + AT_VERSION, 4, REVOCATION_FILE_VERSION);
	number_put(header + AT_WIDTH, 4, sizeof(struct revocation_entry));
	memcpy(header + AT_AUTHORITY_KEY, facts->authority_key, sizeof(facts->authority_key));
	memcpy(header + AT_CRL_NUMBER, facts->crl_number, sizeof(facts->crl_number));
	number_put(header + AT_THIS_UPDATE, 8, (uint64_t)facts->this_update);
	number_put(header + AT_NEXT_UPDATE, 8, (uint64_t)facts->next_update);
	number_put(header + AT_COUNT, 8, facts->entry_count);
}

int revocation_file_decode(
	const uint8_t header[REVOCATION_FILE_CHECKSUM_AT], struct revocation_facts *facts)
{
	if (memcmp(header, magic, sizeof(magic)) != 0)
		return -1;
	if (number_get(header + AT_VERSION, 4) != REVOCATION_FILE_VERSION ||
		number_get(header + AT_WIDTH, 4) != sizeof(struct revocation_entry) ||
		number_get(header + AT_ZEROS, 4) != 0)
		return -1;
	memset(facts, 0, sizeof(*facts));
	memcpy(facts->authority_key, header + AT_AUTHORITY_KEY, sizeof(facts->authority_key));
	memcpy(facts->signer_key, facts->authority_key, sizeof(facts->signer_key));
	memcpy(facts->crl_number, header + AT_CRL_NUMBER, sizeof(facts->crl_number));
	facts->this_update = (int64_t)number_get(header + AT_THIS_UPDATE, 8);
	facts->next_update = (int64_t)number_get(header + AT_NEXT_UPDATE, 8);
	facts->entry_count = number_get(header + AT_COUNT, 8);
	if (facts->entry_count > REVOCATION_FILE_ENTRY_MAX)
		return -1;
	facts->mapped_size =
		REVOCATION_FILE_HEADER_SIZE + facts->entry_count * sizeof(struct revocation_entry);
	return 0;
}

int revocation_file_sum(const uint8_t header[REVOCATION_FILE_CHECKSUM_AT],
	const struct revocation_entry *entries, uint64_t count,
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE])
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	int result = -1;

	if (digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(digest, header, REVOCATION_FILE_CHECKSUM_AT) == 1 &&
		EVP_DigestUpdate(digest, entries, count * sizeof(*entries)) == 1 &&
		EVP_DigestFinal_ex(digest, sum, NULL) == 1)
		result = 0;
	EVP_MD_CTX_free(digest);
	return result;
}

static int write_all(int fd, const void *data, size_t len, off_t at)
{
	const uint8_t *from = data;

	while (len > 0) {
		ssize_t written = pwrite(fd, from, len, at);

		if (written == -1 && errno == EINTR)
			continue;
		if (written <= 0) {
			if (written == 0)
				errno = ENOSPC;
			return -1;
		}
		from += written;
		len -= (size_t)written;
		at += written;
	}
	return 0;
}

int revocation_file_write(int fd, struct revocation_facts *facts,
	const struct revocation_entry *entries, struct error *err)
{
	uint8_t header[REVOCATION_FILE_HEADER_SIZE];
	size_t size;

	assert(facts->entry_count <= REVOCATION_FILE_ENTRY_MAX); /* the compiler's own bound */
	size = facts->entry_count * sizeof(*entries);
	header_encode(facts, header);
	if (revocation_file_sum(header, entries, facts->entry_count,
		    header + REVOCATION_FILE_CHECKSUM_AT) == -1)
		return error_set(err, "computing the checksum of a revocation index failed");
	if (write_all(fd, entries, size, REVOCATION_FILE_HEADER_SIZE) == -1 ||
		write_all(fd, header, sizeof(header), 0) == -1) {
		error_sys(err, "writing a revocation index of %llu entries",
			(unsigned long long)facts->entry_count);
		if (ftruncate(fd, 0) == -1)
			return -1; /* what is left fails its checksum */
		return -1;
	}
	facts->mapped_size = sizeof(header) + size;
	return 0;
}
