#include "proxy/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "config/clock.h"
#include "proxy/device_client.h"
#include "proxy/exchange_login.h"
#include "proxy/exchange_sleep.h"
#include "proxy/identity_client.h"
#include "proxy/listener.h"
#include "proxy/log.h"
#include "proxy/login_client.h"
#include "proxy/ocsp_client.h"
#include "proxy/policy.h"
#include "proxy/privacy.h"
#include "proxy/sandbox.h"
#include "proxy/session.h"
#include "proxy/timeval.h"
#include "proxy/worker_control.h"
#include "proxy/worker_judge.h"

enum {
	RECHECK_S = 60,   /* at least: clocks are set while phones sleep, directories forget */
	MESSAGES_MAX = 8, /* of the supervisor's in one turn: each may take some 50 µs */
};

int64_t worker_now(const struct worker *worker)
{
	struct timeval now;

	if (event_base_gettimeofday_cached(worker->base, &now) != 0)
		return (int64_t)time(NULL);
	return (int64_t)now.tv_sec;
}

/* What is over */

void worker_bury_soon(struct worker *worker)
{
	event_active(worker->bury_event, EV_TIMEOUT, 0);
}

static void worker_finish_if_drained(struct worker *worker)
{
	if (worker->is_draining && TAILQ_EMPTY(&worker->sessions))
		event_base_loopbreak(worker->base);
}

static void on_bury(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	while (worker->over != NULL) {
		struct exchange *exchange = worker->over;

		worker->over = exchange->next_over;
		exchange_free(exchange);
	}
	exchange_sleep_all(worker);
	while (!TAILQ_EMPTY(&worker->closed))
		session_bury(TAILQ_FIRST(&worker->closed));
	worker_finish_if_drained(worker);
}

/* What was logged */

static void log_later(void *context)
{
	struct worker *worker = context;

	/* After all else that is to be done in this turn. */
	event_active(worker->log_event, EV_TIMEOUT, 0);
}

static void on_log(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	log_flush();
}

/* The world */

/* To the beginning of that second, or RECHECK_S. */
static void worker_set_recheck(struct worker *worker)
{
	struct timeval now, wait = {RECHECK_S, 0};

	gettimeofday(&now, NULL);
	if (worker->next_change <= now.tv_sec)
		wait.tv_sec = 0;
	else if (worker->next_change - now.tv_sec <= RECHECK_S)
		wait = (struct timeval){(time_t)(worker->next_change - now.tv_sec - 1),
			(suseconds_t)(1000000 - now.tv_usec)};
	event_add(worker->recheck_timer, &wait);
}

void worker_expect_change(struct worker *worker, int64_t moment)
{
	if (moment >= worker->next_change)
		return;
	worker->next_change = moment;
	worker_set_recheck(worker);
}

/* What certificates are judged by has: who is in, and who is logged in at the mail server without being in. */
static void world_changed(struct worker *worker, enum recheck_cause cause, int authority,
	const char *name, uint64_t since_us)
{
	recheck_begin(&worker->recheck, cause, authority, name, since_us);
	if (worker->logins != NULL)
		login_table_recheck(worker->logins);
}

/* Each session that stays says anew when its certificate ends. */
static void on_recheck(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	worker->next_change = revocation_set_next_change(&worker->revocation, worker_now(worker));
	worker_set_recheck(worker);
	world_changed(worker, RECHECK_TIME, -1, NULL, clock_us());
	worker_identity_begin(&worker->reidentify);
}

/* Where one authority's CRL is signed by another's key, news about the signer concern people who have
 * nothing else to do with the authority that the news are from. */
static void worker_note_signer(struct worker *worker, const struct revocation_facts *facts)
{
	if (memcmp(facts->signer_key, facts->authority_key, sizeof(facts->signer_key)) != 0)
		worker->has_foreign_signers = true;
}

/* A millisecond lies between two parts, in which phones are served. */
static void worker_tidy_later(struct worker *worker)
{
	static const struct timeval soon = {0, 1000};

	evtimer_add(worker->tidy_timer, &soon);
}

static void on_tidy(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	if (revocation_set_tidy(&worker->revocation))
		worker_tidy_later(worker);
}

