#include "proxy/recheck.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/log.h"
#include "proxy/session.h"

static const char *const cause_names[RECHECK_CAUSE_COUNT] = {
	[RECHECK_TIME] = "time",
	[RECHECK_CRL] = "crl",
	[RECHECK_USERS] = "users",
	[RECHECK_TRUST] = "trust",
	[RECHECK_DIRECTORY] = "directory",
	[RECHECK_OCSP] = "ocsp",
	[RECHECK_DEVICES] = "devices",
};

/* "crl", or "crl,users" where a second change came in the middle of the walk. */
static void causes_format(unsigned int causes, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < RECHECK_CAUSE_COUNT; i++)
		if ((causes & 1u << i) != 0 && len < size)
			len += (size_t)snprintf(
				text + len, size - len, "%s%s", len > 0 ? "," : "", cause_names[i]);
}

/* Nobody needs to read each minute that nothing was found. */
static void walk_log(const struct recheck_walk *walk)
{
	bool is_routine = walk->causes == 1u << RECHECK_TIME && walk->closed == 0;
	char causes[64];
	struct log_line line;

	log_begin(&line, is_routine ? CONFIG_LOG_DEBUG : CONFIG_LOG_INFO, "recheck");
	causes_format(walk->causes, causes, sizeof(causes));
	log_text(&line, "cause", causes);
	log_text(&line, "authority", walk->authority);
	log_number(&line, "changes", walk->changes);
	log_number(&line, "sessions", walk->looked_at);
	log_number(&line, "closed", walk->closed);
	if (walk->cut_us != 0)
		log_number(&line, "last_cut_us", (int64_t)(walk->cut_us - walk->since_us));
	log_number(&line, "total_us", (int64_t)(clock_us() - walk->since_us));
	log_number(&line, "swap_us", (int64_t)walk->swap_us);
	log_number(&line, "slices", walk->slices);
	log_number(&line, "longest_slice_us", (int64_t)walk->longest_us);
	log_number(&line, "longest_slice_cpu_us", (int64_t)walk->longest_cpu_us);
	log_end(&line);
}

/* The cheap question first: most changes are one authority's. */
static bool walk_concerns(const struct recheck_walk *walk, const struct session *session)
{
	const struct credential *credential = session->credential;
	struct verdict_links links;

	if (credential == NULL)
		return false;
	if (walk->concerns_all)
		return true;
	links = credential_links(credential);
	for (uint32_t i = 0; i < links.count; i++) {
		int authority = verdict_link_at(&links, i)->authority;

		if (authority >= 0 && authority < AUTHORITY_MAX &&
			(walk->authorities[authority / 64] >> (authority % 64) & 1) != 0)
			return true;
	}
	return false;
}

/* The session to look at now; NULL: the walk is over. */
static struct session *walk_next(struct recheck *recheck)
{
	struct recheck_walk *walk = &recheck->walk;

	if (walk->next == NULL && !walk->is_around) {
		walk->is_around = true;
		walk->next = TAILQ_FIRST(recheck->sessions);
	}
	return walk->is_around && walk->next == walk->last ? NULL : walk->next;
}

/* The next turn of the loop, and not this one again, as event_active() would have it: what phones
 * ask meanwhile comes in between. */
static void slice_later(struct recheck *recheck)
{
	static const struct timeval at_once = {0, 0};

	event_add(&recheck->slice_event, &at_once);
}

static void walk_slice(struct recheck *recheck, uint64_t begun_us)
{
	struct recheck_walk *walk = &recheck->walk;
	struct session *session;

	for (unsigned int count = 0; count < RECHECK_SLICE_SESSIONS; count++) {
		session = walk_next(recheck);
		if (session == NULL || clock_us() - begun_us >= RECHECK_SLICE_US)
			return;
		walk->next = TAILQ_NEXT(session, entry);
		if (!walk_concerns(walk, session))
			continue;
		walk->looked_at++;
		if (recheck->judge(session)) {
			walk->closed++;
			walk->cut_us = clock_us();
		}
	}
}

static uint64_t clock_cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void note_longest(uint64_t *longest, uint64_t time)
{
	if (time > *longest)
		*longest = time;
}

static void on_slice(evutil_socket_t fd, short what, void *arg)
{
	struct recheck *recheck = arg;
	struct recheck_walk *walk = &recheck->walk;
	uint64_t begun_us = clock_us(), begun_cpu_us = clock_cpu_us();

	(void)fd;
	(void)what;
	walk_slice(recheck, begun_us);
	walk->slices++;
	note_longest(&walk->longest_us, clock_us() - begun_us);
	note_longest(&walk->longest_cpu_us, clock_cpu_us() - begun_cpu_us);
	if (walk_next(recheck) != NULL) {
		slice_later(recheck);
		return;
	}
	recheck->is_running = false;
	walk_log(walk);
}

int recheck_init(struct recheck *recheck, struct event_base *base,
	const struct session_list *sessions, recheck_judge *judge)
{
	memset(recheck, 0, sizeof(*recheck));
	recheck->sessions = sessions;
	recheck->judge = judge;
	return evtimer_assign(&recheck->slice_event, base, on_slice, recheck);
}

void recheck_begin(struct recheck *recheck, enum recheck_cause cause, int authority,
	const char *name, uint64_t since_us)
{
	struct recheck_walk *walk = &recheck->walk;
	uint64_t swap_us = clock_us() - since_us;

	if (!recheck->is_running)
		*walk = (struct recheck_walk){.since_us = since_us, .authority = name};
	else if (walk->authority != name)
		walk->authority = NULL;
	recheck->is_running = true;
	walk->causes |= 1u << cause;
	walk->changes++;
	note_longest(&walk->swap_us, swap_us);
	if (authority < 0 || authority >= AUTHORITY_MAX)
		walk->concerns_all = true;
	else
		walk->authorities[authority / 64] |= UINT64_C(1) << (authority % 64);
	/* Once around from here. Those who come in from now on are judged by what holds now. */
	walk->last = walk->next;
	walk->is_around = false;
	slice_later(recheck);
}

void recheck_forget(struct recheck *recheck, const struct session *session)
{
	struct recheck_walk *walk = &recheck->walk;

	if (walk->next == session)
		walk->next = TAILQ_NEXT(session, entry);
	if (walk->last == session)
		walk->last = TAILQ_NEXT(session, entry);
}
