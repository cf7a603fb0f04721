#include "proxy/ocsp_client.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ocsp_judge.h"
#include "proxy/log.h"
#include "proxy/peer_channel.h"
#include "proxy/session.h"

enum {
	BUCKETS = 4096,
	AGAIN_S = 5,           /* after no answer a new session asks again at the earliest */
	ANSWER_SPARE_MS = 500, /* the revocation process's own limits come first */
	JITTER_PART = 10,      /* renewals come earlier by up to a tenth */
};

enum asking { ASKING_NOTHING, ASKING_UNSENT, ASKING_SENT };

/* A session among those of its certificate. */
struct ocsp_seat {
	LIST_ENTRY(ocsp_seat) link;
	struct ocsp_entry *entry;
	struct session *session;
};

/* A certificate in use, or that was a while ago. */
struct ocsp_entry {
	LIST_ENTRY(ocsp_entry) bucket;
	TAILQ_ENTRY(ocsp_entry) idle;   /* without sessions and questions: client->idle */
	TAILQ_ENTRY(ocsp_entry) unsent; /* while ASKING_UNSENT */
	LIST_HEAD(, ocsp_seat) seats;   /* of its sessions */
	struct ocsp_client *client;
	struct wheel_timer timer; /* the next question, or the end of waiting for an answer */
	uint8_t leaf_sha256[32];
	uint32_t authority; /* the issuer */
	struct serial serial;
	enum asking asking;
	bool is_idle;
	bool is_announcing; /* and must not go */
	int64_t asked_at;   /* of result */
	int64_t none_until; /* there was no answer */
	struct ocsp_result result;
	char url[]; /* from the certificate; "": none */
};

struct ocsp_client {
	struct worker *worker;
	struct peer_channel channel;
	struct event *writable;
	size_t idle_count;
	TAILQ_HEAD(, ocsp_entry) idle;   /* longest unused first */
	TAILQ_HEAD(, ocsp_entry) unsent; /* the channel was full */
	LIST_HEAD(, ocsp_entry) buckets[BUCKETS];
};

static const struct authority *entry_authority(const struct ocsp_entry *entry)
{
	return &entry->client->worker->child->trust->authorities[entry->authority];
}

/* What is known */

static bool entry_has_answer(const struct ocsp_entry *entry, int64_t now)
{
	return ocsp_judge_counts(
		&entry->result, &entry->client->worker->revocation, entry->authority, now);
}

static enum refusal entry_check(const struct ocsp_entry *entry, int64_t now)
{
	return ocsp_judge(entry_authority(entry), &entry->result,
		&entry->client->worker->revocation, entry->authority, now);
}

/* Table */

static size_t bucket_of(const uint8_t leaf_sha256[32])
{
	uint32_t hash;

	memcpy(&hash, leaf_sha256, sizeof(hash));
	return hash % BUCKETS;
}

static struct ocsp_entry *client_find(struct ocsp_client *client, const uint8_t leaf_sha256[32])
{
	struct ocsp_entry *entry;

	LIST_FOREACH(entry, &client->buckets[bucket_of(leaf_sha256)], bucket) {
		if (memcmp(entry->leaf_sha256, leaf_sha256, sizeof(entry->leaf_sha256)) == 0)
			return entry;
	}
	return NULL;
}

static void entry_wake(struct ocsp_entry *entry)
{
	if (!entry->is_idle)
		return;
	TAILQ_REMOVE(&entry->client->idle, entry, idle);
	entry->client->idle_count--;
	entry->is_idle = false;
}

/* Nobody needs it now. As many as verdicts are remembered, for phones that come back. */
static void entry_rest(struct ocsp_entry *entry)
{
	struct ocsp_client *client = entry->client;

	if (entry->is_idle || entry->is_announcing || !LIST_EMPTY(&entry->seats) ||
		entry->asking != ASKING_NOTHING)
		return;
	wheel_stop(client->worker->wheel, &entry->timer);
	TAILQ_INSERT_TAIL(&client->idle, entry, idle);
	client->idle_count++;
	entry->is_idle = true;
	while (client->idle_count > client->worker->config->trust.verdict_cache) {
		struct ocsp_entry *oldest = TAILQ_FIRST(&client->idle);

		TAILQ_REMOVE(&client->idle, oldest, idle);
		client->idle_count--;
		LIST_REMOVE(oldest, bucket);
		free(oldest);
	}
}

