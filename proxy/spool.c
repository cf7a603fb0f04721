#include "proxy/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t memory_len(const struct spool *spool)
{
	return spool->memory_end - spool->memory_begin;
}

static void memory_free(struct spool *spool)
{
	free(spool->memory);
	spool->memory = NULL;
	spool->memory_begin = spool->memory_end = spool->memory_size = 0;
}

/* Elsewhere, and twice as large as a rule, so that however small the pieces are each byte moves but a few
 * times. */
static int memory_move(struct spool *spool, size_t len)
{
	enum { LEAST = 512 };
	size_t held = memory_len(spool), size = 2 * spool->memory_size;
	uint8_t *memory;

	if (size > spool->memory_max)
		size = (size_t)spool->memory_max;
	if (size < LEAST)
		size = LEAST;
	if (size < held + len)
		size = held + len;
	memory = malloc(size);
	if (memory == NULL)
		return -1;
	if (held > 0)
		memcpy(memory, spool->memory + spool->memory_begin, held);
	free(spool->memory);
	spool->memory = memory;
	spool->memory_size = size;
	spool->memory_begin = 0;
	spool->memory_end = held;
	return 0;
}

static int memory_put(struct spool *spool, struct span bytes)
{
	size_t held = memory_len(spool);

	if (spool->memory_size - spool->memory_end < bytes.len) {
		/* To the front, where more has gone than has to be moved. */
		if (spool->memory_begin >= held && spool->memory_size - held >= bytes.len &&
			held > 0) {
			memcpy(spool->memory, spool->memory + spool->memory_begin, held);
			spool->memory_begin = 0;
			spool->memory_end = held;
		} else if (memory_move(spool, bytes.len) != 0) {
			return -1;
		}
	}
	memcpy(spool->memory + spool->memory_end, bytes.data, bytes.len);
	spool->memory_end += bytes.len;
	return 0;
}

static size_t memory_take(struct spool *spool, void *data, size_t len)
{
	size_t held = memory_len(spool);

	if (len > held)
		len = held;
	memcpy(data, spool->memory + spool->memory_begin, len);
	spool->memory_begin += len;
	if (len == held)
		memory_free(spool);
	return len;
}

void spool_init(struct spool *spool, uint64_t memory_max, int directory)
{
	*spool = (struct spool){.memory_max = memory_max, .directory = directory, .fd = -1};
}

void spool_free(struct spool *spool)
{
	free(spool->memory);
	if (spool->fd != -1)
		close(spool->fd);
	spool_init(spool, spool->memory_max, spool->directory);
}

uint64_t spool_len(const struct spool *spool)
{
	return memory_len(spool) + (spool->file_len - spool->file_read);
}

static int file_put(struct spool *spool, struct span bytes)
{
	if (spool->fd == -1 && spool->directory != -1)
		spool->fd = openat(
			spool->directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (spool->fd == -1)
		return -1;
	while (bytes.len > 0) {
		ssize_t n = pwrite(spool->fd, bytes.data, bytes.len, (off_t)spool->file_len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		bytes = span_of(bytes.data + n, bytes.len - (size_t)n);
		spool->file_len += (uint64_t)n;
	}
	return 0;
}

int spool_put(struct spool *spool, struct span bytes)
{
	if (bytes.len == 0)
		return 0;
	/* While something is in the file, everything goes behind it: the order must hold. */
	if (spool->file_len > spool->file_read || memory_len(spool) + bytes.len > spool->memory_max)
		return file_put(spool, bytes);
	return memory_put(spool, bytes);
}

static void file_cut(struct spool *spool, uint64_t len)
{
	spool->file_len = spool->file_read + len;
	if (len == 0)
		spool->file_len = spool->file_read = 0;
}

void spool_cut(struct spool *spool, uint64_t len)
{
	size_t in_memory = memory_len(spool);

	if (len >= spool_len(spool))
		return;
	file_cut(spool, len > in_memory ? len - in_memory : 0);
	if (len == 0)
		memory_free(spool);
	else if (len < in_memory)
		spool->memory_end = spool->memory_begin + (size_t)len;
}

int64_t spool_take(struct spool *spool, void *data, size_t len)
{
	ssize_t n;

	if (memory_len(spool) > 0)
		return (int64_t)memory_take(spool, data, len);
	if (spool->file_read == spool->file_len)
		return 0;
	/* What was cut off is still in the file. */
	if (len > spool->file_len - spool->file_read)
		len = (size_t)(spool->file_len - spool->file_read);
	do
		n = pread(spool->fd, data, len, (off_t)spool->file_read);
	while (n == -1 && errno == EINTR);
	if (n <= 0)
		return -1;
	spool->file_read += (uint64_t)n;
	if (spool->file_read == spool->file_len)
		file_cut(spool, 0);
	return n;
}
