#include "proxy/control_logins.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"

enum { SAMPLE_S = 10, DIRECTORY = LOGIN_KIND_COUNT, WHO_COUNT = LOGIN_KIND_COUNT + 1 };

/* What stood in the counters then. */
struct sample {
	uint64_t at_us;
	uint64_t given[LOGIN_KIND_COUNT], fetched[LOGIN_KIND_COUNT];
};

struct control_logins {
	struct control *control;
	struct event *timer;
	/* A rate is that since the older one: over ten to twenty seconds. */
	struct sample older, newer;
	/* Why they are down, as far as identity has told this process. */
	bool has_fault[WHO_COUNT];
	struct login_fault faults[WHO_COUNT];
};

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct sample sample_now(const struct shared *shared)
{
	struct sample sample = {.at_us = clock_us()};

	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++) {
		sample.given[kind] = load(&shared->logins[kind].given);
		sample.fetched[kind] = load(&shared->logins[kind].fetched);
	}
	return sample;
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct control_logins *logins = arg;

	(void)fd;
	(void)what;
	logins->older = logins->newer;
	logins->newer = sample_now(logins->control->child->shared);
}

int control_logins_start(struct control *control, struct error *err)
{
	static const struct timeval interval = {.tv_sec = SAMPLE_S};
	struct control_logins *logins = calloc(1, sizeof(*logins));

	if (logins == NULL)
		return error_set(err, "watching logins: out of memory");
	control->logins = logins;
	logins->control = control;
	logins->older = logins->newer = sample_now(control->child->shared);
	logins->timer = event_new(control->base, -1, EV_PERSIST, on_time, logins);
	if (logins->timer == NULL || event_add(logins->timer, &interval) == -1)
		return error_set(err, "watching logins: out of memory");
	return 0;
}

void control_logins_take(struct control *control, const struct message *message)
{
	struct control_logins *logins = control->logins;
	unsigned int who = message->u.login_state.kind;

	if (who >= WHO_COUNT)
		return;
	logins->has_fault[who] = message->u.login_state.is_down != 0;
	logins->faults[who] = message->u.login_state.fault;
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* A text of another process that is no UTF-8 is none. */
static void set_text(json_t *object, const char *key, const char *text)
{
	if (text[0] != '\0')
		json_object_set_new(object, key, json_string(text));
}

static void set_state(json_t *object, const struct control_logins *logins, unsigned int who,
	bool is_down, uint64_t since)
{
	json_object_set_new(object, "state", json_string(is_down ? "down" : "up"));
	if (since != 0)
		set_number(object, "since", since);
	if (is_down && logins->has_fault[who]) {
		set_text(object, "reason", logins->faults[who].text);
		set_text(object, "hint", logins->faults[who].hint);
	}
}

static void set_rates(json_t *object, const struct control_logins *logins, unsigned int kind)
{
	const struct sample now = sample_now(logins->control->child->shared);
	double seconds = (double)(now.at_us - logins->older.at_us) / 1e6;

	if (seconds < 1)
		seconds = 1; /* has just begun */
	json_object_set_new(object, "given_per_second",
		json_real((double)(now.given[kind] - logins->older.given[kind]) / seconds));
	json_object_set_new(object, "fetched_per_second",
		json_real((double)(now.fetched[kind] - logins->older.fetched[kind]) / seconds));
}

static json_t *login_status(const struct control_logins *logins, unsigned int kind)
{
	const struct shared_login *shared = &logins->control->child->shared->logins[kind];
	uint64_t fetched = load(&shared->fetched);
	json_t *object = json_object();

	json_object_set_new(object, "login", json_string(login_kind_name(kind)));
	set_state(object, logins, kind, load(&shared->is_down) != 0, load(&shared->since));
#define COUNTER(name, help) set_number(object, #name, load(&shared->name));
	SHARED_LOGIN_COUNTERS(COUNTER)
#undef COUNTER
	set_number(object, "fetch_us", fetched > 0 ? load(&shared->fetched_us) / fetched : 0);
	set_rates(object, logins, kind);
	return object;
}

json_t *control_logins_status(const struct control *control)
{
	json_t *array = json_array();

	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		if (login_kind_is_used(control->child->config, kind))
			json_array_append_new(array, login_status(control->logins, kind));
	return array;
}

json_t *control_directory_status(const struct control *control)
{
	const struct shared *shared = control->child->shared;
	json_t *object;

	if (!directory_may_block(&control->child->config->directory))
		return json_null();
	object = json_object();
	json_object_set_new(object, "backend", json_string("ldap"));
	set_state(object, control->logins, DIRECTORY, load(&shared->directory_is_down) != 0,
		load(&shared->directory_since));
	return object;
}
