#include "proxy/login_client.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/log.h"
#include "proxy/timeval.h"

enum { ANSWER_SPARE_MS = 500 };

enum question_kind {
	QUESTION_SECRET, /* that the login keeps */
	QUESTION_TOKEN,
	QUESTION_PROOF,
	/* Not answered. */
	QUESTION_FORGET,
	QUESTION_DROP
};

struct login_question {
	TAILQ_ENTRY(login_question) entry;        /* in client->asked, if it is answered */
	TAILQ_ENTRY(login_question) unsent_entry; /* in client->unsent, until it is sent */
	struct login_client *client;
	enum question_kind what;
	enum login_kind kind;
	bool is_fresh, is_unsent;
	struct login *login; /* pinned; NULL where there is none */
	LIST_HEAD(, login_waiter) waiters;
	uint32_t slot;
	uint64_t ends_us; /* clock_us() */
	uint32_t context;
	size_t len;
	uint8_t bytes[]; /* the SPN or the mailbox with its NUL, or the server's token */
};

TAILQ_HEAD(login_questions, login_question);

/* The serial keeps a late answer from the place's next tenant. */
struct slot {
	struct login_question *question; /* NULL: free */
	uint32_t serial;
	uint32_t next_free; /* index + 1; 0: none */
};

struct login_client {
	struct worker *worker;
	int fd;                 /* of the channel, borrowed; -1: none */
	struct event *writable; /* while there is a channel */
	struct event *timer;    /* for the question that is the next to end */
	struct login_questions
		asked; /* they wait for their answers; the one that ends first stands first */
	struct login_questions unsent; /* the channel was full */
	struct slot *slots;
	uint32_t capacity, first_free;
};

/* Places */

static int grow(struct login_client *client)
{
	uint32_t capacity = client->capacity > 0 ? client->capacity * 2 : 64;
	struct slot *grown = realloc(client->slots, capacity * sizeof(*grown));

	if (grown == NULL)
		return -1;
	for (uint32_t i = client->capacity; i < capacity; i++) {
		grown[i] = (struct slot){.next_free = client->first_free};
		client->first_free = i + 1;
	}
	client->slots = grown;
	client->capacity = capacity;
	return 0;
}

static int place(struct login_question *question)
{
	struct login_client *client = question->client;
	struct slot *slot;

	if (client->first_free == 0 && grow(client) != 0)
		return -1;
	question->slot = client->first_free - 1;
	slot = &client->slots[question->slot];
	client->first_free = slot->next_free;
	slot->serial++;
	slot->question = question;
	return 0;
}

static uint64_t question_id(const struct login_question *question)
{
	return (uint64_t)question->client->slots[question->slot].serial << 32 | question->slot;
}

static struct login_question *question_of(const struct login_client *client, uint64_t id)
{
	uint32_t slot = (uint32_t)id;

	if (slot >= client->capacity || client->slots[slot].question == NULL ||
		client->slots[slot].serial != (uint32_t)(id >> 32))
		return NULL;
	return client->slots[slot].question;
}

/* The identity process's own limits come first: one login may have to wait for another one. */
static uint32_t answer_limit_ms(const struct config *config)
{
	return 2 * config->upstream.login_time_ms + ANSWER_SPARE_MS;
}

static bool is_answered(enum question_kind what)
{
	return what == QUESTION_SECRET || what == QUESTION_TOKEN || what == QUESTION_PROOF;
}

/* login: whose it is; NULL for one that is not answered. */
static struct login_question *question_new(struct login_client *client, enum question_kind what,
	struct login *login, struct span bytes)
{
	struct login_question *question = calloc(1, sizeof(*question) + bytes.len);

	if (question == NULL)
		return NULL;
	question->client = client;
	question->what = what;
	question->login = login;
	question->len = bytes.len;
	LIST_INIT(&question->waiters);
	if (bytes.len > 0)
		memcpy(question->bytes, bytes.data, bytes.len);
	if (!is_answered(what))
		return question;
	if (place(question) != 0) {
		free(question);
		return NULL;
	}
	question->ends_us = clock_us() + (uint64_t)answer_limit_ms(client->worker->config) * 1000;
	TAILQ_INSERT_TAIL(&client->asked, question, entry);
	login_pin(login);
	return question;
}