/* Not idle: it has a session or a question soon. NULL when memory runs out. */
static struct ocsp_entry *client_add(struct ocsp_client *client, const struct accepted *accepted)
{
	const char *url = accepted_ocsp_url(accepted);
	struct ocsp_entry *entry = calloc(1, sizeof(*entry) + strlen(url) + 1);

	if (entry == NULL)
		return NULL;
	LIST_INIT(&entry->seats);
	entry->client = client;
	entry->timer.kind = WHEEL_OCSP;
	memcpy(entry->leaf_sha256, accepted->leaf_sha256, sizeof(entry->leaf_sha256));
	entry->authority = (uint32_t)accepted->leaf.authority;
	entry->serial = accepted->leaf.serial;
	memcpy(entry->url, url, strlen(url) + 1);
	LIST_INSERT_HEAD(&client->buckets[bucket_of(entry->leaf_sha256)], entry, bucket);
	return entry;
}

/* Time */

static void entry_set_timer(struct ocsp_entry *entry, int64_t after_ms)
{
	wheel_set(entry->client->worker->wheel, &entry->timer, (uint32_t)after_ms);
}

/* When to ask again, in milliseconds: before the answer ends and before it is too old, but after a
 * while where there was none; and when it ends, to see to it. */
static int64_t entry_wait_ms(const struct ocsp_entry *entry, int64_t now)
{
	const struct config_revocation *config = &entry->client->worker->config->revocation;
	int64_t wait_ms = config->retry_ms;
	int64_t end_ms = (entry->result.next_update + REVOCATION_CLOCK_GRACE + 1 - now) * 1000;

	if (ocsp_result_is_current(&entry->result, now) && now >= entry->none_until) {
		int64_t life_ms = (entry->result.next_update - entry->asked_at) * 1000;
		int64_t age_ms = (now - entry->asked_at) * 1000;
		int64_t due_ms = life_ms - life_ms / 10;

		if (due_ms > config->ocsp_refresh_ms)
			due_ms = config->ocsp_refresh_ms;
		if (due_ms - age_ms > 1000)
			wait_ms = due_ms - age_ms;
		else
			wait_ms = due_ms > 0 ? 1000 : wait_ms;
	}
	wait_ms -= random() % (wait_ms / JITTER_PART + 1);
	return end_ms > 0 && end_ms < wait_ms ? end_ms : wait_ms;
}

static void entry_schedule(struct ocsp_entry *entry)
{
	if (!LIST_EMPTY(&entry->seats) && entry->asking == ASKING_NOTHING)
		entry_set_timer(entry, entry_wait_ms(entry, worker_now(entry->client->worker)));
}

/* Answers */

/* Every session of the certificate sees to what is known now. The entry may be gone afterwards. */
static void entry_announce(struct ocsp_entry *entry)
{
	struct ocsp_seat *seat = LIST_FIRST(&entry->seats);

	entry->is_announcing = true;
	while (seat != NULL) {
		struct ocsp_seat *next = LIST_NEXT(seat, link);

		session_ocsp_changed(seat->session);
		seat = next;
	}
	entry->is_announcing = false;
	entry_rest(entry);
}

/* The question is over. The entry may be gone afterwards. */
static void entry_settle(struct ocsp_entry *entry)
{
	if (entry->asking == ASKING_UNSENT)
		TAILQ_REMOVE(&entry->client->unsent, entry, unsent);
	entry->asking = ASKING_NOTHING;
	entry_schedule(entry);
	entry_announce(entry);
}

static void entry_take_nothing(struct ocsp_entry *entry)
{
	shared_add(&entry->client->worker->counters->ocsp_unanswered, 1);
	entry->none_until = worker_now(entry->client->worker) + AGAIN_S;
	entry_settle(entry);
}

static void entry_log(const struct ocsp_entry *entry)
{
	static const char *const names[OCSP_STATUS_COUNT] = {
		"unavailable", "good", "revoked", "unknown"};
	bool is_good = entry->result.status == OCSP_GOOD;
	char serial[41];
	struct log_line line;

	serial_format(&entry->serial, serial);
	log_begin(&line, is_good ? CONFIG_LOG_DEBUG : CONFIG_LOG_INFO, "ocsp");
	log_text(&line, "status", names[entry->result.status]);
	log_text(&line, "issuer", entry_authority(entry)->issuer);
	log_text(&line, "serial", serial);
	if (entry->result.status == OCSP_REVOKED) {
		log_number(&line, "revoked_at", entry->result.revoked_at);
		log_number(&line, "reason", entry->result.reason);
	}
	log_number(&line, "this_update", entry->result.this_update);
	log_number(&line, "next_update", entry->result.next_update);
	log_end(&line);
}

