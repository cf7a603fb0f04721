#include "poller.h"

#include <errno.h>
#include <unistd.h>

int poller_open(struct poller *poller, struct error *err)
{
	poller->count = poller->at = 0;
	poller->fd = epoll_create1(EPOLL_CLOEXEC);
	return poller->fd != -1 ? 0 : error_sys(err, "starting an epoll");
}

void poller_close(struct poller *poller)
{
	if (poller->fd != -1)
		close(poller->fd);
	poller->fd = -1;
}

static void poller_forget(struct poller *poller, const struct poller_item *item)
{
	for (int i = poller->at; i < poller->count; i++)
		if (poller->batch[i].data.ptr == item)
			poller->batch[i].data.ptr = NULL;
}

int poller_want(struct poller *poller, struct poller_item *item, uint32_t wanted)
{
	struct epoll_event event = {.events = wanted, .data = {.ptr = item}};
	int operation = item->wanted == 0 ? EPOLL_CTL_ADD
			: wanted == 0     ? EPOLL_CTL_DEL
					  : EPOLL_CTL_MOD;

	if (item->wanted == wanted)
		return 0;
	if (epoll_ctl(poller->fd, operation, item->fd, &event) == -1)
		return -1;
	if (wanted == 0)
		poller_forget(poller, item);
	item->wanted = wanted;
	return 0;
}

void poller_run(struct poller *poller, int timeout_ms)
{
	poller->count = epoll_wait(poller->fd, poller->batch, POLLER_BATCH, timeout_ms);
	for (poller->at = 0; poller->at < poller->count; poller->at++) {
		struct poller_item *item = poller->batch[poller->at].data.ptr;

		if (item != NULL)
			item->on_ready(item);
	}
	poller->count = poller->at = 0;
}
