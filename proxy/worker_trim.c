#include "proxy/worker_trim.h"

#include <event2/event.h>
#include <malloc.h>

static void look_later(struct worker_trim *trim)
{
	static const struct timeval wait = {
		TRIM_LOOK_MS / 1000, (suseconds_t)(TRIM_LOOK_MS % 1000) * 1000};

	trim->seen = trim->noted;
	trim->is_looking = evtimer_add(trim->timer, &wait) == 0;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct worker_trim *trim = arg;

	(void)fd;
	(void)what;
	trim->is_looking = false;
	if (trim->noted - trim->seen >= TRIM_CALM) {
		look_later(trim);
	} else if (trim->noted >= TRIM_LEAST) {
		malloc_trim(0);
		trim->noted = 0;
	}
}

int worker_trim_init(struct worker_trim *trim, struct event_base *base)
{
	*trim = (struct worker_trim){.timer = evtimer_new(base, on_look, trim)};
	return trim->timer != NULL ? 0 : -1;
}

void worker_trim_end(struct worker_trim *trim)
{
	if (trim->timer != NULL)
		event_free(trim->timer);
	trim->timer = NULL;
}

void worker_trim_note(struct worker_trim *trim)
{
	if (trim->noted < UINT32_MAX)
		trim->noted++;
	if (trim->noted >= TRIM_LEAST && !trim->is_looking && trim->timer != NULL)
		look_later(trim);
}
