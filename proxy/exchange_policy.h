/*
 * The policy in the way of a request: what its rules look at is gathered from the session, the head and the
 * body, and what they decide is done. Between exchange_gate.c, exchange_begin.c, exchange_request.c and
 * exchange.c, for workers.
 */
#ifndef PROXY_EXCHANGE_POLICY_H
#define PROXY_EXCHANGE_POLICY_H

#include <stdbool.h>

#include "config/refusal.h"
#include "config/span.h"
#include "proxy/http.h"
#include "proxy/log.h"
#include "proxy/policy.h"

struct exchange;
struct wbxml_buffer;

/* Of one exchange. */
struct exchange_policy {
	struct policy_decision decision;
	bool is_open;     /* the body has to be seen */
	char *user_agent; /* what rules may ask for once the head is gone; NULL: nothing */
	struct wbxml_buffer
		*document; /* that is kept for XPath; NULL: none, or that of upstream/body = xml */
};

/* The head is there. Refuses, chooses a room, or leaves it to exchange_policy_whole(). postponed: not all
 * is known of the device yet, so that the head is looked at with the body. */
enum refusal exchange_policy_head(
	struct exchange *exchange, const struct http_head *head, bool is_postponed);

/* A piece of the body has come and is counted. */
enum refusal exchange_policy_take(struct exchange *exchange, struct span content);

/* The request is whole. */
enum refusal exchange_policy_whole(struct exchange *exchange);

/* Whether it is still open if something has to be taken out of the answer. */
bool exchange_policy_may_strip(const struct exchange *exchange);

void exchange_policy_free(struct exchange *exchange);

/* Which rules decided, or would have. */
void exchange_policy_log(struct log_line *line, const struct exchange *exchange);

#endif
