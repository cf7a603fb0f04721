#include "auth/revocation.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_fetch.h"
#include "auth/revocation_state.h"

enum {
	MARGIN_MIN = 60,   /* seconds before nextUpdate at which the next CRL is looked for: */
	MARGIN_MAX = 3600, /* a tenth of its validity, within these bounds */
	JITTER_PART = 10,  /* waits are shortened by up to a tenth */
};

/* One authority with a CRL location. */
struct source {
	struct revocation *revocation;
	const struct authority *authority;
	int number;
	struct event *timer;
	bool is_started;
	bool is_downloading;
	bool has_facts; /* of the newest CRL that held: what comes must not be older */
	bool is_in_use; /* and its index was handed out */
	struct revocation_facts facts;
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE];
};

struct revocation {
	struct event_base *base;
	const struct trust_store *store;
	const struct config_revocation *config;
	int directory;
	struct revocation_callbacks callbacks;
	struct revocation_fetcher *fetcher;
	size_t source_count;
	struct source *sources;
};

static void source_report(const struct source *source, const char *where, const char *cause)
{
	const struct revocation_callbacks *callbacks = &source->revocation->callbacks;
	struct error text;

	error_set(&text, "%s: %s", where, cause);
	callbacks->on_failure(callbacks->context, source->number, 0, text.text);
}

/* Many proxies must not ask one CA at the same moment. */
static void source_wait(struct source *source, uint64_t wait_ms)
{
	uint64_t random = 0;
	struct timeval after;

	if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
		random = 0;
	wait_ms -= random % (wait_ms / JITTER_PART + 1);
	after.tv_sec = (time_t)(wait_ms / 1000);
	after.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000);
	evtimer_add(source->timer, &after);
}

/* Until a while before nextUpdate, but no longer than refresh, and not at once again. */
static uint64_t source_refresh_ms(const struct source *source, int64_t now)
{
	const struct config_revocation *config = source->revocation->config;
	int64_t margin = (source->facts.next_update - source->facts.this_update) / 10;
	int64_t wait_ms;

	if (margin < MARGIN_MIN)
		margin = MARGIN_MIN;
	if (margin > MARGIN_MAX)
		margin = MARGIN_MAX;
	wait_ms = (source->facts.next_update - margin - now) * 1000;
	if (wait_ms < config->retry_ms)
		wait_ms = config->retry_ms;
	if (wait_ms > config->refresh_ms)
		wait_ms = config->refresh_ms;
	return (uint64_t)wait_ms;
}

static void source_fail(struct source *source, const char *cause)
{
	source_report(source, source->authority->crls[0].url, cause);
	source_wait(source, source->revocation->config->retry_ms);
}

/* Hands the index out; fd is no longer ours. */
static void source_use(struct source *source, int fd)
{
	const struct revocation_callbacks *callbacks = &source->revocation->callbacks;

	source->is_in_use = true;
	callbacks->on_index(callbacks->context, source->number, 0, fd, &source->facts);
}

/* A CRL to a sealed memory file with its index: the descriptor, or -1 with err filled. */
static int source_compile(struct source *source, struct span crl, int64_t now,
	struct revocation_facts *facts, struct error *err)
{
	const struct revocation_signers signers = {
		.store = source->revocation->store, .authority = source->number};
	int fd = revocation_state_create(err);

