#include "proxy/exchange_login.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/log.h"
#include "proxy/login_client.h"
#include "proxy/login_fields.h"
#include "proxy/negotiate.h"
#include "proxy/upstream_service.h"

enum { RECONNECTS_MAX = 1 /* while the endpoint ends connections on which nothing was said yet */ };

enum login_step { STEP_SECRET, STEP_TOKEN, STEP_PROOF };

/* While something is asked or a secret is at hand: not while a phone sleeps. */
struct exchange_login {
	struct login_waiter waiter;
	struct exchange *exchange;
	struct login *login;       /* pinned */
	struct endpoint *endpoint; /* where the request is to go; NULL: anywhere */
	enum login_step step;
	uint64_t since_us;     /* when the wait began */
	unsigned int asked;    /* bit n: enum login_kind n was asked for */
	unsigned int is_fresh; /* likewise: what was known is no good */
	unsigned int reconnects;
	char *token; /* "Negotiate …", for the head to be written next; NULL: none */
};

static const struct config *config_of(const struct exchange *exchange)
{
	return exchange->session->worker->config;
}

/* What of it the login keeps: one bit for each kind. */
static unsigned int secrets_of(const struct config *config)
{
	unsigned int kinds = 0;

	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		if (kind != LOGIN_KERBEROS && login_kind_is_used(config, kind))
			kinds |= 1U << kind;
	return kinds;
}

/* What the log calls it: the one that lets people in, and not what is sent beside. */
static uint8_t login_by(const struct config *config)
{
	switch (config->upstream.login) {
	case CONFIG_LOGIN_KERBEROS: return LOGIN_KERBEROS + 1;
	case CONFIG_LOGIN_MINTED: return LOGIN_MINTED + 1;
	case CONFIG_LOGIN_BEARER: return LOGIN_BEARER + 1;
	default: return LOGIN_ASSERTION + 1;
	}
}

bool login_is_needed(const struct config *config)
{
	return config->upstream.login == CONFIG_LOGIN_KERBEROS || secrets_of(config) != 0;
}

static bool is_kerberos(const struct exchange *exchange)
{
	return config_of(exchange)->upstream.login == CONFIG_LOGIN_KERBEROS;
}

/* A connection stands for a user, and must be nobody else's. */
static bool needs_own_link(const struct config *config)
{
	return config->upstream.login == CONFIG_LOGIN_KERBEROS ||
	       config->upstream.login == CONFIG_LOGIN_MINTED;
}

/* Waiting */

static void forget_token(struct exchange_login *at)
{
	login_fields_negotiate_free(at->token);
	at->token = NULL;
}

void exchange_login_leave(struct exchange *exchange)
{
	struct exchange_login *at = exchange->login;

	if (at == NULL)
		return;
	exchange->login = NULL;
	login_client_leave(&at->waiter);
	forget_token(at);
	login_unpin(at->login);
	free(at);
}

void exchange_login_sent(struct exchange *exchange)
{
	exchange_login_leave(exchange);
}

static void on_answered(struct login_waiter *waiter, const struct login_result *result);

static struct exchange_login *begin(struct exchange *exchange)
{
	struct worker *worker = exchange->session->worker;
	struct credential *credential = exchange->session->credential;
	struct exchange_login *at;

	if (exchange->login != NULL)
		return exchange->login;
	at = calloc(1, sizeof(*at));
	if (at == NULL)
		return NULL;
	at->login = login_table_pin(worker->logins, credential->mailbox);
	if (at->login == NULL) {
		free(at);
		return NULL;
	}
	login_use(at->login, credential);
	at->exchange = exchange;
	at->waiter.answered = on_answered;
	exchange->login = at;
	return at;
}

/* The question ends by itself, in an answer or without one: until then no other timer runs for what the
 * phone has sent already. */
static bool wait_for(struct exchange_login *at, enum login_step step, int asked)
{
	struct exchange *exchange = at->exchange;

	if (asked != 0) {
		exchange_refuse(exchange, REFUSAL_LOGIN_UNAVAILABLE,
			"the identity process cannot be asked for a login");
		return false;
	}
	at->step = step;
	at->since_us = clock_us();
	if (step != STEP_PROOF && exchange->is_read)
		session_set_timer(exchange->session, 0);
	return false;
}