/* It is answered, or will not be. */
static void question_leave(struct login_question *question)
{
	struct login_client *client = question->client;
	struct login *login = question->login;
	struct slot *slot = &client->slots[question->slot];

	slot->question = NULL;
	slot->next_free = client->first_free;
	client->first_free = question->slot + 1;
	TAILQ_REMOVE(&client->asked, question, entry);
	if (question->what == QUESTION_SECRET && login->questions[question->kind] == question)
		login->questions[question->kind] = NULL;
	login_unpin(login);
}

/* It is sent, or will not be. */
static void question_unqueue(struct login_question *question)
{
	TAILQ_REMOVE(&question->client->unsent, question, unsent_entry);
	question->is_unsent = false;
}

/* Nobody waits for it. */
static void question_free(struct login_question *question)
{
	if (question->is_unsent)
		question_unqueue(question);
	OPENSSL_cleanse(question->bytes, question->len);
	free(question);
}

/* Sending */

static const char *text_of(const struct login_question *question)
{
	return (const char *)question->bytes;
}

static int copy_text(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		return -1;
	memcpy(to, text, len + 1);
	return 0;
}

/* -1: it cannot be asked at all. */
static int question_write(const struct login_question *question, struct message *message)
{
	switch (question->what) {
	case QUESTION_SECRET:
	case QUESTION_TOKEN:
		message->type = MESSAGE_LOGIN_QUERY;
		message->u.login_query.id = question_id(question);
		message->u.login_query.kind = question->kind;
		message->u.login_query.is_fresh = question->is_fresh;
		if (question->len > 0 &&
			copy_text(message->u.login_query.service,
				sizeof(message->u.login_query.service), text_of(question)) != 0)
			return -1;
		return copy_text(message->u.login_query.mailbox,
			sizeof(message->u.login_query.mailbox), question->login->mailbox);
	case QUESTION_PROOF:
		message->type = MESSAGE_LOGIN_PROOF;
		message->u.login_proof.id = question_id(question);
		message->u.login_proof.context = question->context;
		message->u.login_proof.len = (uint32_t)question->len;
		if (question->len > sizeof(message->u.login_proof.token))
			return -1;
		memcpy(message->u.login_proof.token, question->bytes, question->len);
		return 0;
	case QUESTION_FORGET:
		message->type = MESSAGE_LOGIN_FORGET;
		message->u.login_forget.context = question->context;
		return 0;
	case QUESTION_DROP:
		message->type = MESSAGE_LOGIN_DROP;
		return copy_text(message->u.login_drop.mailbox,
			sizeof(message->u.login_drop.mailbox), text_of(question));
	}
	return -1;
}

/* 1: sent, 0: the channel is full, -1: it cannot be. */
static int question_send(struct login_question *question)
{
	struct message message = {0};
	int sent;

	if (question_write(question, &message) != 0)
		return -1;
	sent = message_send(question->client->fd, &message, -1);
	if (question->what == QUESTION_PROOF)
		OPENSSL_cleanse(message.u.login_proof.token, question->len);
	if (sent == 0)
		return 1;
	return errno == EAGAIN ? 0 : -1;
}

static void timer_set(struct login_client *client)
{
	const struct login_question *next = TAILQ_FIRST(&client->asked);
	uint64_t now = clock_us();
	struct timeval wait;

	if (next == NULL) {
		event_del(client->timer);
		return;
	}
	wait = timeval_of_ms(
		next->ends_us > now ? (uint32_t)((next->ends_us - now) / 1000 + 1) : 1);
	event_add(client->timer, &wait);
}

/* Sends it, or has it wait for room. 0, or -1: it is freed. */
static int question_ask(struct login_question *question)
{
	struct login_client *client = question->client;
	int sent = client->fd != -1 ? 0 : -1;

	if (sent == 0 && TAILQ_EMPTY(&client->unsent))
		sent = question_send(question);
	if (sent == -1) {
		if (is_answered(question->what))
			question_leave(question);
		question_free(question);
		return -1;
	}
	if (sent == 0) {
		question->is_unsent = true;
		TAILQ_INSERT_TAIL(&client->unsent, question, unsent_entry);
		event_add(client->writable, NULL);
	}
	if (TAILQ_FIRST(&client->asked) == question)
		timer_set(client);
	if (sent == 1 && !is_answered(question->what))
		question_free(question);
	return 0;
}

/* Answers */

