#include "auth/revocation.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_fetch.h"
#include "auth/revocation_local.h"
#include "auth/revocation_schedule.h"
#include "auth/revocation_seen.h"
#include "auth/revocation_source.h"
#include "auth/revocation_state.h"
#include "config/clock.h"

enum { NS_PER_MS = 1000000 };

struct place;

/* One half of a CRL location: the base or the delta CRL, with its own times and troubles. */
struct half {
	struct place *place;
	bool is_delta;
	const char *url;
	struct event *timer;
	bool is_downloading;
	bool wants_again; /* once that is over */
	bool is_settled;
	int64_t began_ns; /* of the look under way, or the last */
	struct revocation_report report;
	struct error error;          /* what report.error points to */
	struct revocation_seen seen; /* of the bytes that were taken last */
	struct stat file;            /* that was read last */
};

/* One CRL location of one authority. */
struct place {
	struct revocation *revocation;
	bool is_started;
	struct revocation_source source;
	struct half base, delta;
};

struct revocation {
	struct event_base *event_base;
	const struct config_revocation *config;
	struct revocation_callbacks callbacks;
	struct revocation_fetcher *fetcher;
	struct revocation_watch *watch;
	size_t place_count;
	struct place *places;
};

static int64_t now_of(const struct revocation *revocation)
{
	return revocation->callbacks.now != NULL
		       ? revocation->callbacks.now(revocation->callbacks.context)
		       : (int64_t)time(NULL);
}

/* Many proxies must not ask one CA at the same moment. */
static uint64_t random_number(void)
{
	uint64_t random = 0;

	if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
		random = 0;
	return random;
}

