#include "auth/ocsp_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "auth/revocation_fetch.h"
#include "config/clock.h"

enum {
	CERTIFICATES_MAX = 65536, /* remembered; about 250 bytes each, with what waits */
	BUCKETS = 16384,
	RESPONDERS_MAX = 64,
	HOST_MAX = 255,
	FLIGHTS_MAX = 128,         /* questions on the wire, all responders together */
	RESPONDER_FLIGHTS_MAX = 8, /* so a silent one keeps no other waiting */
	RESPONDER_QUEUE_MAX = 4096,
	NEGATIVE_S = 5,  /* no answer is taken for no answer for so long */
	BREAK_AFTER = 3, /* failures in a row, after which a responder is left alone */
	BREAK_S = 10,    /* for so long */
	FRESH_PART = 8,  /* of 10: younger than that part of its time is not asked again */
};

enum phase { PHASE_IDLE, PHASE_QUEUED, PHASE_ASKED };

/* Who waits for an answer. */
struct waiter {
	SLIST_ENTRY(waiter) link;
	void *asker;
	uint8_t leaf_sha256[32];
};

/* One certificate, and what is known of it. */
struct certificate {
	LIST_ENTRY(certificate) bucket;
	TAILQ_ENTRY(certificate)
	entry; /* idle: engine->idle, longest unused first; queued:
					   responder->queue */
	SLIST_HEAD(, waiter) waiters;
	struct ocsp_engine *engine;
	struct responder *responder;  /* while queued or asked */
	char *url;                    /* while queued or asked */
	struct ocsp_request *request; /* while asked */
	uint32_t authority;
	enum phase phase;
	bool is_posted; /* while asked: not by GET */
	struct serial serial;
	int64_t asked_at;     /* of result */
	int64_t failed_until; /* a question has just failed */
	int64_t queued_at_ms;
	struct ocsp_result result;
};

/* A host that answers, by the URL up to its path. */
struct responder {
	char host[HOST_MAX + 1]; /* "": free */
	struct ocsp_engine *engine;
	struct event *timer; /* for the first in the queue */
	TAILQ_HEAD(, certificate) queue;
	unsigned int queue_len, flights;
	unsigned int failures; /* in a row */
	int64_t broken_until;
	int64_t used_at;
	bool is_reported;
	bool is_posted_to; /* GET has failed: not every responder knows it */
};

struct ocsp_engine {
	struct event_base *base;
	const struct trust_store *store;
	const struct config_revocation *config;
	ocsp_engine_done *done;
	ocsp_engine_report *report;
	void *report_context;
	struct revocation_fetcher *fetcher;
	unsigned int flights;
	size_t certificate_count;
	size_t next_responder; /* whose turn it is when a flight is over */
	TAILQ_HEAD(, certificate) idle;
	LIST_HEAD(, certificate) buckets[BUCKETS];
	struct responder responders[RESPONDERS_MAX];
};

/* Certificates */

/* FNV-1a. Serial numbers are the CA's choice, not the phone's. */
static size_t bucket_of(uint32_t authority, const struct serial *serial)
{
	uint32_t hash = 2166136261u ^ authority;

	for (size_t i = 0; i < sizeof(serial->octets); i++)
		hash = (hash ^ serial->octets[i]) * 16777619u;
	return hash % BUCKETS;
}

static void certificate_free(struct certificate *certificate)
{
	while (!SLIST_EMPTY(&certificate->waiters)) {
		struct waiter *waiter = SLIST_FIRST(&certificate->waiters);

		SLIST_REMOVE_HEAD(&certificate->waiters, link);
		free(waiter);
	}
	free(certificate->url);
	free(certificate->request);
	free(certificate);
}

/* The one unused for longest, if any is idle. */
static void engine_evict(struct ocsp_engine *engine)
{
	struct certificate *oldest = TAILQ_FIRST(&engine->idle);

	if (oldest == NULL)
		return;
	TAILQ_REMOVE(&engine->idle, oldest, entry);
	LIST_REMOVE(oldest, bucket);
	engine->certificate_count--;
	certificate_free(oldest);
}