static void worker_take_index(struct worker *worker, const struct message *message, int fd)
{
	const struct trust_store *trust = worker->child->trust;
	uint32_t authority = message->u.index.authority;
	uint32_t place = message->u.index.place;
	uint64_t since_us = clock_us();
	struct revocation_index *index;
	struct error err;

	if (fd == -1 || authority >= trust->count || place >= CRL_LOCATION_MAX)
		return;
	index = revocation_index_open(fd, trust->authorities[authority].issuer, &err);
	if (index != NULL)
		worker_note_signer(worker, revocation_index_facts(index));
	if (index == NULL || revocation_set_put(&worker->revocation, (int)authority, (int)place,
				     index, &err) != 0) {
		log_message(CONFIG_LOG_ERROR, "revocation-index", "%s", err.text);
		return;
	}
	worker_judge_anew(worker);
	worker_tidy_later(worker);
	worker_expect_change(
		worker, revocation_set_next_change(&worker->revocation, worker_now(worker)));
	world_changed(worker, RECHECK_CRL, worker->has_foreign_signers ? -1 : (int)authority,
		trust->authorities[authority].issuer, since_us);
}

static void worker_take_users(struct worker *worker, int fd)
{
	uint64_t since_us = clock_us();
	struct error err;
	struct user_index *users = fd != -1 ? user_index_open(fd, &err) : NULL;

	if (users == NULL) {
		/* Those who were out stay out. */
		log_message(CONFIG_LOG_ERROR, "user-index", "%s", fd != -1 ? err.text : "no file");
		return;
	}
	user_index_close(worker->users);
	worker->users = users;
	world_changed(worker, RECHECK_USERS, -1, NULL, since_us);
}

static void worker_take_devices(struct worker *worker, int fd)
{
	uint64_t since_us = clock_us();
	struct error err;
	struct device_index *devices = fd != -1 ? device_index_open(fd, &err) : NULL;

	if (devices == NULL) {
		/* What was held against them stays so. */
		log_message(
			CONFIG_LOG_ERROR, "device-index", "%s", fd != -1 ? err.text : "no file");
		return;
	}
	device_index_close(worker->device_index);
	worker->device_index = devices;
	recheck_begin(&worker->recheck, RECHECK_DEVICES, -1, NULL, since_us);
}

/* The store of a later configuration does without some of our authorities, or has them on other
 * terms: who came in by one of them comes in anew. */
static void worker_take_trust(struct worker *worker, const struct message *message)
{
	uint64_t since_us = clock_us();

	for (size_t i = 0; i < AUTHORITY_MAX / 64; i++)
		worker->withdrawn[i] |= message->u.trust.withdrawn[i];
	worker_judge_anew(worker);
	world_changed(worker, RECHECK_TRUST, -1, NULL, since_us);
}

static void worker_drain(struct worker *worker, uint32_t time_ms)
{
	struct session *session = TAILQ_FIRST(&worker->sessions);

	worker->is_draining = true;
	worker->drain_time_ms = time_ms;
	for (size_t i = 0; i < worker->child->socket_count; i++)
		listener_stop(&worker->listeners[i]);
	while (session != NULL) {
		struct session *next = TAILQ_NEXT(session, entry);

		session_drain(session, time_ms);
		session = next;
	}
	upstream_close(worker->upstream);
	worker_bury_soon(worker); /* there may be no session at all */
}

/* Returns whether fd was taken over. */
static bool worker_take_peer(struct worker *worker, uint32_t role, int fd)
{
	switch (role) {
	case ROLE_IDENTITY: identity_client_attach(worker->identity, fd); return true;
	case ROLE_REVOCATION: ocsp_client_attach(worker->ocsp, fd); return true;
	case ROLE_CONTROL: worker_control_attach(worker, fd); return true;
	default: return false;
	}
}

