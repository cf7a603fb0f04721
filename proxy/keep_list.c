#include "proxy/keep_list.h"

#include <stdlib.h>
#include <unistd.h>

void keep_list_add(struct keep_list *list, int fd)
{
	if (fd < 0)
		return;
	if (list->count == KEEP_LIST_MAX)
		_exit(1);
	list->fds[list->count++] = fd;
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void keep_list_close_others(struct keep_list *list)
{
	unsigned int from = 0;

	qsort(list->fds, list->count, sizeof(list->fds[0]), compare_ints);
	for (size_t i = 0; i < list->count; i++) {
		unsigned int fd = (unsigned int)list->fds[i];

		if (fd > from)
			close_range(from, fd - 1, 0);
		from = fd + 1;
	}
	close_range(from, ~0u, 0);
}
