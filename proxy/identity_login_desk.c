#include "proxy/identity_login_desk.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/clock.h"
#include "proxy/identity_breaker.h"
#include "proxy/log.h"
#include "proxy/timeval.h"

enum {
	PLACES_MAX =
		256, /* as many realms and services; the configuration and the directory name them */
	PROBE_LOOK_MS = 50 /* beyond the breaker's pause */
};

/* Where logins come from, and for what: one realm's KDCs may be down and another's not, and one endpoint's
 * SPN may be unknown to all of them. */
struct login_place {
	LIST_ENTRY(login_place) link;
	struct login_desk *desk;
	struct breaker breaker;
	struct login_fault fault; /* while it is down, and before */
	unsigned int fetch_count; /* under way */
	char realm[DIRECTORY_REALM_MAX + 1];
	char service[LOGIN_SERVICE_MAX + 1];
	/* While it is down a login is tried in the background, so that nobody has to wait for it, and so
	 * that it is seen at once when all is well again: that of whoever has asked last, as it may have
	 * been one user alone who could not be helped, or else the one that failed. */
	struct event *timer;
	struct login_fetch probe;
	struct login_subject next;
	bool is_probing, has_next;
};

LIST_HEAD(place_list, login_place);

struct login_desk {
	struct event_base *base;
	struct login_desk_terms terms;
	struct helpers *helpers;
	struct place_list places;
	size_t place_count;
	size_t under_way, waiting; /* fetches: all, and those without a helper */
	size_t down_count;         /* places */
	struct login_fault fault;  /* of the last place that failed for good */
	int64_t since;             /* UNIX seconds */
};

static struct login_fetch *fetch_of(struct helper_job *job)
{
	return (struct login_fetch *)((char *)job - offsetof(struct login_fetch, job));
}

/* Places */

static void place_free(struct login_place *place)
{
	LIST_REMOVE(place, link);
	place->desk->place_count--;
	event_free(place->timer);
	free(place);
}

static void on_probe_timer(evutil_socket_t fd, short what, void *arg);

static struct login_place *place_find(
	const struct login_desk *desk, const char *realm, const char *service)
{
	struct login_place *place;

	LIST_FOREACH(place, &desk->places, link)
		if (strcmp(place->realm, realm) == 0 && strcmp(place->service, service) == 0)
			return place;
	return NULL;
}

static bool make_room(struct login_desk *desk)
{
	struct login_place *place;

	if (desk->place_count < PLACES_MAX)
		return true;
	LIST_FOREACH(place, &desk->places, link)
		if (place->fetch_count == 0 && !place->breaker.is_down) {
			place_free(place);
			return true;
		}
	return false;
}

static struct login_place *place_get(
	struct login_desk *desk, const char *realm, const char *service)
{
	struct login_place *place = place_find(desk, realm, service);

	if (place != NULL || !make_room(desk))
		return place;
	place = calloc(1, sizeof(*place));
	if (place == NULL)
		return NULL;
	place->timer = evtimer_new(desk->base, on_probe_timer, place);
	if (place->timer == NULL) {
		free(place);
		return NULL;
	}
	place->desk = desk;
	memcpy(place->realm, realm, strlen(realm) + 1);
	memcpy(place->service, service, strlen(service) + 1);
	LIST_INSERT_HEAD(&desk->places, place, link);
	desk->place_count++;
	return place;
}

/* Up and down */

static void log_place(const struct login_place *place, enum config_log_level level,
	const char *event, const char *text, const char *hint)
{
	struct log_line line;

	log_begin(&line, level, event);
	log_text(&line, "login", login_kind_name(place->desk->terms.kind));
	log_text(&line, "realm", place->realm);
	log_text(&line, "service", place->service);
	log_text(&line, "message", text);
	log_text(&line, "hint", hint);
	log_end(&line);
}

static void place_probe_later(struct login_place *place)
{
	int64_t wait_ms = place->breaker.down_until_ms - place->desk->terms.clock();
	struct timeval wait = timeval_of_ms((uint32_t)(wait_ms > 0 ? wait_ms : 0) + PROBE_LOOK_MS);

	evtimer_add(place->timer, &wait);
}

static void desk_change(struct login_desk *desk, bool is_down)
{
	bool was_down = desk->down_count > 0;
	struct shared_login *counts = desk->terms.counts;

	if (is_down)
		desk->down_count++;
	else
		desk->down_count--;
	if (was_down == (desk->down_count > 0))
		return;
	desk->since = time(NULL);
	atomic_store(&counts->since, (uint64_t)desk->since);
	atomic_store(&counts->is_down, desk->down_count > 0);
	desk->terms.changed(desk->terms.context, desk->terms.kind);
}