/* Tells all who wait, and is over. They may ask for something else at once. */
static void question_answer(struct login_question *question, const struct login_result *result)
{
	struct login_client *client = question->client;
	bool was_next = TAILQ_FIRST(&client->asked) == question;
	struct login_waiter *waiter;

	question_leave(question);
	while ((waiter = LIST_FIRST(&question->waiters)) != NULL) {
		LIST_REMOVE(waiter, entry);
		waiter->question = NULL;
		waiter->answered(waiter, result);
	}
	question_free(question);
	if (was_next)
		timer_set(client);
}

static void question_fail(struct login_question *question, enum refusal refusal, const char *reason)
{
	question_answer(
		question, &(struct login_result){.refusal = refusal, .reason = reason, .hint = ""});
}

/* A secret goes to where all who need it look for it. */
static void keep_secret(struct login_question *question, const struct message_login_answer *answer,
	struct login_result *result)
{
	struct error err = {""};

	if (login_keep_secret(question->login, question->kind,
		    span_of(answer->secret, answer->secret_len), answer->valid_until, &err) == 0)
		return;
	log_message(CONFIG_LOG_ERROR, "login", "%s", err.text);
	result->refusal = REFUSAL_LOGIN_UNAVAILABLE;
	result->reason = "what the identity process has given cannot be used";
}

static void take_answer(struct login_client *client, const struct message_login_answer *answer)
{
	struct login_question *question = question_of(client, answer->id);
	struct login_result result = {.refusal = (enum refusal)answer->refusal,
		.reason = answer->fault.text,
		.hint = answer->fault.hint,
		.valid_until = answer->valid_until < answer->account_until ? answer->valid_until
									   : answer->account_until,
		.answer = answer};
	bool is_expected = question != NULL &&
			   (question->what == QUESTION_SECRET || question->what == QUESTION_TOKEN);

	if (!is_expected || LIST_EMPTY(&question->waiters) || answer->refusal != REFUSAL_NONE ||
		!login_is_in_use(question->login)) {
		/* Nobody will show this token to a server. */
		if (answer->context != 0)
			login_client_forget(client, answer->context);
	}
	if (!is_expected)
		return;
	if (answer->refusal >= REFUSAL_COUNT || answer->secret_len > sizeof(answer->secret)) {
		result.refusal = REFUSAL_LOGIN_UNAVAILABLE;
		result.reason = "nonsense from the identity process";
	} else if (result.refusal == REFUSAL_NONE && !login_is_in_use(question->login)) {
		result.refusal = REFUSAL_LOGIN_UNAVAILABLE;
		result.reason = "the owner's logins were ended meanwhile";
	} else if (result.refusal == REFUSAL_NONE && question->what == QUESTION_SECRET) {
		keep_secret(question, answer, &result);
	} else if (result.refusal == REFUSAL_NONE) {
		result.token = span_of(answer->secret, answer->secret_len);
		result.context = answer->context;
	}
	question_answer(question, &result);
}

static void take_proven(
	struct login_client *client, uint64_t id, bool is_proven, const char *reason)
{
	struct login_question *question = question_of(client, id);

	if (question != NULL && question->what == QUESTION_PROOF)
		question_fail(
			question, is_proven ? REFUSAL_NONE : REFUSAL_UPSTREAM_UNPROVEN, reason);
}

void login_client_take(struct login_client *client, const struct message *message)
{
	if (message->type == MESSAGE_LOGIN_ANSWER)
		take_answer(client, &message->u.login_answer);
	else if (message->type == MESSAGE_LOGIN_PROVEN)
		take_proven(client, message->u.login_proven.id,
			message->u.login_proven.is_proven != 0, message->u.login_proven.reason);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct login_client *client = arg;
	struct login_question *question = TAILQ_FIRST(&client->asked);
	uint64_t now = clock_us();

	(void)fd;
	(void)what;
	while (question != NULL && question->ends_us <= now) {
		struct login_question *next = TAILQ_NEXT(question, entry);

		question_fail(question, REFUSAL_LOGIN_UNAVAILABLE,
			"the identity process did not answer in time");
		question = next;
	}
	timer_set(client);
}