/* Returns whether fd was taken over. */
static bool worker_take_message(struct worker *worker, const struct message *message, int fd)
{
	switch (message->type) {
	case MESSAGE_INDEX: worker_take_index(worker, message, fd); return false;
	case MESSAGE_DRAIN: worker_drain(worker, message->u.drain.time_ms); return false;
	case MESSAGE_USERS: worker_take_users(worker, fd); return false;
	case MESSAGE_DEVICES: worker_take_devices(worker, fd); return false;
	case MESSAGE_TRUST: worker_take_trust(worker, message); return false;
	case MESSAGE_START: worker->has_started = true; return false;
	case MESSAGE_PEER: return fd != -1 && worker_take_peer(worker, message->u.peer.role, fd);
	case MESSAGE_LOG:
		if (fd != -1)
			log_reopen(fd);
		return fd != -1;
	default: return false;
	}
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	struct message message;
	int passed = -1;
	int result = 1;

	(void)what;
	for (int i = 0; i < MESSAGES_MAX; i++) {
		result = message_receive(fd, &message, &passed);
		if (result != 1)
			break;
		if (!worker_take_message(worker, &message, passed) && passed != -1)
			close(passed);
	}
	if (result == 0 || (result == -1 && errno != EAGAIN && errno != EINTR))
		event_base_loopbreak(worker->base); /* without a supervisor there is no worker */
}

/* Life */

/* Where something is answered to anybody, the handshake cannot ask for more; requests are asked then. */
static bool needs_certificate(const struct config *config, const struct config_listener *listener)
{
	return listener->health_path[0] == '\0' && !config->autodiscover.is_anonymous;
}

static int worker_start_tls(struct worker *worker, struct error *err)
{
	const struct config *config = worker->config;
	STACK_OF(X509_NAME) *names = verifier_ca_names(worker->verifier);
	int status = 0;

	if (names == NULL || worker->tls_servers == NULL)
		return error_set(err, "out of memory");
	for (size_t i = 0; i < config->listener_count && status == 0; i++) {
		worker->tls_servers[i] = tls_server_new(&config->listeners[i], &config->trust,
			needs_certificate(config, &config->listeners[i]), config->deep_sleep, names,
			session_judge, err);
		status = worker->tls_servers[i] != NULL ? 0 : -1;
	}
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	return status;
}