static void client_take_answer(struct ocsp_client *client, const struct message *message)
{
	struct ocsp_entry *entry = client_find(client, message->u.ocsp_answer.leaf_sha256);
	const struct ocsp_result *result = &message->u.ocsp_answer.result;

	if (entry == NULL)
		return; /* nobody needs it any more */
	/* A new revocation process does not know what the last one had heard. */
	if (result->status == OCSP_UNAVAILABLE || result->this_update < entry->result.this_update) {
		if (entry->asking == ASKING_SENT)
			entry_take_nothing(entry);
		return;
	}
	entry_wake(entry);
	entry->result = *result;
	entry->asked_at = message->u.ocsp_answer.asked_at;
	entry->none_until = 0;
	entry_log(entry);
	entry_settle(entry);
}

/* Questions */

static bool entry_send(struct ocsp_entry *entry)
{
	struct message message = {.type = MESSAGE_OCSP_QUERY,
		.u.ocsp_query = {.authority = entry->authority, .serial = entry->serial}};

	memcpy(message.u.ocsp_query.leaf_sha256, entry->leaf_sha256, sizeof(entry->leaf_sha256));
	memcpy(message.u.ocsp_query.url, entry->url, strlen(entry->url) + 1);
	return peer_channel_send(&entry->client->channel, &message);
}

static void entry_ask(struct ocsp_entry *entry)
{
	struct ocsp_client *client = entry->client;

	if (entry->asking != ASKING_NOTHING || client->channel.fd == -1)
		return;
	shared_add(&client->worker->counters->ocsp_questions, 1);
	entry_wake(entry);
	entry_set_timer(entry, 2 * (int64_t)client->worker->config->revocation.ocsp_time_limit_ms +
				       ANSWER_SPARE_MS);
	if (TAILQ_EMPTY(&client->unsent) && entry_send(entry)) {
		entry->asking = ASKING_SENT;
		return;
	}
	entry->asking = ASKING_UNSENT;
	TAILQ_INSERT_TAIL(&client->unsent, entry, unsent);
	event_add(client->writable, NULL);
}

static void on_entry_time(struct wheel_timer *timer)
{
	struct ocsp_entry *entry =
		(struct ocsp_entry *)((char *)timer - offsetof(struct ocsp_entry, timer));

	if (entry->asking != ASKING_NOTHING || entry->client->channel.fd == -1) {
		entry_take_nothing(entry);
		return;
	}
	entry_ask(entry);
	/* An answer may have ended just now. */
	entry_announce(entry);
}

/* Whether a session that comes now should have a newer answer asked for. */
static bool entry_is_due(const struct ocsp_entry *entry, int64_t now)
{
	int64_t refresh_s = entry->client->worker->config->revocation.ocsp_refresh_ms / 1000;

	if (entry->asking != ASKING_NOTHING || now < entry->none_until)
		return false;
	return !entry_has_answer(entry, now) || now >= entry->asked_at + refresh_s ||
	       now >= entry->result.next_update;
}

/* Channel */

static struct ocsp_entry *bucket_first_asking(struct ocsp_client *client, size_t bucket)
{
	struct ocsp_entry *entry;

	LIST_FOREACH(entry, &client->buckets[bucket], bucket) {
		if (entry->asking != ASKING_NOTHING)
			return entry;
	}
	return NULL;
}

/* The supervisor starts another revocation process and sends us the channel to it. Until then there
 * are no answers, and nobody waits for them. */
static void client_detach(struct ocsp_client *client)
{
	if (client->writable != NULL)
		event_free(client->writable); /* of the same descriptor, so before it is closed */
	client->writable = NULL;
	peer_channel_detach(&client->channel);
	for (size_t i = 0; i < BUCKETS; i++) {
		struct ocsp_entry *entry;

		/* From the start each time: sessions that end take entries with them. */
		while ((entry = bucket_first_asking(client, i)) != NULL)
			entry_take_nothing(entry);
	}
}

static void take(void *owner, const struct message *message)
{
	if (message->type == MESSAGE_OCSP_ANSWER)
		client_take_answer(owner, message);
}

