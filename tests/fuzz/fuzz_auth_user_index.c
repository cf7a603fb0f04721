/*
 * The loader of user indexes: whatever it takes must be searchable. The checksum of an input is set
 * right first in a second try, so that what lies behind it is reached.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/user_index.h"
#include "auth/user_index_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct user_index *index;
	struct error err;
	int64_t valid_from;

	if (fd == -1 || write(fd, data, size) != (ssize_t)size ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == -1)
		abort();
	index = user_index_open(fd, &err);
	close(fd);
	if (index == NULL)
		return;
	if (user_index_count(index) != (size - SEALED_INDEX_HEADER_SIZE) / USER_FILE_ENTRY_SIZE)
		abort();
	user_index_find(index, "bob@contoso.test", &valid_from);
	user_index_find(index, "", &valid_from);
	user_index_close(index);
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
