#include "config/whole.h"

#include <errno.h>
#include <unistd.h>

ssize_t whole_read(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(fd, (char *)data + done, size - done);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

ssize_t whole_read_at(int fd, void *data, size_t size, off_t at)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, (char *)data + done, size - done, at + (off_t)done);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* What took nothing and said no more has no room. */
static int complain(ssize_t written)
{
	if (written == 0)
		errno = ENOSPC;
	return -1;
}

int whole_write(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t written = write(fd, (const char *)data + done, size - done);

		if (written == -1 && errno == EINTR)
			continue;
		if (written <= 0)
			return complain(written);
		done += (size_t)written;
	}
	return 0;
}

int whole_write_at(int fd, const void *data, size_t size, off_t at)
{
	for (size_t done = 0; done < size;) {
		ssize_t written =
			pwrite(fd, (const char *)data + done, size - done, at + (off_t)done);

		if (written == -1 && errno == EINTR)
			continue;
		if (written <= 0)
			return complain(written);
		done += (size_t)written;
	}
	return 0;
}
