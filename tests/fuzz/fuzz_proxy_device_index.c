/*
 * The loader of device indexes: whatever it takes must be searchable, and holds no state that there is not. The
 * checksum of an input is set right first in a second try, so that what lies behind it is reached.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/device_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find(const struct device_index *index, const struct device_key *key)
{
	struct device_finding finding;

	if (device_index_find(index, key, &finding) &&
		((unsigned int)finding.state >= DEVICE_STATE_COUNT ||
			(unsigned int)finding.wipe >= DEVICE_STATE_COUNT))
		abort();
}

static void load(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct device_index *index;
	struct device_key key;
	struct error err;

	if (fd == -1 || write(fd, data, size) != (ssize_t)size ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == -1)
		abort();
	index = device_index_open(fd, &err);
	close(fd);
	if (index == NULL)
		return;
	if (device_index_count(index) != (size - SEALED_INDEX_HEADER_SIZE) / DEVICE_INDEX_WIDTH)
		abort();
	if (device_index_key("bob@contoso.test", "appl1", &key) == -1)
		abort();
	find(index, &key);
	/* One that is there, if there is one. */
	if (device_index_count(index) > 0) {
		struct device_finding finding;

		memcpy(key.octets, data + SEALED_INDEX_HEADER_SIZE, sizeof(key.octets));
		find(index, &key);
		if (!device_index_find(index, &key, &finding))
			abort();
	}
	device_index_close(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	EVP_MD_CTX *digest;
	uint8_t *copy;

	load(data, size);
	if (size < SEALED_INDEX_HEADER_SIZE)
		return 0;
	copy = malloc(size);
	memcpy(copy, data, size);
	digest = EVP_MD_CTX_new();
	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	EVP_DigestUpdate(digest, copy, SEALED_INDEX_SUM_AT);
	EVP_DigestUpdate(digest, copy + SEALED_INDEX_NUMBER_AT, size - SEALED_INDEX_NUMBER_AT);
	EVP_DigestFinal_ex(digest, copy + SEALED_INDEX_SUM_AT, NULL);
	EVP_MD_CTX_free(digest);
	load(copy, size);
	free(copy);
	return 0;
}