static void place_note(
	struct login_place *place, const struct login_fetch *fetch, enum breaker_outcome outcome)
{
	struct login_desk *desk = place->desk;
	enum breaker_news news =
		breaker_end(&place->breaker, fetch->is_probe, outcome, desk->terms.clock());

	switch (news) {
	case BREAKER_SAME: break;
	case BREAKER_FAILS:
		log_place(place, CONFIG_LOG_WARNING, "login-failed", place->fault.text,
			place->fault.hint);
		break;
	case BREAKER_DOWN:
		desk->fault = place->fault;
		desk_change(desk, true);
		log_place(place, CONFIG_LOG_ERROR, "login-down", place->fault.text,
			place->fault.hint);
		break;
	case BREAKER_UP:
		desk_change(desk, false);
		evtimer_del(place->timer);
		log_place(place, CONFIG_LOG_INFO, "login-up", "logins can be had again", "");
		break;
	}
	if (place->breaker.is_down && !place->is_probing) {
		if (news == BREAKER_DOWN) {
			place->probe.subject = fetch->subject;
			place->has_next = false;
		}
		if (!evtimer_pending(place->timer, NULL))
			place_probe_later(place);
	}
}

/* Fetches */

static void count_waiting(struct login_desk *desk, size_t waiting)
{
	desk->waiting = waiting;
	atomic_store(&desk->terms.counts->waiting, waiting);
}

static void fetch_end(struct login_fetch *fetch, enum login_status status,
	const struct login_fault *fault, const struct message *answer, int fd,
	enum breaker_outcome outcome)
{
	struct login_place *place = fetch->place;
	struct login_desk *desk = fetch->desk;

	uint64_t took_us = clock_us() - fetch->begun_us;

	event_free(fetch->timer);
	fetch->timer = NULL;
	desk->under_way--;
	if (outcome == BREAKER_NOT_ASKED)
		count_waiting(desk, desk->waiting - 1);
	if (status == LOGIN_GIVEN) {
		atomic_fetch_add(&desk->terms.counts->fetched, 1);
		atomic_fetch_add(&desk->terms.counts->fetched_us, took_us);
	}
	place->fetch_count--;
	if (outcome == BREAKER_FAILED || outcome == BREAKER_OVERRUN)
		place->fault = *fault;
	place_note(place, fetch, outcome);
	fetch->done(fetch, status, fault, answer, fd, took_us);
}

/* Without an answer. */
static void fetch_fail(
	struct login_fetch *fetch, enum breaker_outcome outcome, const char *text, const char *hint)
{
	struct login_fault fault;

	login_fault_set(&fault, LOGIN_UNAVAILABLE, hint, "%s", text);
	fetch_end(fetch, LOGIN_UNAVAILABLE, &fault, NULL, -1, outcome);
}

static void ask(void *context, struct helper_job *job, struct message *question, int *fd)
{
	struct login_desk *desk = context;
	const struct login_fetch *fetch = fetch_of(job);
	struct timeval limit = timeval_of_ms(desk->terms.limit_ms);

	(void)fd;
	question->u.login_job.kind = desk->terms.kind;
	question->u.login_job.subject = fetch->subject;
	memcpy(question->u.login_job.service, fetch->service, sizeof(fetch->service));
	/* Whatever it has waited for a helper is not the server's fault. */
	evtimer_add(fetch->timer, &limit);
	count_waiting(desk, desk->waiting - 1);
}

static void answered(void *context, struct helper_job *job, const struct message *answer, int fd)
{
	static const enum breaker_outcome outcomes[LOGIN_STATUS_COUNT] = {
		[LOGIN_GIVEN] = BREAKER_ANSWERED,
		[LOGIN_REFUSED] = BREAKER_ANSWERED,
		[LOGIN_MISCONFIGURED] = BREAKER_FAILED,
		[LOGIN_UNAVAILABLE] = BREAKER_FAILED,
	};
	struct login_fetch *fetch = fetch_of(job);
	enum login_status status;

	(void)context;
	if (answer == NULL) {
		fetch_fail(fetch, BREAKER_FAILED, "the process that was getting the login has died",
			"the log says how it ended");
		return;
	}
	status = (enum login_status)answer->u.login_done.status;
	fetch_end(fetch, status, &answer->u.login_done.fault, status == LOGIN_GIVEN ? answer : NULL,
		status == LOGIN_GIVEN ? fd : -1, outcomes[status]);
	if (status != LOGIN_GIVEN && fd != -1)
		close(fd);
}

