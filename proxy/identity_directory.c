#include "proxy/identity_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/directory_cache.h"
#include "config/clock.h"
#include "proxy/identity_breaker.h"
#include "proxy/identity_helpers.h"
#include "proxy/log.h"
#include "proxy/timeval.h"

enum {
	LOOKUPS_MAX = 1024,         /* under way at the same time */
	KNOWN_VALID_MS = 10 * 1000, /* what is used while it is down is looked at again so soon */
	SETTLE_MS = 100,            /* a file that changes often in a moment is read once */
	LOOK_MS = 30 * 1000, /* files are looked at so often where nobody says that they changed */
};

TAILQ_HEAD(waiter_list, directory_waiter);

/* One question that helpers have been asked. */
struct lookup {
	TAILQ_ENTRY(lookup) entry;
	struct helper_job job;
	struct directory_question question;
	struct identity_directory *directory;
	struct waiter_list waiters;
	struct event *timer;
	bool is_probe; /* the one that tries a directory that was down */
};

TAILQ_HEAD(lookup_list, lookup);

struct identity_directory {
	const struct config_directory *config;
	struct directory *backend; /* NULL where helpers ask */
	struct event *watch, *settle, *look;
	const struct identity_directory_calls *calls;
	void *context;
	struct event_base *base;
	struct shared *shared;
	int64_t since; /* UNIX seconds: up or down for so long */
	char why[DIRECTORY_ENTRY_MAX + 1];
	/* with helpers */
	struct helper_work work;
	int spawner;
	struct helpers *helpers;
	struct directory_cache *cache;
	struct lookup_list lookups;
	size_t lookup_count;
	struct breaker breaker;
};

static int64_t valid_for(int64_t time_ms)
{
	return (int64_t)time(NULL) + (time_ms > 0 ? time_ms / 1000 : 0);
}

/* In the helpers */

static int prepare_helpers(void *context, struct error *err)
{
	struct identity_directory *directory = context;

	directory->backend = directory_new(directory->config, err);
	return directory->backend != NULL ? 0 : -1;
}

static void serve(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	const struct identity_directory *directory = context;

	(void)question_fd;
	(void)answer_fd;
	directory_ask(
		directory->backend, &question->u.directory_question, &answer->u.directory_answer);
}

/* Start-up */

static int fork_helpers(
	struct identity_directory *directory, const struct child *child, struct error *err)
{
	const struct config_directory *config = directory->config;

	directory->work = (struct helper_work){
		.part = PART_DIRECTORY,
		.name = "eas-directory",
		.count = config->helpers,
		.limit_ms = config->connect_time_ms + config->answer_time_ms,
		.questions = {MESSAGE_DIRECTORY_QUESTION},
		.answer = MESSAGE_DIRECTORY_ANSWER,
		.context = directory,
		.prepare = prepare_helpers,
		.serve = serve,
	};
	directory->spawner = helpers_fork(child, &directory->work, err);
	return directory->spawner != -1 ? 0 : -1;
}

struct identity_directory *identity_directory_open(const struct child *child, struct error *err)
{
	const struct config_directory *config = &child->config->directory;
	struct identity_directory *directory = calloc(1, sizeof(*directory));
	int result;

	if (directory == NULL) {
		error_sys(err, "opening the directory");
		return NULL;
	}
	directory->config = config;
	directory->shared = child->shared;
	TAILQ_INIT(&directory->lookups);
	result = directory_may_block(config) ? fork_helpers(directory, child, err)
					     : prepare_helpers(directory, err);
	if (result == 0)
		return directory;
	free(directory);
	return NULL;
}

/* The file */

static void refresh(struct identity_directory *directory)
{
	struct error err;
	int result = directory_refresh(directory->backend, &err);

	if (result == 1) {
		log_message(CONFIG_LOG_INFO, "directory-changed", "%s was read anew",
			directory->config->file);
		directory->calls->changed(directory->context);
	} else if (result == -1) {
		log_message(CONFIG_LOG_ERROR, "directory-faulty",
			"%s; what the file said before goes on", err.text);
	}
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	refresh(arg);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval settle = timeval_of_ms(SETTLE_MS);
	struct identity_directory *directory = arg;

	(void)fd;
	(void)what;
	if (!evtimer_pending(directory->settle, NULL))
		evtimer_add(directory->settle, &settle);
}

