#include "proxy/exchange_sleep.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/slab.h"
#include "proxy/exchange_login.h"
#include "proxy/zero_run.h"

struct sleeper {
	struct device_entry *device; /* pinned; NULL: the request named none */
	struct link *link;           /* whose owner is the session; NULL: it has just failed */
	uint16_t exchange_len;       /* of bytes, the rest is the facts of the request's document */
	uint16_t facts_len;          /* 0: it has none */
	uint16_t endpoint;           /* its number, upstream_index() */
	uint8_t ends_poll;           /* enum poll_end, the one field that changes in sleep */
	uint8_t bytes[];
};

/* An exchange without what is elsewhere, and what it takes to put that back. */
struct packed {
	struct exchange exchange;
	uint32_t number;      /* of the id, behind the worker's prefix */
	bool user_is_mailbox; /* the device's */
	uint64_t capitals; /* bit n: letter n of the device's id is one; the table has it lowered */
};

enum { PACKED_MAX = ZERO_RUN_MAX(sizeof(struct packed)) + EAS_BODY_PACKED_MAX };

_Static_assert(PACKED_MAX <= 2 * WORKER_BUFFER, "the worker's scratch has room for one");
_Static_assert(ZERO_RUN_MAX(sizeof(struct packed)) <= UINT16_MAX, "its length is a number");
_Static_assert(EAS_DEVICE_ID_MAX <= 64, "there is a bit for each letter");

static void on_nothing(void *owner)
{
	(void)owner;
}

static void on_failed(void *owner, enum refusal refusal, const char *reason)
{
	struct session *session = owner;
	struct exchange *exchange;

	session->sleeper->link = NULL;
	exchange = exchange_wake(session);
	if (exchange != NULL)
		exchange_link_calls.failed(exchange, refusal, reason);
}

static void on_readable(void *owner)
{
	struct exchange *exchange = exchange_wake(owner);

	if (exchange != NULL)
		exchange_link_readable(exchange);
}

/* The link of one that sleeps has its session for an owner. */
static const struct link_calls sleeping_calls = {
	.ready = on_nothing, .failed = on_failed, .readable = on_readable, .drained = on_nothing};

/* May it sleep? */

static bool awaits_answer(const struct exchange *exchange)
{
	return exchange->is_poll && exchange->stage == EXCHANGE_SENT &&
	       exchange->answer == EXCHANGE_NO_ANSWER && exchange->room == ROOM_UPSTREAM &&
	       exchange->method == HTTP_POST && exchange->refusal == REFUSAL_NONE &&
	       exchange->link != NULL;
}

/* Its request is not needed any more: nobody may want it sent again, or copied. */
static bool is_done_with_request(const struct exchange *exchange)
{
	const struct eas_body *facts = exchange->request_facts;

	return exchange->is_read && exchange->is_released && !exchange->waits &&
	       !exchange->is_held && !exchange->waits_for_device && exchange->login == NULL &&
	       exchange->kept == NULL && exchange->fields == NULL && exchange->traced == NULL &&
	       exchange->policy.document == NULL && exchange->policy.user_agent == NULL &&
	       spool_len(&exchange->spool) == 0 && (facts == NULL || facts->work == NULL);
}

static bool has_no_answer_yet(const struct exchange *exchange)
{
	return exchange->answer_head == NULL && exchange->answer_xml == NULL &&
	       exchange->answer_facts == NULL && exchange->gunzip == NULL &&
	       exchange->filter == NULL;
}

static bool is_quiet(const struct exchange *exchange)
{
	const struct session *session = exchange->session;

	return session->state == SESSION_ANSWER && session->queue == NULL &&
	       link_is_ready(exchange->link) && link_queued(exchange->link) == 0;
}

static bool may_sleep(const struct exchange *exchange)
{
	return awaits_answer(exchange) && is_done_with_request(exchange) &&
	       has_no_answer_yet(exchange) && is_quiet(exchange);
}

void exchange_drowse(struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;

	if (exchange->is_drowsy || !awaits_answer(exchange))
		return;
	exchange->is_drowsy = true;
	LIST_INSERT_HEAD(&worker->drowsy, exchange, drowsy_link);
	worker_bury_soon(worker);
}

void exchange_drowse_no_more(struct exchange *exchange)
{
	if (!exchange->is_drowsy)
		return;
	exchange->is_drowsy = false;
	LIST_REMOVE(exchange, drowsy_link);
}

/* What is elsewhere */