static void half_wait(struct half *half, uint64_t wait_ms)
{
	struct timeval after = {.tv_sec = (time_t)(wait_ms / 1000),
		.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

	half->report.next_look =
		now_of(half->place->revocation) + (int64_t)((wait_ms + 999) / 1000);
	evtimer_add(half->timer, &after);
}

static void half_look_now(struct half *half)
{
	static const struct timeval at_once = {0, 0};

	if (half->is_downloading)
		half->wants_again = true;
	else
		evtimer_add(half->timer, &at_once);
}

static void half_report(const struct half *half)
{
	const struct place *place = half->place;
	const struct revocation_callbacks *callbacks = &place->revocation->callbacks;

	callbacks->on_report(callbacks->context, place->source.signers.authority,
		place->source.place, &half->report);
}

/* What was known of the bytes is of no use any more: the next look gets all of them. Which file they
 * were is still known, so that others in its directory may come and go. */
static void half_forget(struct half *half)
{
	memset(&half->seen, 0, sizeof(half->seen));
}

/* The end of every look. cause "" or NULL: it went well. */
static void half_end(struct half *half, const char *cause)
{
	const struct revocation *revocation = half->place->revocation;
	const struct revocation_source *source = &half->place->source;
	int64_t now = now_of(revocation);
	struct revocation_times times = revocation_source_times(source, half->is_delta);
	bool has_failed = cause != NULL && cause[0] != '\0';

	half->is_settled = true;
	half->report.looked_at = now;
	half->report.began_ns = half->began_ns;
	half->report.failures = has_failed ? half->report.failures + 1 : 0;
	error_set(&half->error, "%s%s%s", has_failed ? half->url : "", has_failed ? ": " : "",
		has_failed ? cause : "");
	if (has_failed)
		half_wait(half, revocation_backoff_ms(revocation->config, half->report.failures,
					random_number()));
	else
		half_wait(
			half, revocation_wait_ms(revocation->config, &times, now, random_number()));
	if (half->wants_again) {
		half->wants_again = false;
		half_look_now(half);
	}
	half_report(half);
}

/* A delta says nothing without its base: its look ends with that of the base, and comes after it. */
static void half_fail_without_base(struct half *delta, int64_t began_ns)
{
	delta->began_ns = began_ns;
	half_end(delta, "its base CRL has not been fetched yet");
	evtimer_del(delta->timer);
	delta->report.next_look = 0;
}

static void half_fail(struct half *half, const char *cause)
{
	struct half *delta = &half->place->delta;

	half->report.is_unchanged = false;
	half_forget(half);
	half_end(half, cause);
	if (!half->is_delta && delta->url[0] != '\0' && half->place->source.base_index == NULL)
		half_fail_without_base(delta, half->began_ns);
}

/* Hands the index out; fd is no longer ours. */
static void place_use(const struct place *place, int fd)
{
	const struct revocation_callbacks *callbacks = &place->revocation->callbacks;

	callbacks->on_index(callbacks->context, place->source.signers.authority,
		place->source.place, fd, &place->source.facts);
}

/* What has come of one half may have to be followed by the other. */
static void half_follow(const struct half *half, enum revocation_take take)
{
	struct place *place = half->place;
	int64_t pause_ns = (int64_t)place->revocation->config->retry_ms * NS_PER_MS;
	bool is_new = take == REVOCATION_TAKE_NEW || take == REVOCATION_TAKE_HELD;

	if (!half->is_delta && is_new && place->source.lacks_delta)
		half_look_now(&place->delta);
	/* A delta that always wants a newer base must not ask for it without end. */
	if (half->is_delta && place->source.lacks_base &&
		clock_ns() - place->base.began_ns >= pause_ns)
		half_look_now(&place->base);
}

static void half_succeed(struct half *half, const struct error *note)
{
	const struct place *place = half->place;
	int64_t now = now_of(place->revocation);

	if (revocation_source_is_late(&place->source, now) && !place->source.lacks_delta)
		half_fail(
			half, "the CRL is past its nextUpdate and lives on the authority's grace");
	else
		half_end(half, note->text);
}

/* Of the base alone: deltas are small, and come often. It names its index: where that could not be
 * written, or another was put there since (by a backup, or by the process of the configuration before),
 * the next start gets the whole CRL once more. */
static void half_keep(const struct half *half)
{
	const struct revocation_source *source = &half->place->source;
	char name[REVOCATION_STATE_NAME_SIZE];

	if (half->is_delta || source->directory == -1)
		return;
	revocation_state_name(source->authority, half->url, "seen", name);
	revocation_seen_save(&half->seen, source->base_sum, source->directory, name);
}

static void half_recall(struct half *half)
{
	const struct revocation_source *source = &half->place->source;
	char name[REVOCATION_STATE_NAME_SIZE];

	revocation_state_name(source->authority, half->url, "seen", name);
	revocation_seen_load(&half->seen, source->base_sum, source->directory, name);
}

/* Bytes of a look, other than those that were there already. */
static void half_take(struct half *half, struct span crl)
{
	struct place *place = half->place;
	int64_t now = now_of(place->revocation), since_ns = clock_ns();
	struct revocation_peek peek;
	enum revocation_take take;
	struct error err, note;
	int fd = -1;

	half->report.form = !revocation_crl_peek(crl, &peek) ? REVOCATION_FORM_NONE
			    : peek.is_pem                    ? REVOCATION_FORM_PEM
							     : REVOCATION_FORM_DER;
	take = half->is_delta
		       ? revocation_source_take_delta(&place->source, crl, now, &fd, &note, &err)
		       : revocation_source_take_base(&place->source, crl, now, &fd, &note, &err);
	half->report.compile_ms = (uint32_t)((clock_ns() - since_ns) / NS_PER_MS);
	half->report.is_unchanged = take == REVOCATION_TAKE_UNCHANGED;
	if (take == REVOCATION_TAKE_NEW)
		place_use(place, fd);
	if (take == REVOCATION_TAKE_FAILED) {
		half_fail(half, err.text);
	} else {
		if (note.text[0] == '\0')
			half_keep(half);
		half_succeed(half, &note);
	}
	half_follow(half, take);
}

/* The last CRL is still the newest that there is. */
static void half_stay(struct half *half)
{
	const struct place *place = half->place;
	struct revocation_times times = revocation_source_times(&place->source, half->is_delta);
	struct error none = {""};

	half->report.is_unchanged = true;
	half->report.compile_ms = 0;
	if (now_of(place->revocation) > times.next_update)
		half_fail(half, "there is no newer CRL, and this one is past its nextUpdate");
	else
		half_succeed(half, &none);
}

static void half_come(struct half *half, struct span crl)
{
	/* A delta may fit the base of today that did not fit yesterday's. */
	bool is_settled = !half->is_delta || !half->place->source.lacks_delta;

	if (revocation_seen_knows(&half->seen, crl) && is_settled)
		half_stay(half);
	else
		half_take(half, crl);
}

static void half_on_download(void *context, const struct revocation_response *response)
{
	struct half *half = context;

	half->is_downloading = false;
	if (response->failure != NULL) {
		half_fail(half, response->failure);
		return;
	}
	if (response->is_unchanged) {
		half_stay(half);
		return;
	}
	/* Before the bytes are judged: a failure forgets them again. */
	snprintf(half->seen.etag, sizeof(half->seen.etag), "%s", response->etag);
	snprintf(half->seen.last_modified, sizeof(half->seen.last_modified), "%s",
		response->last_modified);
	half_come(half, response->body);
}

static uint64_t size_limit(const struct half *half)
{
	uint64_t own = half->place->source.authority->crl_size_limit;

	return own != 0 ? own : half->place->revocation->config->size_limit;
}

static uint32_t time_limit_ms(const struct half *half)
{
	uint32_t own = half->place->source.authority->crl_time_limit_ms;

	return own != 0 ? own : half->place->revocation->config->time_limit_ms;
}

static void half_read_file(struct half *half, const char *path)
{
	struct error err;
	uint8_t *data;
	size_t len;

	if (revocation_file_is_same(path, &half->file) && half->seen.has_sum &&
		!(half->is_delta && half->place->source.lacks_delta)) {
		half_stay(half);
		return;
	}
	if (revocation_file_read(path, size_limit(half), &data, &len, &err) == -1) {
		half_fail(half, err.text);
		return;
	}
	half_come(half, span_of(data, len));
	free(data);
}

static void half_look(struct half *half)
{
	const char *path = revocation_file_path(half->url);
	const struct revocation_request request = {.url = half->url,
		.size_limit = size_limit(half),
		.time_limit_ms = time_limit_ms(half),
		.etag = half->seen.etag,
		.last_modified = half->seen.last_modified};
	struct error err;

	if (half->is_downloading)
		return;
	half->began_ns = clock_ns();
	if (path != NULL)
		half_read_file(half, path);
	else if (revocation_fetcher_start(half->place->revocation->fetcher, &request, half, &err) ==
		 -1)
		half_fail(half, err.text);
	else
		half->is_downloading = true;
}

/* With a good index from the last run the first look can wait a little, so that a process that is
 * started again and again is no burden to the CA. */
static void half_wait_first(struct half *half)
{
	const struct revocation *revocation = half->place->revocation;
	struct revocation_times times =
		revocation_source_times(&half->place->source, half->is_delta);
	uint64_t random = random_number();
	uint64_t wait_ms =
		revocation_wait_ms(revocation->config, &times, now_of(revocation), random);
	uint64_t first_ms = revocation_backoff_ms(revocation->config, 1, random);

	half->is_settled = true;
	half_wait(half, first_ms < wait_ms ? first_ms : wait_ms);
	half_report(half);
}

static void place_start(struct place *place)
{
	struct revocation_source *source = &place->source;
	struct error err;
	int fd = -1;

	place->is_started = true;
	switch (revocation_source_load(source, now_of(place->revocation), &fd, &err)) {
	case REVOCATION_TAKE_NEW:
		place_use(place, fd);
		half_recall(&place->base);
		half_wait_first(&place->base);
		if (place->delta.url[0] == '\0')
			return;
		if (source->lacks_delta)
			half_look(&place->delta);
		else
			half_wait_first(&place->delta);
		return;
	case REVOCATION_TAKE_FAILED:
		if (err.text[0] != '\0')
			half_fail(&place->base, err.text);
		break;
	default: break;
	}
	half_look(&place->base);
	/* Otherwise it follows its base. */
	if (place->delta.url[0] != '\0' && source->base_index != NULL)
		half_look(&place->delta);
}

static void half_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct half *half = arg;

	(void)fd;
	(void)what;
	if (half->place->is_started)
		half_look(half);
	else
		place_start(half->place);
}