/* Channel */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct login_client *client = arg;
	struct login_question *question = TAILQ_FIRST(&client->unsent);

	(void)fd;
	(void)what;
	while (question != NULL) {
		struct login_question *next = TAILQ_NEXT(question, unsent_entry);
		int sent = question_send(question);

		if (sent == 0) {
			event_add(client->writable, NULL);
			return;
		}
		question_unqueue(question);
		if (!is_answered(question->what))
			question_free(question);
		else if (sent == -1)
			question_fail(question, REFUSAL_LOGIN_UNAVAILABLE,
				"the identity process could not be asked");
		question = next;
	}
}

void login_client_detach(struct login_client *client)
{
	struct login_question *question, *next;

	if (client->writable != NULL)
		event_free(client->writable);
	client->writable = NULL;
	client->fd = -1;
	/* Nothing can be asked now, so that nothing is added meanwhile. */
	for (question = TAILQ_FIRST(&client->asked); question != NULL; question = next) {
		next = TAILQ_NEXT(question, entry);
		question_fail(question, REFUSAL_LOGIN_UNAVAILABLE, "the identity process has gone");
	}
	for (question = TAILQ_FIRST(&client->unsent); question != NULL; question = next) {
		next = TAILQ_NEXT(question, unsent_entry);
		question_unqueue(question);
		question_free(question);
	}
}

void login_client_attach(struct login_client *client, int fd)
{
	login_client_detach(client);
	client->writable = event_new(client->worker->base, fd, EV_WRITE, on_writable, client);
	if (client->writable != NULL)
		client->fd = fd;
}

struct login_client *login_client_new(struct worker *worker)
{
	struct login_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->worker = worker;
	client->fd = -1;
	TAILQ_INIT(&client->asked);
	TAILQ_INIT(&client->unsent);
	client->timer = evtimer_new(worker->base, on_timer, client);
	if (client->timer == NULL) {
		free(client);
		return NULL;
	}
	return client;
}

void login_client_free(struct login_client *client)
{
	if (client == NULL)
		return;
	login_client_detach(client);
	event_free(client->timer);
	free(client->slots);
	free(client);
}

/* Questions */

static void question_join(struct login_question *question, struct login_waiter *waiter)
{
	if (waiter == NULL)
		return;
	waiter->question = question;
	LIST_INSERT_HEAD(&question->waiters, waiter, entry);
}

int login_client_want(struct login_client *client, struct login *login, enum login_kind kind,
	bool is_fresh, struct login_waiter *waiter)
{
	struct login_question *question = login->questions[kind];

	if (question != NULL && (question->is_fresh || !is_fresh)) {
		question_join(question, waiter);
		return 0;
	}
	question = question_new(client, QUESTION_SECRET, login, (struct span){0});
	if (question == NULL)
		return -1;
	question->kind = kind;
	question->is_fresh = is_fresh;
	if (question_ask(question) != 0)
		return -1;
	login->questions[kind] = question;
	question_join(question, waiter);
	return 0;
}

int login_client_token(struct login_client *client, struct login *login, const char *service,
	bool is_fresh, struct login_waiter *waiter)
{
	struct login_question *question =
		question_new(client, QUESTION_TOKEN, login, span_of(service, strlen(service) + 1));

	if (question == NULL)
		return -1;
	question->kind = LOGIN_KERBEROS;
	question->is_fresh = is_fresh;
	if (question_ask(question) != 0)
		return -1;
	question_join(question, waiter);
	return 0;
}

int login_client_prove(struct login_client *client, struct login *login, uint32_t context,
	struct span token, struct login_waiter *waiter)
{
	struct login_question *question = question_new(client, QUESTION_PROOF, login, token);

	if (question == NULL)
		return -1;
	question->context = context;
	if (question_ask(question) != 0)
		return -1;
	question_join(question, waiter);
	return 0;
}

void login_client_leave(struct login_waiter *waiter)
{
	if (waiter->question == NULL)
		return;
	LIST_REMOVE(waiter, entry);
	waiter->question = NULL;
}

/* What is told without an answer. Where it cannot be, there is no process that knows of it. */
void login_client_forget(struct login_client *client, uint32_t context)
{
	struct login_question *question =
		question_new(client, QUESTION_FORGET, NULL, (struct span){0});

	if (question == NULL)
		return;
	question->context = context;
	question_ask(question);
}

void login_client_drop(struct login_client *client, const char *mailbox)
{
	struct login_question *question =
		question_new(client, QUESTION_DROP, NULL, span_of(mailbox, strlen(mailbox) + 1));

	if (question != NULL)
		question_ask(question);
}