/* NULL when memory runs out, or all that there is room for are being asked about. */
static struct certificate *engine_find_or_add(
	struct ocsp_engine *engine, uint32_t authority, const struct serial *serial)
{
	size_t bucket = bucket_of(authority, serial);
	struct certificate *found;

	LIST_FOREACH(found, &engine->buckets[bucket], bucket) {
		if (found->authority == authority &&
			memcmp(&found->serial, serial, sizeof(*serial)) == 0)
			return found;
	}
	if (engine->certificate_count >= CERTIFICATES_MAX)
		engine_evict(engine);
	if (engine->certificate_count >= CERTIFICATES_MAX)
		return NULL;
	found = calloc(1, sizeof(*found));
	if (found == NULL)
		return NULL;
	SLIST_INIT(&found->waiters);
	found->engine = engine;
	found->authority = authority;
	found->serial = *serial;
	LIST_INSERT_HEAD(&engine->buckets[bucket], found, bucket);
	TAILQ_INSERT_TAIL(&engine->idle, found, entry);
	engine->certificate_count++;
	return found;
}

/* Young enough not to be asked about again. */
static bool certificate_is_fresh(const struct certificate *certificate, int64_t now)
{
	int64_t refresh_s = certificate->engine->config->ocsp_refresh_ms / 1000;
	int64_t life_s = certificate->result.next_update - certificate->asked_at;
	int64_t time_s = refresh_s < life_s ? refresh_s : life_s;

	return ocsp_result_is_current(&certificate->result, now) && now >= certificate->asked_at &&
	       (now - certificate->asked_at) * 10 < time_s * FRESH_PART;
}

static int certificate_add_waiter(
	struct certificate *certificate, void *asker, const uint8_t leaf_sha256[32])
{
	struct waiter *waiter;

	SLIST_FOREACH(waiter, &certificate->waiters, link) {
		if (waiter->asker == asker && memcmp(waiter->leaf_sha256, leaf_sha256, 32) == 0)
			return 0;
	}
	waiter = malloc(sizeof(*waiter));
	if (waiter == NULL)
		return -1;
	waiter->asker = asker;
	memcpy(waiter->leaf_sha256, leaf_sha256, 32);
	SLIST_INSERT_HEAD(&certificate->waiters, waiter, link);
	return 0;
}

/* What is known, if it is still good, else nothing. A revocation does not end with its answer: else it
 * would be enough to keep us from the responder. */
static void certificate_tell(
	const struct certificate *certificate, void *asker, const uint8_t leaf_sha256[32])
{
	static const struct ocsp_result none;
	bool is_known = certificate->result.status == OCSP_REVOKED ||
			ocsp_result_is_current(&certificate->result, (int64_t)time(NULL));

	certificate->engine->done(asker, leaf_sha256, is_known ? &certificate->result : &none,
		is_known ? certificate->asked_at : 0);
}

/* The question is over, well or not. */
static void certificate_settle(struct certificate *certificate)
{
	certificate->phase = PHASE_IDLE;
	certificate->responder = NULL;
	free(certificate->url);
	certificate->url = NULL;
	free(certificate->request);
	certificate->request = NULL;
	TAILQ_INSERT_TAIL(&certificate->engine->idle, certificate, entry);
	while (!SLIST_EMPTY(&certificate->waiters)) {
		struct waiter *waiter = SLIST_FIRST(&certificate->waiters);

		SLIST_REMOVE_HEAD(&certificate->waiters, link);
		certificate_tell(certificate, waiter->asker, waiter->leaf_sha256);
		free(waiter);
	}
}

/* Responders */

/* "http://host:port" of a URL. */
static size_t host_len(const char *url)
{
	return 7 + strcspn(url + 7, "/?#");
}

/* The one of that URL, or a place for it: a free one, or that of the one unused for longest. NULL: all
 * are in use. */
static struct responder *engine_find_responder(struct ocsp_engine *engine, const char *url)
{
	struct responder *best = NULL;
	size_t len = host_len(url);

