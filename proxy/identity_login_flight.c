/*
 * Logins that are being got from helpers, each for all who wait for it, or ahead of time.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/clock.h"
#include "proxy/identity_login_room.h"
#include "proxy/timeval.h"

enum {
	KEEP_MS = 30 * 1000,     /* secrets, see identity_login.h */
	LIFE_MAX_S = 30 * 86400, /* beyond it a login is renewed all the same */
	RENEW_PARTS = 5,
	RENEW_AT = 4, /* renewed at four fifths of its life */
};

static struct login_flight *flight_of(struct login_fetch *fetch)
{
	return (struct login_flight *)((char *)fetch - offsetof(struct login_flight, fetch));
}

static struct login_request *flight_next(struct login_flight *flight)
{
	struct login_request *request = TAILQ_FIRST(&flight->waiting);

	if (request == NULL)
		return NULL;
	TAILQ_REMOVE(&flight->waiting, request, entry);
	request->fetch_us = flight->fetch_us;
	return request;
}

/* Whoever waits gets none. */
static void flight_fail(
	struct login_flight *flight, enum login_status status, const struct login_fault *fault)
{
	struct login_request *request;

	flight->entry->flight = NULL;
	while ((request = flight_next(flight)) != NULL)
		login_request_refuse(request, status, fault);
	free(flight);
}

static void note_have(const struct login_flight *flight)
{
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;
	int64_t life_s;

	entry->got_at = login->clock->now();
	entry->got_at_ms = login->clock->ms();
	life_s = flight->valid_until - entry->got_at;
	if (life_s > LIFE_MAX_S)
		life_s = LIFE_MAX_S;
	entry->renew_at_ms = entry->got_at_ms + life_s * 1000 / RENEW_PARTS * RENEW_AT;
	if (flight->is_renewal)
		atomic_fetch_add(&login_counts(login, entry->kind)->renewed, 1);
}

/* The ticket is in the wallet, or is not. */
static void on_put(struct wallet_job *job, const struct message_login_done *answer)
{
	struct login_flight *flight =
		(struct login_flight *)((char *)job - offsetof(struct login_flight, put));
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;
	struct login_request *request;
	struct login_fault fault;

	if (flight->is_void) {
		wallet_drop(login->wallet, entry->number);
		login_fault_set(&fault, LOGIN_UNAVAILABLE, NULL,
			"the login was dropped while it was being got");
		flight_fail(flight, LOGIN_UNAVAILABLE, &fault);
		return;
	}
	entry->flight = NULL;
	if (answer != NULL && answer->status == LOGIN_GIVEN) {
		login_entry_have(login->cache, entry, flight->valid_until);
		note_have(flight);
		while ((request = flight_next(flight)) != NULL)
			login_request_token(request, entry);
	} else {
		if (answer != NULL)
			fault = answer->fault;
		else
			login_fault_set(&fault, LOGIN_UNAVAILABLE, "the log says how it ended",
				"the process that keeps the tickets has died");
		login_entry_forget(login->cache, entry);
		/* The entry may be gone after the first of them. */
		while ((request = flight_next(flight)) != NULL) {
			request->number = 0;
			login_request_retry(request, &fault);
		}
	}
	login_count_cached(login);
	free(flight);
}

static void wipe_later(struct identity_login *login)
{
	int64_t due = login_cache_wipe(login->cache, login->clock->ms());
	int64_t wait_ms = due == INT64_MAX ? 0 : due - login->clock->ms();
	struct timeval wait = timeval_of_ms((uint32_t)(wait_ms > 0 ? wait_ms : 1));

	if (due != INT64_MAX)
		evtimer_add(login->wipe_timer, &wait);
}

void login_on_wipe_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	wipe_later(arg);
	login_count_cached(arg);
}