static int start_file(struct identity_directory *directory)
{
	const struct timeval look = timeval_of_ms(LOOK_MS);
	int fd = directory_watch_fd(directory->backend);

	if (fd == -1)
		return 0;
	/* By edges: what has happened is read together with the file, a moment later. */
	directory->watch =
		event_new(directory->base, fd, EV_READ | EV_PERSIST | EV_ET, on_watch, directory);
	directory->settle = evtimer_new(directory->base, on_settled, directory);
	directory->look = event_new(directory->base, -1, EV_PERSIST, on_settled, directory);
	if (directory->watch == NULL || directory->settle == NULL || directory->look == NULL)
		return -1;
	return event_add(directory->watch, NULL) == 0 && event_add(directory->look, &look) == 0
		       ? 0
		       : -1;
}

/* Up and down */

static void note_state(struct identity_directory *directory, bool is_down, const char *why)
{
	directory->since = time(NULL);
	snprintf(directory->why, sizeof(directory->why), "%s", why);
	atomic_store(&directory->shared->directory_is_down, is_down);
	atomic_store(&directory->shared->directory_since, (uint64_t)directory->since);
}

static void note_news(struct identity_directory *directory, enum breaker_news news, const char *why)
{
	switch (news) {
	case BREAKER_SAME: break;
	case BREAKER_FAILS: log_message(CONFIG_LOG_WARNING, "directory-failed", "%s", why); break;
	case BREAKER_DOWN:
		log_message(CONFIG_LOG_ERROR, "directory-down", "%s", why);
		note_state(directory, true, why);
		directory->calls->state_changed(directory->context);
		break;
	case BREAKER_UP:
		log_message(CONFIG_LOG_INFO, "directory-up", "the directory answers again");
		note_state(directory, false, "");
		directory->calls->state_changed(directory->context);
		break;
	}
}

/* What is known */

static int64_t time_of(
	const struct identity_directory *directory, const struct directory_answer *answer)
{
	return answer->status == DIRECTORY_FOUND ? directory->config->cache_time_ms
						 : directory->config->negative_cache_time_ms;
}

static bool find_known(struct identity_directory *directory,
	const struct directory_question *question, struct directory_answer *answer,
	int64_t *valid_until)
{
	const struct directory_known *known = directory_cache_find(directory->cache, question);
	int64_t left;

	if (known == NULL)
		return false;
	left = known->asked_at_ms + time_of(directory, &known->answer) - clock_ms();
	if (left <= 0)
		return false;
	*answer = known->answer;
	*valid_until = valid_for(left);
	return true;
}

/* What is said while the directory is down. */
static void answer_without(struct identity_directory *directory,
	const struct directory_question *question, const char *why, struct directory_answer *answer,
	int64_t *valid_until)
{
	const struct config_directory *config = directory->config;
	const struct directory_known *known = directory_cache_find(directory->cache, question);
	int64_t left =
		known == NULL ? 0
			      : known->asked_at_ms + (int64_t)config->use_known_for_ms - clock_ms();

	if (config->when_down == CONFIG_WHEN_DOWN_USE_KNOWN && left > 0 &&
		known->answer.status == DIRECTORY_FOUND) {
		*answer = known->answer;
		*valid_until = valid_for(left < KNOWN_VALID_MS ? left : KNOWN_VALID_MS);
		return;
	}
	directory_answer_set(answer, DIRECTORY_UNAVAILABLE, "", "%s", why);
	*valid_until = valid_for(0);
}

/* Lookups */

static void lookup_end(struct lookup *lookup, const struct directory_answer *answer, bool was_asked)
{
	struct identity_directory *directory = lookup->directory;
	struct directory_answer said = *answer;
	int64_t valid_until = valid_for(time_of(directory, answer));
	enum breaker_outcome outcome = BREAKER_ANSWERED;
	struct directory_waiter *waiter;

	TAILQ_REMOVE(&directory->lookups, lookup, entry);
	directory->lookup_count--;
	if (answer->status == DIRECTORY_UNAVAILABLE)
		outcome = was_asked ? BREAKER_FAILED : BREAKER_NOT_ASKED;
	note_news(directory,
		breaker_end(&directory->breaker, lookup->is_probe, outcome, clock_ms()),
		answer->entry);
	if (outcome == BREAKER_ANSWERED)
		directory_cache_put(directory->cache, &lookup->question, answer, clock_ms());
	else
		answer_without(directory, &lookup->question, answer->entry, &said, &valid_until);
	/* Whoever is told may ask the next question at once. */
	while ((waiter = TAILQ_FIRST(&lookup->waiters)) != NULL) {
		TAILQ_REMOVE(&lookup->waiters, waiter, entry);
		waiter->answered(waiter, &said, valid_until);
	}
	event_free(lookup->timer);
	free(lookup);
}