/* What the login keeps */

/* With login-down = refuse nothing that is known is used while it could not be got anew: the identity process,
 * which has that from whom it asks, says so to whoever asks. */
static bool is_withheld(const struct exchange *exchange, enum login_kind kind)
{
	const struct child *child = exchange->session->worker->child;

	return child->config->upstream.login_down == CONFIG_LOGIN_DOWN_REFUSE &&
	       atomic_load_explicit(&child->shared->logins[kind].is_down, memory_order_relaxed) !=
		       0;
}

/* True: it is there. */
static bool gather(struct exchange_login *at, enum login_kind kind)
{
	struct exchange *exchange = at->exchange;
	struct login_client *client = exchange->session->worker->login_client;
	unsigned int bit = 1U << kind;
	bool wants_renewal = false;

	/* Somebody else may have been quicker. */
	if ((at->is_fresh & bit) != 0 && login_secret_since(at->login, kind) <= exchange->sent_us &&
		(at->asked & bit) == 0) {
		at->asked |= bit;
		return wait_for(at, STEP_SECRET,
			login_client_want(client, at->login, kind, true, &at->waiter));
	}
	if (login_has_secret(at->login, kind, &wants_renewal) &&
		((at->asked & bit) != 0 || !is_withheld(exchange, kind))) {
		if (wants_renewal && at->login->questions[kind] == NULL)
			login_client_want(client, at->login, kind, false, NULL);
		return true;
	}
	if ((at->asked & bit) != 0) {
		exchange_refuse(exchange, REFUSAL_LOGIN_UNAVAILABLE,
			"the login that was got is over already; the clocks may differ");
		return false;
	}
	at->asked |= bit;
	return wait_for(
		at, STEP_SECRET, login_client_want(client, at->login, kind, false, &at->waiter));
}

bool exchange_login_before(struct exchange *exchange, struct endpoint *endpoint)
{
	unsigned int kinds = secrets_of(config_of(exchange));
	struct exchange_login *at;

	if (kinds == 0 && !is_kerberos(exchange))
		return true;
	at = begin(exchange);
	if (at == NULL) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "out of memory");
		return false;
	}
	at->endpoint = endpoint;
	exchange->login_by = login_by(config_of(exchange));
	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		if ((kinds & 1U << kind) != 0 && !gather(at, (enum login_kind)kind))
			return false;
	return true;
}

struct login *exchange_login_of(const struct exchange *exchange)
{
	return exchange->login != NULL && needs_own_link(config_of(exchange))
		       ? exchange->login->login
		       : NULL;
}

/* At the link */

static bool is_link_of_owner(const struct exchange *exchange)
{
	const struct login *login = exchange->link->login;

	if (!needs_own_link(config_of(exchange)))
		return login == NULL;
	return login != NULL && login == exchange->login->login &&
	       strcmp(login->mailbox, exchange->session->credential->mailbox) == 0;
}

/* Nothing is written on a connection of somebody else's, whatever error has brought us to one. */
static bool refuse_link(struct exchange *exchange)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_ERROR, "link-login");
	log_text(&line, "id", exchange->id);
	log_text(&line, "mailbox", exchange->session->credential->mailbox);
	log_text(&line, "endpoint", exchange->link->endpoint->config->text);
	log_text(&line, "reason", "the connection is not the owner's; it is closed");
	log_end(&line);
	exchange_refuse(
		exchange, REFUSAL_INTERNAL, "a connection to the endpoint that is not the owner's");
	return false;
}

static bool has_secrets(const struct exchange *exchange)
{
	unsigned int kinds = secrets_of(config_of(exchange));
	bool ignored;

	for (unsigned int kind = 0; kind < LOGIN_KIND_COUNT; kind++)
		if ((kinds & 1U << kind) != 0 &&
			!login_has_secret(exchange->login->login, (enum login_kind)kind, &ignored))
			return false;
	return true;
}