	if (len > HOST_MAX)
		return NULL;
	for (size_t i = 0; i < RESPONDERS_MAX; i++) {
		struct responder *responder = &engine->responders[i];

		if (strlen(responder->host) == len && memcmp(responder->host, url, len) == 0)
			return responder;
		if (responder->flights == 0 && responder->queue_len == 0 &&
			(best == NULL || responder->used_at < best->used_at))
			best = responder;
	}
	if (best == NULL)
		return NULL;
	memcpy(best->host, url, len);
	best->host[len] = '\0';
	best->failures = 0;
	best->broken_until = 0;
	best->is_reported = false;
	best->is_posted_to = false;
	return best;
}

static void responder_report(struct responder *responder, const char *text)
{
	struct ocsp_engine *engine = responder->engine;

	if (responder->is_reported == (text != NULL))
		return;
	responder->is_reported = text != NULL;
	engine->report(engine->report_context, responder->host, text);
}

static void responder_unqueue(struct certificate *certificate)
{
	TAILQ_REMOVE(&certificate->responder->queue, certificate, entry);
	certificate->responder->queue_len--;
}

/* Whoever waits hears at once what would only cost time otherwise. */
static void responder_fail_queue(struct responder *responder)
{
	while (!TAILQ_EMPTY(&responder->queue)) {
		struct certificate *certificate = TAILQ_FIRST(&responder->queue);

		responder_unqueue(certificate);
		certificate_settle(certificate);
	}
}

/* Broken, or on trial: one question says whether it answers again. */
static bool responder_takes_questions(const struct responder *responder, int64_t now)
{
	if (responder->failures < BREAK_AFTER)
		return responder->flights < RESPONDER_FLIGHTS_MAX;
	return now >= responder->broken_until && responder->flights == 0;
}

static void responder_watch_queue(struct responder *responder)
{
	struct certificate *first = TAILQ_FIRST(&responder->queue);
	int64_t left_ms;
	struct timeval after;

	if (first == NULL) {
		evtimer_del(responder->timer);
		return;
	}
	left_ms = first->queued_at_ms + responder->engine->config->ocsp_time_limit_ms - clock_ms();
	if (left_ms < 0)
		left_ms = 0;
	after.tv_sec = (time_t)(left_ms / 1000);
	after.tv_usec = (suseconds_t)(left_ms % 1000 * 1000);
	evtimer_add(responder->timer, &after);
}

static void on_queue_timer(evutil_socket_t fd, short what, void *arg)
{
	struct responder *responder = arg;
	int64_t limit_ms = responder->engine->config->ocsp_time_limit_ms;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	while (!TAILQ_EMPTY(&responder->queue)) {
		struct certificate *first = TAILQ_FIRST(&responder->queue);

		if (first->queued_at_ms + limit_ms > now)
			break;
		responder_unqueue(first);
		certificate_settle(first);
	}
	responder_watch_queue(responder);
}

/* Flights */

static int send_question(struct certificate *certificate, struct error *err)
{
	struct ocsp_engine *engine = certificate->engine;
	X509 *issuer = engine->store->authorities[certificate->authority].certificate;
	struct revocation_request request = {.url = certificate->url,
		.size_limit = OCSP_RESPONSE_MAX,
		.time_limit_ms = engine->config->ocsp_time_limit_ms};
	char url[256];

	certificate->request = malloc(sizeof(*certificate->request));
	if (certificate->request == NULL)
		return error_set(err, "out of memory");
	if (ocsp_request_make(certificate->request, issuer, &certificate->serial,
		    engine->config->ocsp_nonce, err) == -1)
		return -1;
	certificate->is_posted = certificate->responder->is_posted_to ||
				 !ocsp_request_url(certificate->request, certificate->url, url);
	if (certificate->is_posted) {
		request.media_type = "application/ocsp-request";
		request.question = span_of(certificate->request->der, certificate->request->len);
	} else {
		request.url = url;
	}
	return revocation_fetcher_start(engine->fetcher, &request, certificate, err);
}