static void id_take_out(struct packed *packed, const struct worker *worker)
{
	char *id = packed->exchange.id;
	size_t prefix_len = strlen(worker->id_prefix);
	unsigned long number;
	char again[EXCHANGE_ID_SIZE];

	number = strncmp(id, worker->id_prefix, prefix_len) == 0
			 ? strtoul(id + prefix_len, NULL, 16)
			 : 0;
	snprintf(again, sizeof(again), "%s%08x", worker->id_prefix, (unsigned int)number);
	if (strcmp(again, id) != 0)
		return; /* none of this worker's: it is packed as it is */
	packed->number = (uint32_t)number;
	memset(id, 0, sizeof(packed->exchange.id));
}

static void id_put_back(struct packed *packed, const struct worker *worker)
{
	if (packed->exchange.id[0] == '\0')
		snprintf(packed->exchange.id, sizeof(packed->exchange.id), "%s%08x",
			worker->id_prefix, (unsigned int)packed->number);
}

/* The device's entry has its id, but for the case of its letters. */
static void device_take_out(struct packed *packed, const struct device_entry *device)
{
	char *id = packed->exchange.request.device_id;
	char *user = packed->exchange.request.user;

	for (size_t i = 0; i < EAS_DEVICE_ID_MAX && id[i] != '\0'; i++)
		packed->capitals |= (uint64_t)(id[i] >= 'A' && id[i] <= 'Z') << i;
	memset(id, 0, sizeof(packed->exchange.request.device_id));
	packed->user_is_mailbox =
		user[0] != '\0' && strcmp(user, device_entry_mailbox(device)) == 0;
	if (packed->user_is_mailbox)
		memset(user, 0, sizeof(packed->exchange.request.user));
}

static void device_put_back(struct packed *packed, const struct device_entry *device)
{
	struct eas_request *request = &packed->exchange.request;

	snprintf(request->device_id, sizeof(request->device_id), "%s", device_entry_id(device));
	for (size_t i = 0; i < EAS_DEVICE_ID_MAX; i++)
		if ((packed->capitals >> i & 1) != 0)
			request->device_id[i] = (char)(request->device_id[i] - 'a' + 'A');
	if (packed->user_is_mailbox)
		snprintf(request->user, sizeof(request->user), "%s", device_entry_mailbox(device));
}

/* Packs it into bytes; returns how many. */
static size_t pack_exchange(const struct exchange *exchange, uint8_t *bytes)
{
	struct packed packed = {.exchange = *exchange};
	struct exchange *copy = &packed.exchange;

	id_take_out(&packed, exchange->session->worker);
	if (exchange->device != NULL)
		device_take_out(&packed, exchange->device);
	/* In the sleeper, in the session, or not needed: may_sleep(). */
	copy->session = NULL;
	copy->device = NULL;
	copy->link = NULL;
	copy->ends_poll = POLL_GOES_ON;
	copy->request_facts = NULL;
	memset(&copy->body, 0, sizeof(copy->body));
	copy->content_length = 0;
	copy->fields_len = 0;
	copy->endpoint = NULL;
	copy->query = NULL;
	copy->parcel = NULL;
	copy->next_over = NULL;
	copy->is_drowsy = false;
	memset(&copy->drowsy_link, 0, sizeof(copy->drowsy_link));
	memset(&copy->device_link, 0, sizeof(copy->device_link));
	memset(&copy->spool, 0, sizeof(copy->spool));
	copy->tls_version = copy->tls_cipher = NULL;
	return zero_run_pack(&packed, sizeof(packed), bytes);
}

static void unpack_exchange(struct session *session, struct exchange *exchange)
{
	const struct sleeper *sleeper = session->sleeper;
	struct packed packed;

	zero_run_unpack(sleeper->bytes, sleeper->exchange_len, &packed, sizeof(packed));
	id_put_back(&packed, session->worker);
	if (sleeper->device != NULL)
		device_put_back(&packed, sleeper->device);
	*exchange = packed.exchange;
	exchange->session = session;
	exchange->device = sleeper->device;
	exchange->link = sleeper->link;
	exchange->ends_poll = (enum poll_end)sleeper->ends_poll;
	exchange->endpoint = session->worker->upstream->endpoints[sleeper->endpoint].config->text;
	spool_init(&exchange->spool, 0, -1);
	exchange->tls_version = tls_version(&session->tls);
	exchange->tls_cipher = tls_cipher(&session->tls);
}