bool exchange_login_at_link(struct exchange *exchange)
{
	struct exchange_login *at = exchange->login;
	struct link *link = exchange->link;
	char service[LOGIN_SERVICE_MAX + 1];

	if (at == NULL && !login_is_needed(config_of(exchange)))
		return true;
	if (at == NULL || !is_link_of_owner(exchange))
		return refuse_link(exchange);
	if (!login_is_in_use(at->login) || !has_secrets(exchange)) {
		exchange_refuse(exchange, REFUSAL_LOGIN_UNAVAILABLE,
			"the login was ended while the connection was made");
		return false;
	}
	if (login_needs_identity(at->login) && !link->is_logged_in) {
		link->is_logged_in = true; /* by the handshake */
		link->login_until = login_valid_until(at->login, LOGIN_MINTED);
	}
	if (!is_kerberos(exchange) || at->token != NULL ||
		(link->is_logged_in && !link->endpoint->logs_in_each))
		return true;
	/* What the endpoint says meanwhile is no answer. */
	link_want_read(link, false);
	if (upstream_service(&config_of(exchange)->upstream, link->endpoint->config, service) !=
		0) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "the endpoint's SPN is too long");
		return false;
	}
	return wait_for(at, STEP_TOKEN,
		login_client_token(exchange->session->worker->login_client, at->login, service,
			(at->is_fresh & 1U << LOGIN_KERBEROS) != 0, &at->waiter));
}

/* It may have ended the connection while the token was got, which has cost nothing yet. */
static void connect_again(struct exchange_login *at)
{
	struct exchange *exchange = at->exchange;
	struct endpoint *endpoint = exchange->link->endpoint;

	if (at->reconnects++ == RECONNECTS_MAX) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_UNREACHABLE,
			"the endpoint ends its connections before a login is there");
		return;
	}
	forget_token(at);
	link_release(exchange->link, false);
	exchange->link = NULL;
	exchange_connect_to(exchange, endpoint);
}

static void take_token(struct exchange_login *at, const struct login_result *result)
{
	struct exchange *exchange = at->exchange;
	struct link *link = exchange->link;

	link->login_context = result->context;
	link->login_until = result->valid_until;
	if (result->token.len > 0)
		at->token = login_fields_negotiate(result->token);
	if (at->token == NULL) {
		exchange_refuse(
			exchange, REFUSAL_LOGIN_UNAVAILABLE, "a login without a token in it");
		return;
	}
	/* No helper of ours gives one: an answer that nobody could check is not believed. */
	if (config_of(exchange)->upstream.mutual && result->context == 0) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_UNPROVEN,
			"the login has nothing to check the endpoint's proof against");
		return;
	}
	if (!link_is_silent(link)) {
		connect_again(at);
		return;
	}
	link_want_read(link, true);
	exchange_link_ready(exchange);
}

void exchange_login_write(struct exchange *exchange, struct http_writer *writer)
{
	const struct exchange_login *at = exchange->login;

	if (at == NULL)
		return;
	exchange->login_had_token = at->token != NULL;
	login_fields_write(writer, config_of(exchange), at->login, at->token);
}

/* Not taken */

bool exchange_login_may_renew(const struct exchange *exchange)
{
	return exchange->login != NULL && !exchange->login_is_renewed;
}

/* One that asks for a login on a connection that has one does so with every request. */
static void learn_each(struct endpoint *endpoint)
{
	if (endpoint->logs_in_each)
		return;
	endpoint->logs_in_each = true;
	log_message(CONFIG_LOG_INFO, "endpoint-login", "%s wants a login with each request",
		endpoint->config->text);
}

/* Whether the login is worth another try; where it is, it is got anew, unless that was done meanwhile. At
 * most once in a while, so that a server that takes nobody's login does not cost the KDC more than it does
 * anyway. */
static bool may_get_anew(const struct exchange *exchange, struct login *login, bool *is_fresh)
{
	uint64_t pause_us = (uint64_t)config_of(exchange)->upstream.login_failed_ms * 1000;
	uint64_t now = clock_us();

	*is_fresh = login->renewed_us <= exchange->sent_us;
	if (*is_fresh && login->renewed_us != 0 && now - login->renewed_us < pause_us)
		return false;
	if (*is_fresh)
		login->renewed_us = now;
	return true;
}

static const char *why_not_again(const struct exchange *exchange, bool wants_each, bool has_token)
{
	if (!wants_each && exchange->login_is_renewed)
		return has_token
			       ? "401 to a login that was got anew, with a token: a second step of "
				 "Negotiate, which easproxyd does not take, or an error of the "
				 "server's"
			       : "401 to a login that was got anew";
	if (exchange->kept == NULL || exchange->stage != EXCHANGE_SENT)
		return "401, and the request is too large, or has waited too long, to be sent "
		       "again";
	return NULL;
}

