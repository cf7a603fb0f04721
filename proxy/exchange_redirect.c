/*
 * Requests that are sent again. An endpoint sends the phone to another server (451, 307, 308): if that is an
 * endpoint too, the request goes there, and later ones of the device go there at once. Or it wants another
 * login (exchange_login.c). The phone hears nothing of it.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/exchange_login.h"
#include "proxy/exchange_sleep.h"

enum {
	REDIRECTS_MAX = 2, /* of one request */
	/* So long a long poll is kept for another login: Exchange holds its 401 back for up to 20 s. */
	POLL_KEPT_MS = 25 * 1000,
};

static const struct config_upstream *config_of(const struct exchange *exchange)
{
	return &exchange->session->worker->config->upstream;
}

static uint32_t poll_time_s(const struct exchange *exchange)
{
	return eas_body_poll_time(
		exchange->request.command, exchange->kind, exchange->request_facts);
}

/* What a sleeping phone would hold for nothing is not kept: its next request goes to the right place. For
 * another login it is, but only until it sleeps, exchange_sleeps_on(). */
static bool may_be_needed(const struct exchange *exchange)
{
	if (exchange_login_may_renew(exchange))
		return true;
	return config_of(exchange)->redirects == CONFIG_REDIRECTS_FOLLOW &&
	       config_of(exchange)->endpoint_count > 1 &&
	       exchange->redirect_count < REDIRECTS_MAX && poll_time_s(exchange) == 0;
}

void exchange_keep_request(struct exchange *exchange, struct span body)
{
	struct exchange_kept *kept;

	if (!may_be_needed(exchange))
		return;
	kept = malloc(sizeof(*kept) + exchange->fields_len + body.len);
	if (kept == NULL)
		return; /* it cannot be sent again then */
	kept->fields_len = exchange->fields_len;
	kept->body_len = body.len;
	memcpy(kept->bytes, exchange->fields, exchange->fields_len);
	if (body.len > 0)
		memcpy(kept->bytes + kept->fields_len, body.data, body.len);
	exchange->kept = kept;
}

void exchange_forget_request(struct exchange *exchange)
{
	if (exchange->kept != NULL)
		OPENSSL_cleanse(exchange->kept->bytes, exchange->kept->fields_len);
	free(exchange->kept);
	exchange->kept = NULL;
}

static struct endpoint *find_endpoint(const struct exchange *exchange, const struct http_head *head)
{
	struct span location = {0};

	if (http_field_find(head, head->status == 451 ? "X-MS-Location" : "Location", &location) !=
		1)
		return NULL;
	return upstream_find(exchange->session->worker->upstream, location);
}

/* Puts the request back to where it was before it was sent. */
static int restore(struct exchange *exchange)
{
	struct exchange_kept *kept = exchange->kept;

	exchange->fields = malloc(kept->fields_len + 1);
	if (exchange->fields == NULL)
		return -1;
	memcpy(exchange->fields, kept->bytes, kept->fields_len);
	exchange->fields_len = kept->fields_len;
	return spool_put(&exchange->spool, span_of(kept->bytes + kept->fields_len, kept->body_len));
}

void exchange_send_again(struct exchange *exchange, struct endpoint *endpoint)
{
	link_release(exchange->link, false);
	exchange->link = NULL;
	exchange->attempts++;
	if (restore(exchange) != 0) {
		exchange_refuse(exchange, REFUSAL_INTERNAL, "out of memory");
		return;
	}
	exchange_forget_request(exchange);
	exchange_connect_to(exchange, endpoint);
}

bool exchange_redirected(struct exchange *exchange, const struct http_head *head)
{
	struct endpoint *endpoint;

	if (config_of(exchange)->redirects != CONFIG_REDIRECTS_FOLLOW)
		return false;
	endpoint = find_endpoint(exchange, head);
	if (endpoint == NULL || endpoint == exchange->link->endpoint)
		return false;
	if (exchange->device != NULL)
		exchange->device->endpoint = (uint8_t)(1 + upstream_index(endpoint));
	if (exchange->kept == NULL || exchange->stage != EXCHANGE_SENT ||
		exchange->redirect_count >= REDIRECTS_MAX) {
		exchange_refuse(exchange, REFUSAL_UPSTREAM_REDIRECT,
			exchange->redirect_count >= REDIRECTS_MAX
				? "from one endpoint to the other"
				: "too large to be sent again; the next one goes to the right "
				  "endpoint");
		return true;
	}
	exchange->redirect_count++;
	exchange_send_again(exchange, endpoint);
	return true;
}

static uint32_t poll_answer_time(const struct exchange *exchange)
{
	return poll_time_s(exchange) * 1000 + config_of(exchange)->poll_margin_ms;
}

uint32_t exchange_answer_time(const struct exchange *exchange)
{
	uint32_t time_ms = exchange->is_poll ? poll_answer_time(exchange)
					     : config_of(exchange)->answer_time_ms;

	return exchange->is_poll && exchange->kept != NULL && time_ms > POLL_KEPT_MS ? POLL_KEPT_MS
										     : time_ms;
}

bool exchange_sleeps_on(struct exchange *exchange)
{
	uint32_t time_ms;

	if (!exchange->is_poll || exchange->kept == NULL || exchange->answer != EXCHANGE_NO_ANSWER)
		return false;
	time_ms = poll_answer_time(exchange);
	if (time_ms <= POLL_KEPT_MS)
		return false;
	exchange_forget_request(exchange);
	session_set_timer(exchange->session, time_ms - POLL_KEPT_MS);
	exchange_drowse(exchange);
	return true;
}

struct endpoint *exchange_endpoint_of_device(const struct exchange *exchange)
{
	struct upstream *upstream = exchange->session->worker->upstream;

	if (exchange->device == NULL || exchange->device->endpoint == 0 ||
		exchange->device->endpoint > upstream->config->endpoint_count)
		return NULL;
	return &upstream->endpoints[exchange->device->endpoint - 1];
}