/* To sleep */

static void fall_asleep(struct exchange *exchange)
{
	struct session *session = exchange->session;
	uint8_t *bytes = session->worker->scratch;
	size_t exchange_len = pack_exchange(exchange, bytes), facts_len = 0;
	struct sleeper *sleeper;

	if (exchange->request_facts != NULL)
		facts_len = eas_body_pack(exchange->request_facts, bytes + exchange_len);
	sleeper = slab_new(offsetof(struct sleeper, bytes) + exchange_len + facts_len);
	if (sleeper == NULL)
		return; /* it stays awake */
	sleeper->device = exchange->device;
	sleeper->link = exchange->link;
	sleeper->exchange_len = (uint16_t)exchange_len;
	sleeper->facts_len = (uint16_t)facts_len;
	sleeper->endpoint = (uint16_t)upstream_index(exchange->link->endpoint);
	sleeper->ends_poll = (uint8_t)exchange->ends_poll;
	memcpy(sleeper->bytes, bytes, exchange_len + facts_len);
	link_set_owner(exchange->link, &sleeping_calls, session);
	session->sleeper = sleeper;
	session->exchange = NULL;
	eas_body_free(exchange->request_facts);
	spool_free(&exchange->spool);
	free(exchange->query);
	free(exchange);
	worker_trim_note(&session->worker->trim);
}

void exchange_sleep_all(struct worker *worker)
{
	struct exchange *exchange = LIST_FIRST(&worker->drowsy);

	LIST_INIT(&worker->drowsy);
	while (exchange != NULL) {
		struct exchange *next = LIST_NEXT(exchange, drowsy_link);

		exchange->is_drowsy = false;
		if (may_sleep(exchange))
			fall_asleep(exchange);
		exchange = next;
	}
}

/* And awake */

/* It ends without being woken: what is needed for that stands on the stack. */
static void end_asleep(struct session *session)
{
	struct worker *worker = session->worker;
	struct sleeper *sleeper = session->sleeper;
	struct exchange exchange;
	struct eas_body facts;

	unpack_exchange(session, &exchange);
	if (sleeper->facts_len > 0) {
		eas_body_view(sleeper->bytes + sleeper->exchange_len, &facts);
		exchange.request_facts = &facts;
	}
	session->sleeper = NULL;
	exchange_abort(&exchange, REFUSAL_INTERNAL, "out of memory where it was to be woken");
	/* It is the last that was put there. */
	worker->over = exchange.next_over;
	exchange.request_facts = NULL;
	exchange_free_content(&exchange);
	slab_free(sleeper);
}

static struct exchange *unpack(struct session *session)
{
	struct sleeper *sleeper = session->sleeper;
	struct exchange *exchange = malloc(sizeof(*exchange));

	if (exchange == NULL)
		return NULL;
	unpack_exchange(session, exchange);
	if (sleeper->facts_len == 0)
		return exchange;
	exchange->request_facts = eas_body_unpack(sleeper->bytes + sleeper->exchange_len);
	if (exchange->request_facts != NULL)
		return exchange;
	free(exchange);
	return NULL;
}

struct exchange *exchange_wake(struct session *session)
{
	struct exchange *exchange;

	if (session->sleeper == NULL)
		return session->exchange;
	exchange = unpack(session);
	if (exchange == NULL) {
		end_asleep(session);
		return NULL;
	}
	slab_free(session->sleeper);
	session->sleeper = NULL;
	session->exchange = exchange;
	if (exchange->link != NULL)
		link_set_owner(exchange->link, &exchange_link_calls, exchange);
	/* Unless something becomes of it now. */
	exchange_drowse(exchange);
	return exchange;
}

/* Without waking it */

bool session_has_exchange(const struct session *session)
{
	return session->exchange != NULL || session->sleeper != NULL;
}

struct device_entry *sleeper_device(const struct sleeper *sleeper)
{
	return sleeper->device;
}

bool session_end_poll(struct session *session, uint32_t time_ms, enum poll_end why)
{
	if (session->sleeper == NULL)
		return session->exchange != NULL &&
		       exchange_end_poll(session->exchange, time_ms, why);
	session->sleeper->ends_poll = (uint8_t)why;
	session_set_timer(session, exchange_poll_end_time(time_ms));
	return true;
}

size_t sleeper_size(const struct sleeper *sleeper)
{
	return offsetof(struct sleeper, bytes) + sleeper->exchange_len + sleeper->facts_len;
}