static struct lookup *lookup_of(struct helper_job *job)
{
	return (struct lookup *)((char *)job - offsetof(struct lookup, job));
}

static void ask_helper(void *context, struct helper_job *job, struct message *question, int *fd)
{
	(void)context;
	(void)fd;
	question->u.directory_question = lookup_of(job)->question;
}

static void on_helper_answered(
	void *context, struct helper_job *job, const struct message *answer, int fd)
{
	struct directory_answer lost;

	(void)context;
	(void)fd; /* this answer never has one */
	directory_answer_set(
		&lost, DIRECTORY_UNAVAILABLE, "", "the process that asked the directory has died");
	lookup_end(lookup_of(job), answer != NULL ? &answer->u.directory_answer : &lost, true);
}

static void on_lookup_timer(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *lookup = arg;
	bool was_asked = lookup->job.helper != NULL;
	struct directory_answer late;

	(void)fd;
	(void)what;
	helpers_cancel(lookup->directory->helpers, &lookup->job);
	directory_answer_set(&late, DIRECTORY_UNAVAILABLE, "", "%s",
		was_asked ? "the directory did not answer in time"
			  : "all helpers of the directory are busy");
	lookup_end(lookup, &late, was_asked);
}

static struct lookup *lookup_find(
	const struct identity_directory *directory, const struct directory_question *question)
{
	struct lookup *lookup;

	TAILQ_FOREACH(lookup, &directory->lookups, entry)
		if (lookup->question.kind == question->kind &&
			strcmp(lookup->question.value, question->value) == 0)
			return lookup;
	return NULL;
}

static struct lookup *lookup_new(
	struct identity_directory *directory, const struct directory_question *question)
{
	const struct config_directory *config = directory->config;
	struct timeval limit = timeval_of_ms(config->connect_time_ms + config->answer_time_ms);
	struct lookup *lookup;

	if (directory->lookup_count == LOOKUPS_MAX)
		return NULL;
	lookup = calloc(1, sizeof(*lookup));
	if (lookup == NULL)
		return NULL;
	lookup->directory = directory;
	lookup->question = *question;
	TAILQ_INIT(&lookup->waiters);
	lookup->timer = evtimer_new(directory->base, on_lookup_timer, lookup);
	if (lookup->timer == NULL || evtimer_add(lookup->timer, &limit) == -1) {
		free(lookup);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&directory->lookups, lookup, entry);
	directory->lookup_count++;
	lookup->is_probe = breaker_begin(&directory->breaker);
	helpers_ask(directory->helpers, &lookup->job);
	return lookup;
}

int identity_directory_start(struct identity_directory *directory, struct event_base *base,
	const struct identity_directory_calls *calls, void *context)
{
	static const struct helper_calls helper_calls = {
		.ask = ask_helper, .answered = on_helper_answered};

	directory->base = base;
	directory->calls = calls;
	directory->context = context;
	note_state(directory, false, "");
	if (directory->backend != NULL)
		return start_file(directory);
	directory->cache = directory_cache_new(directory->config->cache_entries);
	if (directory->cache == NULL)
		return -1;
	directory->helpers =
		helpers_new(base, &directory->work, directory->spawner, &helper_calls, directory);
	return directory->helpers != NULL ? 0 : -1;
}

bool identity_directory_is_down(
	const struct identity_directory *directory, int64_t *since, const char **why)
{
	*since = directory->since;
	*why = directory->why;
	return directory->breaker.is_down;
}

int identity_directory_ask(struct identity_directory *directory,
	const struct directory_question *question, struct directory_waiter *waiter,
	struct directory_answer *answer, int64_t *valid_until)
{
	struct lookup *lookup;

	if (directory->backend != NULL) {
		directory_ask(directory->backend, question, answer);
		*valid_until = INT64_MAX; /* it says when it changes */
		return 1;
	}
	if (find_known(directory, question, answer, valid_until))
		return 1;
	lookup = lookup_find(directory, question);
	if (lookup == NULL && breaker_is_resting(&directory->breaker, clock_ms())) {
		answer_without(directory, question, "the directory is down", answer, valid_until);
		return 1;
	}
	if (lookup == NULL)
		lookup = lookup_new(directory, question);
	if (lookup == NULL) {
		answer_without(directory, question,
			"too many questions to the directory are under way", answer, valid_until);
		return 1;
	}
	TAILQ_INSERT_TAIL(&lookup->waiters, waiter, entry);
	return 0;
}