/* Files of a watched directory that are others than they were. */
static void look_at_files(void *context)
{
	struct revocation *revocation = context;

	for (size_t i = 0; i < revocation->place_count; i++) {
		struct place *place = &revocation->places[i];
		struct half *halves[] = {&place->base, &place->delta};

		for (size_t j = 0; j < 2 && place->is_started; j++) {
			const char *path = revocation_file_path(halves[j]->url);
			struct stat st = halves[j]->file;

			if (j == 1 && place->source.base_index == NULL)
				break;
			if (path != NULL && !revocation_file_is_same(path, &st) && st.st_ino != 0)
				half_look(halves[j]);
		}
	}
}

static int half_init(
	struct half *half, struct place *place, bool is_delta, const char *url, struct error *err)
{
	const struct revocation *revocation = place->revocation;
	const char *path = revocation_file_path(url);

	half->place = place;
	half->is_delta = half->report.is_delta = is_delta;
	half->url = half->report.url = url;
	half->report.error = half->error.text;
	half->timer = evtimer_new(revocation->event_base, half_on_timer, half);
	if (half->timer == NULL)
		return error_set(err, "out of memory");
	if (path != NULL)
		revocation_watch_add(revocation->watch, path);
	return 0;
}

static int place_init(struct place *place, struct revocation *revocation,
	const struct trust_store *store, int directory, size_t authority, size_t number,
	struct error *err)
{
	const struct crl_location *location = &store->authorities[authority].crls[number];