static void gone(void *owner)
{
	log_message(CONFIG_LOG_WARNING, "ocsp", "the revocation process has gone");
	client_detach(owner);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ocsp_client *client = arg;

	(void)fd;
	(void)what;
	while (!TAILQ_EMPTY(&client->unsent)) {
		struct ocsp_entry *entry = TAILQ_FIRST(&client->unsent);

		if (!entry_send(entry)) {
			if (errno == EAGAIN)
				event_add(client->writable, NULL);
			return;
		}
		TAILQ_REMOVE(&client->unsent, entry, unsent);
		entry->asking = ASKING_SENT;
	}
}

void ocsp_client_attach(struct ocsp_client *client, int fd)
{
	client_detach(client);
	client->writable = event_new(client->worker->base, fd, EV_WRITE, on_writable, client);
	if (peer_channel_attach(&client->channel, client->worker->base, fd) == -1 ||
		client->writable == NULL)
		client_detach(client);
}

struct ocsp_client *ocsp_client_new(struct worker *worker)
{
	struct ocsp_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->worker = worker;
	wheel_on(worker->wheel, WHEEL_OCSP, on_entry_time);
	peer_channel_init(&client->channel, client, take, gone);
	TAILQ_INIT(&client->idle);
	TAILQ_INIT(&client->unsent);
	return client;
}

void ocsp_client_free(struct ocsp_client *client)
{
	client_detach(client);
	for (size_t i = 0; i < BUCKETS; i++)
		while (!LIST_EMPTY(&client->buckets[i])) {
			struct ocsp_entry *entry = LIST_FIRST(&client->buckets[i]);

			LIST_REMOVE(entry, bucket);
			wheel_stop(client->worker->wheel, &entry->timer);
			free(entry);
		}
	free(client);
}

/* Sessions */

/* The authority whose responder is asked about the certificate; NULL: nobody is. */
static const struct authority *asked_authority(
	const struct ocsp_client *client, const struct accepted *accepted)
{
	const struct trust_store *trust = client->worker->child->trust;
	int number = accepted_links(accepted).count > 0 ? accepted->leaf.authority : -1;
	const struct authority *authority;

	if (number < 0 || (size_t)number >= trust->count)
		return NULL;
	authority = &trust->authorities[number];
	return ocsp_judge_is_asked(authority, accepted_ocsp_url(accepted)) ? authority : NULL;
}

enum refusal ocsp_client_join(
	struct ocsp_client *client, struct session *session, const struct accepted *accepted)
{
	const struct authority *authority = asked_authority(client, accepted);
	int64_t now = worker_now(client->worker);
	struct ocsp_entry *entry;
	struct ocsp_seat *seat;

	ocsp_client_leave(session);
	if (authority == NULL)
		return REFUSAL_NONE;
	entry = client_find(client, accepted->leaf_sha256);
	if (entry == NULL)
		entry = client_add(client, accepted);
	seat = entry != NULL ? malloc(sizeof(*seat)) : NULL;
	if (seat == NULL)
		return REFUSAL_INTERNAL;
	entry_wake(entry);
	seat->entry = entry;
	seat->session = session;
	LIST_INSERT_HEAD(&entry->seats, seat, link);
	session->ocsp = seat;
	if (entry_is_due(entry, now))
		entry_ask(entry);
	else
		entry_schedule(entry);
	return entry->result.status == OCSP_REVOKED ? entry_check(entry, now) : REFUSAL_NONE;
}

void ocsp_client_leave(struct session *session)
{
	struct ocsp_seat *seat = session->ocsp;
	struct ocsp_entry *entry;

	if (seat == NULL)
		return;
	entry = seat->entry;
	LIST_REMOVE(seat, link);
	session->ocsp = NULL;
	free(seat);
	entry_rest(entry);
}

bool ocsp_client_is_waiting(const struct session *session)
{
	const struct ocsp_entry *entry = session->ocsp != NULL ? session->ocsp->entry : NULL;

	return entry != NULL && entry->asking != ASKING_NOTHING &&
	       entry->result.status != OCSP_REVOKED &&
	       !entry_has_answer(entry, worker_now(entry->client->worker));
}

enum refusal ocsp_client_check(const struct session *session)
{
	struct ocsp_entry *entry = session->ocsp != NULL ? session->ocsp->entry : NULL;
	int64_t now;
	enum refusal refusal;

	if (entry == NULL)
		return REFUSAL_NONE;
	now = worker_now(entry->client->worker);
	refusal = entry_check(entry, now);
	if (refusal != REFUSAL_NONE && entry_is_due(entry, now))
		entry_ask(entry);
	return refusal;
}