static void log_in_again(struct exchange *exchange, const struct http_head *head)
{
	struct endpoint *endpoint = exchange->link->endpoint;
	bool wants_each = is_kerberos(exchange) && !exchange->login_had_token;
	bool is_fresh = false;
	uint8_t token[LOGIN_PROOF_MAX];
	size_t len;
	bool has_token = negotiate_read(head, token, sizeof(token), &len) != NEGOTIATE_NO_TOKEN;
	const char *reason = why_not_again(exchange, wants_each, has_token);
	struct exchange_login *at;

	if (wants_each)
		learn_each(endpoint);
	if (reason != NULL) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_LOGIN, reason);
		return;
	}
	at = begin(exchange);
	if (at == NULL) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "out of memory");
		return;
	}
	if (!wants_each && !may_get_anew(exchange, at->login, &is_fresh)) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_LOGIN,
			"401, and the login was got anew a moment ago");
		return;
	}
	at->is_fresh = is_fresh ? UINT32_MAX : 0;
	if (is_fresh)
		login_close_idle(at->login); /* what they showed is no good either */
	exchange->login_is_renewed |= !wants_each;
	exchange_send_again(exchange, endpoint);
}

/* The endpoint's proof */

static void refuse_unproven(struct exchange *exchange, const char *reason)
{
	exchange_refuse(exchange, REFUSAL_UPSTREAM_UNPROVEN, reason);
}

static void ask_for_proof(struct exchange *exchange, const struct http_head *head)
{
	struct link *link = exchange->link;
	uint8_t token[LOGIN_PROOF_MAX];
	size_t len = 0;
	uint32_t context = link->login_context;
	struct exchange_login *at;

	exchange->endpoint_status = head->status;
	switch (negotiate_read(head, token, sizeof(token), &len)) {
	case NEGOTIATE_NO_TOKEN:
		refuse_unproven(exchange, "the endpoint's answer has no token of its own");
		return;
	case NEGOTIATE_MALFORMED:
		refuse_unproven(exchange, "the endpoint's token is no base64, or too long");
		return;
	case NEGOTIATE_TOKEN: break;
	}
	at = begin(exchange);
	if (at == NULL) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "out of memory");
		return;
	}
	link_want_read(link, false);
	link->login_context = 0; /* used up by the question */
	link->is_logged_in = false;
	wait_for(at, STEP_PROOF,
		login_client_prove(exchange->session->worker->login_client, at->login, context,
			span_of(token, len), &at->waiter));
	OPENSSL_cleanse(token, len);
}

bool exchange_login_holds_answer(struct exchange *exchange, const struct http_head *head)
{
	struct link *link = exchange->link;

	if (exchange->login_by == 0)
		return false;
	if (head->status == 401) {
		exchange->endpoint_status = 401;
		log_in_again(exchange, head);
		return true;
	}
	if (link->login_context != 0) {
		ask_for_proof(exchange, head);
		return true;
	}
	/* Where nothing is proven, only an answer that a login has led to says that it was taken. */
	if (exchange->login_had_token && head->status < 500)
		link->is_logged_in = true;
	return false;
}

/* Answers of the identity process */

static void on_answered(struct login_waiter *waiter, const struct login_result *result)
{
	struct exchange_login *at = (struct exchange_login *)waiter;
	struct exchange *exchange = at->exchange;

	exchange->login_us += (uint32_t)(clock_us() - at->since_us);
	if (result->refusal != REFUSAL_NONE) {
		exchange_refuse(exchange, result->refusal, result->reason);
		return;
	}
	if (at->step == STEP_PROOF) {
		exchange->link->is_logged_in = true;
		exchange_login_leave(exchange);
		exchange_answer_go_on(exchange);
		return;
	}
	/* As after each piece that the phone sends. */
	session_set_timer(exchange->session, config_of(exchange)->limits.body_time_ms);
	if (at->step == STEP_TOKEN)
		take_token(at, result);
	else
		exchange_connect_to(exchange, at->endpoint);
}