/* The secret is in the answer: all who wait have the same. */
static void flight_share(struct login_flight *flight, const struct message_login_done *answer)
{
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;
	struct span secret = span_of(answer->secret, answer->secret_len);
	struct login_request *request;

	if (entry->kind != LOGIN_ASSERTION) {
		login_entry_keep(login->cache, entry, flight->valid_until, secret,
			login->clock->ms() + KEEP_MS);
		note_have(flight);
		if (!evtimer_pending(login->wipe_timer, NULL))
			wipe_later(login);
	}
	entry->flight = NULL;
	while ((request = flight_next(flight)) != NULL)
		login_request_give(request, flight->valid_until, 0, secret);
	login_count_cached(login);
	free(flight);
}

static void flight_given(
	struct login_flight *flight, const struct message_login_done *answer, int fd)
{
	struct login_fault fault;

	flight->valid_until = answer->valid_until;
	if (flight->entry->kind != LOGIN_KERBEROS) {
		if (fd != -1)
			close(fd);
		flight_share(flight, answer);
		return;
	}
	flight->put.done = on_put;
	if (fd != -1 && wallet_put(flight->login->wallet, &flight->put, flight->entry->number,
				flight->valid_until, fd) == 0)
		return;
	login_fault_set(&fault, LOGIN_UNAVAILABLE, NULL, "the ticket has got lost on its way");
	flight_fail(flight, LOGIN_UNAVAILABLE, &fault);
}

static void flight_refused(struct login_flight *flight, const struct login_fault *fault)
{
	struct identity_login *login = flight->login;
	struct login_entry *entry = flight->entry;

	login_log_refused(login, entry->kind, &flight->fetch.subject, fault);
	/* Also where an older login would be good for a while: the user may not have one any more. */
	login_entry_deny(login->cache, entry, fault);
	entry->got_at = login->clock->now();
	entry->got_at_ms = login->clock->ms();
	entry->denied_until_ms = entry->got_at_ms + login->config->upstream.login_failed_ms;
	login_count_cached(login);
	flight_fail(flight, LOGIN_REFUSED, fault);
}

static void on_fetched(struct login_fetch *fetch, enum login_status status,
	const struct login_fault *fault, const struct message *answer, int fd, uint64_t took_us)
{
	struct login_flight *flight = flight_of(fetch);
	struct login_fault dropped;

	flight->fetch_us = (uint32_t)took_us;
	if (flight->is_void) {
		if (fd != -1)
			close(fd);
		login_fault_set(&dropped, LOGIN_UNAVAILABLE, NULL,
			"the login was dropped while it was being got");
		flight_fail(flight, LOGIN_UNAVAILABLE, &dropped);
		return;
	}
	switch (status) {
	case LOGIN_GIVEN: flight_given(flight, &answer->u.login_done, fd); break;
	case LOGIN_REFUSED: flight_refused(flight, fault); break;
	default:
		flight->entry->renew_at_ms = flight->login->clock->ms() + LOGIN_RENEW_AGAIN_MS;
		flight_fail(flight, status, fault);
		break;
	}
}

/* 0, or -1 with fault filled: the entry has no flight. */
int login_flight_begin(struct identity_login *login, struct login_entry *entry,
	const struct login_subject *subject, struct login_fault *fault)
{
	struct login_flight *flight = calloc(1, sizeof(*flight));

	if (flight == NULL) {
		login_fault_set(fault, LOGIN_UNAVAILABLE, NULL, "memory has run out");
		return -1;
	}
	flight->login = login;
	flight->entry = entry;
	flight->is_renewal = entry->known == LOGIN_HAVE;
	flight->begun_at = login->clock->now();
	TAILQ_INIT(&flight->waiting);
	flight->fetch.subject = *subject;
	flight->fetch.done = on_fetched;
	memcpy(flight->fetch.service, entry->service, strlen(entry->service) + 1);
	if (login_desk_fetch(login->desks[entry->kind], &flight->fetch, fault) == -1) {
		free(flight);
		return -1;
	}
	entry->flight = flight;
	return 0;
}
