#include "proxy/spool.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <unistd.h>

void spool_init(struct spool *spool, uint64_t memory_max, int directory)
{
	*spool = (struct spool){.memory_max = memory_max, .directory = directory, .fd = -1};
}

void spool_free(struct spool *spool)
{
	if (spool->memory != NULL)
		evbuffer_free(spool->memory);
	if (spool->fd != -1)
		close(spool->fd);
	spool_init(spool, spool->memory_max, spool->directory);
}

static size_t memory_len(const struct spool *spool)
{
	return spool->memory != NULL ? evbuffer_get_length(spool->memory) : 0;
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
	if (spool->memory == NULL)
		spool->memory = evbuffer_new();
	if (spool->memory == NULL)
		return -1;
	return evbuffer_add(spool->memory, bytes.data, bytes.len);
}

static void file_cut(struct spool *spool, uint64_t len)
{
	spool->file_len = spool->file_read + len;
	if (len == 0)
		spool->file_len = spool->file_read = 0;
}

int spool_cut(struct spool *spool, uint64_t len)
{
	size_t in_memory = memory_len(spool);
	struct evbuffer *kept;

	if (len >= spool_len(spool))
		return 0;
	file_cut(spool, len > in_memory ? len - in_memory : 0);
	if (len >= in_memory)
		return 0;
	if (len == 0)
		return evbuffer_drain(spool->memory, in_memory);
	kept = evbuffer_new();
	if (kept == NULL)
		return -1;
	if (evbuffer_remove_buffer(spool->memory, kept, (size_t)len) != (int)len) {
		evbuffer_free(kept);
		return -1;
	}
	evbuffer_free(spool->memory);
	spool->memory = kept;
	return 0;
}

int64_t spool_take(struct spool *spool, void *data, size_t len)
{
	ssize_t n;

	if (memory_len(spool) > 0)
		return evbuffer_remove(spool->memory, data, len);
	if (spool->file_read == spool->file_len)
		return 0;
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