static int worker_allocate(struct worker *worker, struct error *err)
{
	const struct config *config = worker->config;
	unsigned int seed = 0;

	worker->base = event_base_new();
	worker->watcher = worker->base != NULL ? watcher_new(worker->base) : NULL;
	worker->wheel = worker->watcher != NULL ? wheel_new(worker->base) : NULL;
	if (worker->wheel == NULL)
		return error_sys(err, "setting up the loop");
	session_prepare(worker);
	worker->verdicts = verdict_cache_new(config->trust.verdict_cache);
	worker->tls_servers = calloc(config->listener_count, sizeof(*worker->tls_servers));
	worker->listeners = calloc(worker->child->socket_count + 1, sizeof(*worker->listeners));
	worker->sources = source_table_new();
	worker->policy = policy_new(config, NULL, NULL);
	worker->devices = device_table_new(config->devices.cache);
	worker->device_client = device_client_new(worker);
	worker->identity = identity_client_new(worker);
	worker->ocsp = ocsp_client_new(worker);
	if (worker->verdicts == NULL || worker->tls_servers == NULL || worker->listeners == NULL ||
		worker->sources == NULL || worker->devices == NULL ||
		worker->device_client == NULL || worker->policy == NULL ||
		worker->identity == NULL || worker->ocsp == NULL ||
		getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return error_set(err, "out of memory");
	snprintf(worker->id_prefix, sizeof(worker->id_prefix), "%08x", seed);
	srandom(seed);
	return revocation_set_init(&worker->revocation, worker->child->trust, err);
}

/* Logins */

static enum refusal judge_login(void *context, const struct credential *credential)
{
	return worker_judge_credential(context, credential);
}

static void drop_login(void *context, const char *mailbox)
{
	struct worker *worker = context;

	login_client_drop(worker->login_client, mailbox);
}

static void forget_login(void *context, uint32_t login_context)
{
	struct worker *worker = context;

	login_client_forget(worker->login_client, login_context);
}

static int worker_start_logins(struct worker *worker, struct error *err)
{
	const struct config_upstream *upstream = &worker->config->upstream;
	const struct login_table_calls calls = {.judge = judge_login,
		.drop = drop_login,
		.forget = forget_login,
		.context = worker};

	if (!login_is_needed(worker->config))
		return 0;
	worker->logins = login_table_new(worker->base, upstream->login_cache, &calls);
	worker->login_client = login_client_new(worker);
	if (worker->logins == NULL || worker->login_client == NULL)
		return error_set(err, "out of memory");
	if (upstream->login == CONFIG_LOGIN_MINTED)
		login_table_set_needs_identity(worker->logins);
	return 0;
}

static int worker_start_events(struct worker *worker, struct error *err)
{
	if (recheck_init(&worker->recheck, worker->base, &worker->sessions, session_recheck) != 0)
		return error_set(err, "preparing to look at sessions again");
	if (worker_trim_init(&worker->trim, worker->base) != 0)
		return error_set(err, "out of memory");
	if (worker_identity_init(
		    &worker->reidentify, worker->base, &worker->sessions, session_ask_again) != 0)
		return error_set(err, "preparing to ask the directory again");
	worker->supervisor_event = event_new(worker->base, worker->child->supervisor,
		EV_READ | EV_PERSIST, on_supervisor, worker);
	worker->bury_event = event_new(worker->base, -1, 0, on_bury, worker);
	worker->log_event = event_new(worker->base, -1, 0, on_log, worker);
	worker->recheck_timer = evtimer_new(worker->base, on_recheck, worker);
	worker->tidy_timer = evtimer_new(worker->base, on_tidy, worker);
	if (worker->supervisor_event == NULL || worker->bury_event == NULL ||
		worker->log_event == NULL || worker->recheck_timer == NULL ||
		worker->tidy_timer == NULL || event_add(worker->supervisor_event, NULL) != 0)
		return error_set(err, "out of memory");
	worker->next_change = revocation_set_next_change(&worker->revocation, worker_now(worker));
	worker_set_recheck(worker);
	return 0;
}

/* Phones are let in only once the supervisor has handed over all that is needed to judge them. */
static void worker_await_start(struct worker *worker)
{
	while (!worker->has_started && !worker->is_draining && !event_base_got_break(worker->base))
		if (event_base_loop(worker->base, EVLOOP_ONCE) != 0)
			return;
}

static int worker_start(struct worker *worker, struct error *err)
{
	const struct child *child = worker->child;
	const struct message ready = {.type = MESSAGE_READY};

	if (worker_allocate(worker, err) != 0)
		return -1;
	worker->verifier = verifier_new(child->trust, &worker->config->trust, err);
	if (worker->verifier == NULL || worker_start_tls(worker, err) != 0)
		return -1;
	worker->upstream = upstream_new(worker->base, worker->watcher, worker->wheel,
		&worker->config->upstream, worker->config->deep_sleep, worker->counters, err);
	privacy_wipe(false);
	if (worker->upstream == NULL || worker_start_logins(worker, err) != 0 ||
		worker_start_events(worker, err) != 0)
		return -1;
	if (child->has_sandbox && sandbox_enter(child, err) != 0)
		return -1;
	worker_await_start(worker);
	for (size_t i = 0; worker->has_started && i < child->socket_count; i++)
		if (listener_start(&worker->listeners[i], worker, &child->sockets[i], err) != 0)
			return -1;
	if (message_send(child->supervisor, &ready, -1) != 0)
		return error_sys(err, "telling the supervisor");
	return 0;
}

int worker_main(const struct child *child)
{
	struct worker worker = {
		.child = child,
		.control_fd = -1,
		.config = child->config,
		.counters = &child->shared->workers[child->slot],
		.connection_max = child->config->limits.connections / child->config->workers,
	};
	struct error err = {""};

	if (worker.connection_max == 0)
		worker.connection_max = 1;
	TAILQ_INIT(&worker.sessions);
	TAILQ_INIT(&worker.closed);
	signal(SIGPIPE, SIG_IGN);
	if (worker_start(&worker, &err) != 0) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	if (child->log_batch != NULL)
		log_gather(child->log_batch, log_later, &worker);
	event_base_dispatch(worker.base);
	log_flush();
	/* The process ends here: the kernel takes all of it back at once. */
	return 0;
}