static void fly(struct certificate *certificate)
{
	struct responder *responder = certificate->responder;
	struct error err;

	responder_unqueue(certificate);
	if (send_question(certificate, &err) == -1) {
		certificate->failed_until = (int64_t)time(NULL) + NEGATIVE_S;
		responder_report(responder, err.text);
		certificate_settle(certificate);
		return;
	}
	certificate->phase = PHASE_ASKED;
	responder->flights++;
	certificate->engine->flights++;
}

/* Sends what may be sent. */
static void responder_pump(struct responder *responder)
{
	int64_t now = (int64_t)time(NULL);

	while (!TAILQ_EMPTY(&responder->queue) && responder->engine->flights < FLIGHTS_MAX &&
		responder_takes_questions(responder, now))
		fly(TAILQ_FIRST(&responder->queue));
	responder_watch_queue(responder);
}

/* The same for all, each first in its turn. */
static void engine_pump(struct ocsp_engine *engine)
{
	for (size_t i = 0; i < RESPONDERS_MAX; i++)
		responder_pump(&engine->responders[(engine->next_responder + i) % RESPONDERS_MAX]);
	engine->next_responder = (engine->next_responder + 1) % RESPONDERS_MAX;
}

static void responder_failed(struct responder *responder, int64_t now)
{
	responder->failures++;
	if (responder->failures < BREAK_AFTER)
		return;
	responder->broken_until = now + BREAK_S;
	responder_fail_queue(responder);
}

/* Bytes came from the responder: an answer, or something that only calls itself one. The first is
 * remembered unless it is older than what we have. */
static void take_answer(struct certificate *certificate, struct span body, int64_t now)
{
	struct ocsp_engine *engine = certificate->engine;
	X509 *issuer = engine->store->authorities[certificate->authority].certificate;
	struct ocsp_result result;
	struct error err;

	if (ocsp_response_check(body, certificate->request, issuer, &certificate->serial, now,
		    &result, &err) == -1) {
		certificate->failed_until = now + NEGATIVE_S;
		responder_report(certificate->responder, err.text);
		return;
	}
	if (result.this_update < certificate->result.this_update) {
		certificate->failed_until = now + NEGATIVE_S;
		responder_report(certificate->responder,
			"it gave an answer that is older than the one before");
		return;
	}
	responder_report(certificate->responder, NULL);
	certificate->failed_until = 0;
	certificate->result = result;
	certificate->asked_at = now;
}

static void on_fetched(void *context, const struct revocation_response *response)
{
	struct certificate *certificate = context;
	struct responder *responder = certificate->responder;
	struct ocsp_engine *engine = certificate->engine;
	int64_t now = (int64_t)time(NULL);

	engine->flights--;
	responder->flights--;
	/* What counts against the responder is that it cannot be talked to. An answer that is worth
	 * nothing may have to do with the certificate alone, whose holder must not be able to have
	 * the responder left alone. */
	if (response->failure != NULL) {
		certificate->failed_until = now + NEGATIVE_S;
		responder_report(responder, response->failure);
		responder->is_posted_to = !certificate->is_posted;
		responder_failed(responder, now);
	} else {
		responder->failures = 0;
		take_answer(certificate, response->body, now);
	}
	certificate_settle(certificate);
	engine_pump(engine);
}

/* Asking */

static const char *question_url(
	const struct ocsp_engine *engine, const struct ocsp_question *question)
{
	const char *configured = engine->store->authorities[question->authority].ocsp_url;

	return configured != NULL && configured[0] != '\0' ? configured : question->url;
}

/* 0: it will be asked. */
static int enqueue(struct certificate *certificate, const char *url)
{
	struct ocsp_engine *engine = certificate->engine;
	struct responder *responder = engine_find_responder(engine, url);
	int64_t now = (int64_t)time(NULL);

	if (responder == NULL || responder->queue_len >= RESPONDER_QUEUE_MAX)
		return -1;
	responder->used_at = now;
	if (responder->failures >= BREAK_AFTER && !responder_takes_questions(responder, now))
		return -1;
	certificate->url = strdup(url);
	if (certificate->url == NULL)
		return -1;
	TAILQ_REMOVE(&engine->idle, certificate, entry);
	certificate->phase = PHASE_QUEUED;
	certificate->responder = responder;
	certificate->queued_at_ms = clock_ms();
	TAILQ_INSERT_TAIL(&responder->queue, certificate, entry);
	responder->queue_len++;
	return 0;
}