static void on_fetch_timer(evutil_socket_t fd, short what, void *arg)
{
	struct login_fetch *fetch = arg;
	bool was_asked = fetch->job.helper != NULL;

	(void)fd;
	(void)what;
	helpers_cancel(fetch->desk->helpers, &fetch->job);
	if (was_asked)
		fetch_fail(fetch, BREAKER_OVERRUN, "there was no answer in time",
			"see whether the servers of the realm, or the token endpoint, can be "
			"reached from here");
	else
		fetch_fail(fetch, BREAKER_NOT_ASKED,
			"all processes that get logins were busy for too long",
			"more of them help where the servers are slow: upstream/login-helpers");
}

/* 0, or -1 when memory runs out. */
static int fetch_begin(
	struct login_desk *desk, struct login_place *place, struct login_fetch *fetch)
{
	struct timeval limit = timeval_of_ms(desk->terms.limit_ms);

	fetch->desk = desk;
	fetch->place = place;
	fetch->timer = evtimer_new(desk->base, on_fetch_timer, fetch);
	if (fetch->timer == NULL)
		return -1;
	evtimer_add(fetch->timer, &limit);
	fetch->begun_us = clock_us();
	desk->under_way++;
	place->fetch_count++;
	count_waiting(desk, desk->waiting + 1);
	helpers_ask(desk->helpers, &fetch->job);
	return 0;
}

/* Probes */

static void on_probed(struct login_fetch *fetch, enum login_status status,
	const struct login_fault *fault, const struct message *answer, int fd, uint64_t took_us)
{
	struct login_place *place = fetch->place;

	(void)status;
	(void)fault;
	(void)answer;
	(void)took_us;
	place->is_probing = false;
	if (fd != -1)
		close(fd);
	if (place->breaker.is_down)
		place_probe_later(place);
}

static void on_probe_timer(evutil_socket_t fd, short what, void *arg)
{
	struct login_place *place = arg;

	(void)fd;
	(void)what;
	if (place->has_next)
		place->probe.subject = place->next;
	place->has_next = false;
	place->probe.done = on_probed;
	memcpy(place->probe.service, place->service, sizeof(place->service));
	place->is_probing = true;
	place->probe.is_probe = breaker_begin(&place->breaker);
	if (fetch_begin(place->desk, place, &place->probe) == 0)
		return;
	place->is_probing = false;
	breaker_end(&place->breaker, true, BREAKER_NOT_ASKED, place->desk->terms.clock());
	place_probe_later(place);
}

/* The desk */

struct login_desk *login_desk_new(
	struct event_base *base, const struct login_desk_terms *terms, int spawner)
{
	static const struct helper_calls calls = {.ask = ask, .answered = answered};
	struct login_desk *desk = calloc(1, sizeof(*desk));

	if (desk == NULL)
		return NULL;
	desk->base = base;
	desk->terms = *terms;
	desk->since = time(NULL);
	LIST_INIT(&desk->places);
	desk->helpers = helpers_new(base, terms->work, spawner, &calls, desk);
	if (desk->helpers != NULL)
		return desk;
	free(desk);
	return NULL;
}

void login_desk_free(struct login_desk *desk)
{
	struct login_place *place, *next;

	if (desk == NULL)
		return;
	helpers_free(desk->helpers);
	for (place = LIST_FIRST(&desk->places); place != NULL; place = next) {
		next = LIST_NEXT(place, link);
		place_free(place);
	}
	free(desk);
}

bool login_desk_is_down(struct login_desk *desk, const struct login_subject *subject,
	const char *service, struct login_fault *fault)
{
	struct login_place *place = place_find(desk, subject->realm, service);

	if (place == NULL || !place->breaker.is_down)
		return false;
	place->next = *subject;
	place->has_next = true;
	*fault = place->fault;
	return true;
}

bool login_desk_state(const struct login_desk *desk, int64_t *since, struct login_fault *fault)
{
	*since = desk->since;
	*fault = desk->fault;
	return desk->down_count > 0;
}

int login_desk_fetch(struct login_desk *desk, struct login_fetch *fetch, struct login_fault *fault)
{
	struct login_place *place;

	if (login_desk_is_down(desk, &fetch->subject, fetch->service, fault))
		return -1;
	place = place_get(desk, fetch->subject.realm, fetch->service);
	fetch->is_probe = false;
	if (place != NULL && desk->waiting < desk->terms.queue &&
		fetch_begin(desk, place, fetch) == 0)
		return 0;
	login_fault_set(fault, LOGIN_UNAVAILABLE,
		"more can wait with a larger upstream/login-queue",
		"too many logins are being got already");
	return -1;
}
