#include "proxy/worker_identity.h"

#include <event2/event.h>
#include <string.h>

#include "proxy/session.h"

static void walk_later(struct worker_identity *walk)
{
	static const struct timeval at_once = {0, 0};

	if (walk->next != NULL && walk->asked < REIDENTIFY_ASKED_MAX)
		event_add(&walk->event, &at_once);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct worker_identity *walk = arg;

	(void)fd;
	(void)what;
	for (int i = 0;
		i < REIDENTIFY_SLICE && walk->next != NULL && walk->asked < REIDENTIFY_ASKED_MAX;
		i++) {
		struct session *session = walk->next;

		walk->next = TAILQ_NEXT(session, entry);
		if (walk->ask(session))
			walk->asked++;
	}
	walk_later(walk);
}

int worker_identity_init(struct worker_identity *walk, struct event_base *base,
	const struct session_list *sessions, worker_identity_ask *ask)
{
	memset(walk, 0, sizeof(*walk));
	walk->sessions = sessions;
	walk->ask = ask;
	return evtimer_assign(&walk->event, base, on_turn, walk);
}

void worker_identity_begin(struct worker_identity *walk)
{
	static const struct timeval at_once = {0, 0};

	/* Those that an identity process has taken with it are never answered, but asked again by this
	 * walk. Late answers to others can let it ask twice as many at once, which does no harm. */
	walk->asked = 0;
	walk->next = TAILQ_FIRST(walk->sessions);
	event_add(&walk->event, &at_once);
}

void worker_identity_answered(struct worker_identity *walk)
{
	if (walk->asked > 0)
		walk->asked--;
	walk_later(walk);
}

void worker_identity_forget(struct worker_identity *walk, const struct session *session)
{
	if (walk->next == session)
		walk->next = TAILQ_NEXT(session, entry);
}
