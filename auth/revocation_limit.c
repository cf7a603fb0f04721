#include "auth/revocation_limit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_file.h"
#include "config/whole.h"

static int write_part(int fd, const uint8_t *data, size_t len, off_t at, struct error *err)
{
	if (whole_write_at(fd, data, len, at) == -1)
		return error_sys(err, "copying a revocation index");
	return 0;
}

/* Over what stands in the file now. */
static int write_sum(int fd, size_t size, struct error *err)
{
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE];
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	int result;

	if (map == MAP_FAILED)
		return error_sys(err, "copying a revocation index");
	result = revocation_file_sum(map, size, sum);
	munmap(map, size);
	if (result == -1)
		return error_set(err, "computing the checksum of a revocation index failed");
	return write_part(fd, sum, sizeof(sum), REVOCATION_FILE_CHECKSUM_AT, err);
}

int revocation_limit(const struct revocation_index *index, int64_t until, int output_fd,
	struct revocation_facts *facts, struct error *err)
{
	const struct revocation_view *view = revocation_index_view(index);
	const struct revocation_counts counts = {.width = view->width,
		.sections = view->section_count,
		.fences = view->fence_count,
		.invalidities = view->invalidity_count};
	uint8_t header[REVOCATION_FILE_HEADER_SIZE] = {0};

	*facts = view->facts;
	if (until < facts->next_update)
		facts->next_update = until;
	revocation_file_encode(facts, &counts, header);
	if (write_part(output_fd, header, sizeof(header), 0, err) == -1 ||
		write_part(output_fd, view->header + sizeof(header), view->size - sizeof(header),
			sizeof(header), err) == -1)
		return -1;
	return write_sum(output_fd, view->size, err);
}
