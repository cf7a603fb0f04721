/*
 * What is kept beside a CRL's index, as a state directory may hold it: what is loaded of it is kept
 * again in the same words, and nothing of it is believed beside another index.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/revocation_seen.h"
#include "auth/revocation_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char name[] = "fuzzed.seen";
static char path[] = "/tmp/easproxy-fuzz-seen-XXXXXX";
static int directory = -1;

static void require(int is_so)
{
	if (!is_so)
		abort();
}

static void remove_directory(void)
{
	unlinkat(directory, name, 0);
	rmdir(path);
}

static void make_directory(void)
{
	require(mkdtemp(path) != NULL);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(directory != -1);
	atexit(remove_directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t of_zeros[REVOCATION_FILE_CHECKSUM_SIZE];
	static const uint8_t of_another[REVOCATION_FILE_CHECKSUM_SIZE] = {1};
	struct revocation_seen seen, again;
	bool was_of_another;
	int file;

	if (directory == -1)
		make_directory();
	/* Not as the daemon writes: a rename and two fsync()s for each input would be most of the time. */
	file = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	require(file != -1 && write(file, data, size) == (ssize_t)size);
	close(file);
	revocation_seen_load(&seen, of_another, directory, name);
	was_of_another = seen.has_sum;
	revocation_seen_load(&seen, of_zeros, directory, name);
	if (!seen.has_sum)
		return 0;
	require(!was_of_another);
	require(memchr(seen.etag, '\0', sizeof(seen.etag)) != NULL &&
		memchr(seen.last_modified, '\0', sizeof(seen.last_modified)) != NULL);
	revocation_seen_save(&seen, of_zeros, directory, name);
	revocation_seen_load(&again, of_zeros, directory, name);
	require(again.has_sum && memcmp(again.sum, seen.sum, sizeof(seen.sum)) == 0 &&
		strcmp(again.etag, seen.etag) == 0 &&
		strcmp(again.last_modified, seen.last_modified) == 0);
	return 0;
}