	place->revocation = revocation;
	revocation_source_init(&place->source, store, (int)authority, (int)number, directory);
	if (half_init(&place->base, place, false, location->url, err) == -1 ||
		half_init(&place->delta, place, true, location->delta_url, err) == -1)
		return -1;
	half_look_now(&place->base);
	return 0;
}

static size_t count_places(const struct trust_store *store)
{
	size_t count = 0;

	for (size_t i = 0; i < store->count; i++)
		count += store->authorities[i].crl_count;
	return count;
}

static int make_places(struct revocation *revocation, const struct trust_store *store,
	int directory, struct error *err)
{
	revocation->places = calloc(count_places(store) + 1, sizeof(*revocation->places));
	if (revocation->places == NULL)
		return error_set(err, "out of memory");
	for (size_t i = 0; i < store->count; i++)
		for (size_t j = 0; j < store->authorities[i].crl_count; j++)
			if (place_init(&revocation->places[revocation->place_count++], revocation,
				    store, directory, i, j, err) == -1)
				return -1;
	return 0;
}

struct revocation *revocation_new(struct event_base *base, const struct trust_store *store,
	const struct config_revocation *config, int directory,
	const struct revocation_callbacks *callbacks, struct error *err)
{
	struct revocation *revocation = calloc(1, sizeof(*revocation));

	if (revocation == NULL) {
		error_set(err, "preparing to look for CRLs: out of memory");
		return NULL;
	}
	revocation->event_base = base;
	revocation->config = config;
	revocation->callbacks = *callbacks;
	revocation->fetcher = revocation_fetcher_new(base, config->proxy, half_on_download, err);
	revocation->watch = revocation_watch_new(base, look_at_files, revocation, err);
	if (revocation->fetcher != NULL && revocation->watch != NULL &&
		make_places(revocation, store, directory, err) == 0)
		return revocation;
	revocation_free(revocation);
	return NULL;
}

void revocation_free(struct revocation *revocation)
{
	if (revocation == NULL)
		return;
	revocation_fetcher_free(revocation->fetcher);
	revocation_watch_free(revocation->watch);
	for (size_t i = 0; i < revocation->place_count; i++) {
		struct place *place = &revocation->places[i];

		if (place->base.timer != NULL)
			event_free(place->base.timer);
		if (place->delta.timer != NULL)
			event_free(place->delta.timer);
		revocation_source_clear(&place->source);
	}
	free(revocation->places);
	free(revocation);
}

void revocation_refresh(struct revocation *revocation, int authority)
{
	for (size_t i = 0; i < revocation->place_count; i++) {
		struct place *place = &revocation->places[i];

		if (authority != -1 && authority != place->source.signers.authority)
			continue;
		half_look_now(&place->base);
		if (place->source.base_index != NULL && place->delta.url[0] != '\0')
			half_look_now(&place->delta);
	}
}

bool revocation_is_settled(const struct revocation *revocation)
{
	for (size_t i = 0; i < revocation->place_count; i++) {
		const struct place *place = &revocation->places[i];

		if (!place->base.is_settled ||
			(place->delta.url[0] != '\0' && !place->delta.is_settled))
			return false;
	}
	return true;
}

size_t revocation_file_paths(const struct trust_store *store, const char **paths, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < store->count; i++)
		for (size_t j = 0; j < 2 * store->authorities[i].crl_count; j++) {
			const struct crl_location *location = &store->authorities[i].crls[j / 2];
			const char *path = revocation_file_path(
				j % 2 == 0 ? location->url : location->delta_url);

			if (path == NULL)
				continue;
			if (count < max)
				paths[count] = path;
			count++;
		}
	return count;
}