	if (fd == -1)
		return -1;
	if (revocation_compile(crl, &signers, source->has_facts ? &source->facts : NULL, now, fd,
		    facts, err) == 0 &&
		revocation_state_seal(fd, err) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What came from the location: into use, unless it is what is in use already. */
static void source_take(struct source *source, struct span crl)
{
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE];
	int directory = source->revocation->directory;
	int64_t now = time(NULL);
	struct revocation_facts facts;
	struct error err;
	int fd = source_compile(source, crl, now, &facts, &err);

	if (fd == -1) {
		source_fail(source, err.text);
		return;
	}
	if (now > facts.next_update) {
		source_fail(source, "the CRL is past its nextUpdate");
		close(fd);
		return;
	}
	if (revocation_state_sum(fd, sum, &err) == -1) {
		source_fail(source, err.text);
		close(fd);
		return;
	}
	if (source->is_in_use && memcmp(sum, source->sum, sizeof(sum)) == 0) {
		close(fd);
		source_wait(source, source_refresh_ms(source, now));
		return;
	}
	source->has_facts = true;
	source->facts = facts;
	memcpy(source->sum, sum, sizeof(sum));
	if (directory != -1 && revocation_state_save(directory, source->authority, fd, &err) == -1)
		source_report(source, "keeping the index for the next start", err.text);
	source_use(source, fd);
	source_wait(source, source_refresh_ms(source, now));
}

static void source_on_download(void *context, struct span body, const char *failure)
{
	struct source *source = context;

	source->is_downloading = false;
	if (failure != NULL)
		source_fail(source, failure);
	else
		source_take(source, body);
}

static void source_read_file(struct source *source, const char *path)
{
	uint8_t *data;
	struct error err;
	size_t len;

	if (revocation_file_read(path, source->revocation->config->size_limit, &data, &len, &err) ==
		-1) {
		source_fail(source, err.text);
		return;
	}
	source_take(source, span_of(data, len));
	free(data);
}

static void source_look(struct source *source)
{
	const char *url = source->authority->crls[0].url;
	const char *path = revocation_file_path(url);
	struct error err;

	if (source->is_downloading)
		return;
	if (path != NULL) {
		source_read_file(source, path);
		return;
	}
	if (revocation_fetcher_start(source->revocation->fetcher, url, source, &err) == -1)
		source_fail(source, err.text);
	else
		source->is_downloading = true;
}

/* The index of the last run, if it is still current. One that is not still tells what is too old. */
static void source_load(struct source *source)
{
	struct error err;
	int fd;

	fd = revocation_state_load(
		source->revocation->directory, source->authority, &source->facts, &err);
	if (fd == -1) {
		if (err.text[0] != '\0')
			source_report(source, "taking over the index of the last run", err.text);
		return;
	}
	source->has_facts = revocation_state_sum(fd, source->sum, &err) == 0;
	if (source->has_facts && time(NULL) <= source->facts.next_update)
		source_use(source, fd);
	else
		close(fd);
}

/* With a good index from the last run the first look can wait a little, so that a process that is
 * started again and again is no burden to the CA. */
static void source_start(struct source *source)
{
	const struct revocation *revocation = source->revocation;
	uint64_t first_ms = revocation->config->refresh_ms / JITTER_PART;
	uint64_t refresh_ms;

	source->is_started = true;
	if (source->authority->crls[0].delta_url[0] != '\0')
		source_report(source, source->authority->crls[0].delta_url,
			"delta CRLs are not merged yet; the base CRL alone decides");
	if (revocation->directory != -1)
		source_load(source);
	if (!source->is_in_use) {
		source_look(source);
		return;
	}
	refresh_ms = source_refresh_ms(source, time(NULL));
	source_wait(source, first_ms < refresh_ms ? first_ms : refresh_ms);
}

static void source_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct source *source = arg;

	(void)fd;
	(void)what;
	if (source->is_started)
		source_look(source);
	else
		source_start(source);
}

static int source_init(struct source *source, struct revocation *revocation,
	const struct trust_store *store, size_t number)
{
	static const struct timeval at_once = {0, 0};

	source->revocation = revocation;
	source->authority = &store->authorities[number];
	source->number = (int)number;
	source->timer = evtimer_new(revocation->base, source_on_timer, source);
	if (source->timer == NULL)
		return -1;
	return evtimer_add(source->timer, &at_once);
}

struct revocation *revocation_new(struct event_base *base, const struct trust_store *store,
	const struct config_revocation *config, int directory,
	const struct revocation_callbacks *callbacks, struct error *err)
{
	struct revocation *revocation = calloc(1, sizeof(*revocation));

	if (revocation == NULL)
		goto fail;
	revocation->base = base;
	revocation->store = store;
	revocation->config = config;
	revocation->directory = directory;
	revocation->callbacks = *callbacks;
	revocation->sources = calloc(store->count + 1, sizeof(*revocation->sources));
	if (revocation->sources == NULL)
		goto fail;
	revocation->fetcher = revocation_fetcher_new(
		base, config->size_limit, config->time_limit_ms, source_on_download, err);
	if (revocation->fetcher == NULL) {
		revocation_free(revocation);
		return NULL;
	}
	for (size_t i = 0; i < store->count; i++) {
		if (store->authorities[i].crls[0].url[0] == '\0')
			continue;
		if (source_init(&revocation->sources[revocation->source_count++], revocation, store,
			    i) == -1)
			goto fail;
	}
	return revocation;
fail:
	revocation_free(revocation);
	error_set(err, "preparing to look for CRLs: out of memory");
	return NULL;
}

void revocation_free(struct revocation *revocation)
{
	if (revocation == NULL)
		return;
	revocation_fetcher_free(revocation->fetcher);
	for (size_t i = 0; i < revocation->source_count; i++)
		if (revocation->sources[i].timer != NULL)
			event_free(revocation->sources[i].timer);
	free(revocation->sources);
	free(revocation);
}

void revocation_refresh(struct revocation *revocation, int authority)
{
	static const struct timeval at_once = {0, 0};

	for (size_t i = 0; i < revocation->source_count; i++) {
		struct source *source = &revocation->sources[i];

		if ((authority == -1 || authority == source->number) && !source->is_downloading)
			evtimer_add(source->timer, &at_once);
	}
}

size_t revocation_file_paths(const struct trust_store *store, const char **paths, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < store->count; i++) {
		const char *path = revocation_file_path(store->authorities[i].crls[0].url);

		if (path == NULL)
			continue;
		if (count < max)
			paths[count] = path;
		count++;
	}
	return count;
}