void ocsp_engine_ask(struct ocsp_engine *engine, const struct ocsp_question *question, void *asker,
	const uint8_t leaf_sha256[32])
{
	static const struct ocsp_result none;
	struct certificate *certificate = NULL;
	int64_t now = (int64_t)time(NULL);
	const char *url = "";

	/* The question comes from another process. */
	if (question->authority < engine->store->count &&
		engine->store->authorities[question->authority].ocsp != AUTHORITY_OCSP_OFF)
		url = question_url(engine, question);
	if (ocsp_url_is_usable(url))
		certificate = engine_find_or_add(engine, question->authority, &question->serial);
	if (certificate == NULL) {
		engine->done(asker, leaf_sha256, &none, 0);
		return;
	}
	if (certificate->phase == PHASE_IDLE) {
		TAILQ_REMOVE(&engine->idle, certificate, entry);
		TAILQ_INSERT_TAIL(&engine->idle, certificate, entry);
		if (certificate_is_fresh(certificate, now) || now < certificate->failed_until ||
			enqueue(certificate, url) == -1) {
			certificate_tell(certificate, asker, leaf_sha256);
			return;
		}
	}
	if (certificate_add_waiter(certificate, asker, leaf_sha256) == -1)
		certificate_tell(certificate, asker, leaf_sha256);
	if (certificate->phase == PHASE_QUEUED)
		responder_pump(certificate->responder);
}

void ocsp_engine_forget(struct ocsp_engine *engine, const void *asker)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct certificate *certificate;

		LIST_FOREACH(certificate, &engine->buckets[i], bucket) {
			struct waiter *waiter = SLIST_FIRST(&certificate->waiters);

			while (waiter != NULL) {
				struct waiter *next = SLIST_NEXT(waiter, link);

				if (waiter->asker == asker) {
					SLIST_REMOVE(&certificate->waiters, waiter, waiter, link);
					free(waiter);
				}
				waiter = next;
			}
		}
	}
}

/* Life */

struct ocsp_engine *ocsp_engine_new(struct event_base *base, const struct trust_store *store,
	const struct config_revocation *config, ocsp_engine_done *done, ocsp_engine_report *report,
	void *report_context, struct error *err)
{
	struct ocsp_engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		goto fail;
	engine->base = base;
	engine->store = store;
	engine->config = config;
	engine->done = done;
	engine->report = report;
	engine->report_context = report_context;
	TAILQ_INIT(&engine->idle);
	for (size_t i = 0; i < RESPONDERS_MAX; i++) {
		engine->responders[i].engine = engine;
		TAILQ_INIT(&engine->responders[i].queue);
		engine->responders[i].timer =
			evtimer_new(base, on_queue_timer, &engine->responders[i]);
		if (engine->responders[i].timer == NULL)
			goto fail;
	}
	engine->fetcher = revocation_fetcher_new(base, config->proxy, on_fetched, err);
	if (engine->fetcher != NULL)
		return engine;
	ocsp_engine_free(engine);
	return NULL;
fail:
	ocsp_engine_free(engine);
	error_set(err, "preparing to ask OCSP responders: out of memory");
	return NULL;
}

void ocsp_engine_free(struct ocsp_engine *engine)
{
	if (engine == NULL)
		return;
	revocation_fetcher_free(engine->fetcher);
	for (size_t i = 0; i < BUCKETS; i++)
		while (!LIST_EMPTY(&engine->buckets[i])) {
			struct certificate *certificate = LIST_FIRST(&engine->buckets[i]);

			LIST_REMOVE(certificate, bucket);
			certificate_free(certificate);
		}
	for (size_t i = 0; i < RESPONDERS_MAX; i++)
		if (engine->responders[i].timer != NULL)
			event_free(engine->responders[i].timer);
	free(engine);
}
