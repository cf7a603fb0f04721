/*
 * Which descriptors a process keeps that was just forked: all others are closed at once, whatever they
 * are. For the supervisor's children, and for the helpers of identity.
 */
#ifndef PROXY_KEEP_LIST_H
#define PROXY_KEEP_LIST_H

#include <stddef.h>

enum { KEEP_LIST_MAX = 1024 };

struct keep_list {
	int fds[KEEP_LIST_MAX];
	size_t count;
};

/* -1 is passed over. One too many ends the process: nothing of it has begun yet. */
void keep_list_add(struct keep_list *list, int fd);

void keep_list_close_others(struct keep_list *list);

#endif
