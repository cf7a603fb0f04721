/*
 * A long poll that is at its endpoint, and whose request no longer matters, sleeps: the exchange and the facts
 * of its document are packed into one small piece of memory (zero_run.h), which stands in the
 * session until somebody wakes it. Whatever happens to such a session (the endpoint answers or hangs up, time is
 * over, the phone leaves, what it may has changed) wakes it first, so that all else deals with exchanges
 * that are awake. Nothing of an exchange is lost by it; what is not packed can be had again elsewhere.
 * For workers.
 */
#ifndef PROXY_EXCHANGE_SLEEP_H
#define PROXY_EXCHANGE_SLEEP_H

#include "proxy/exchange.h"

struct sleeper; /* opaque */

/* It may sleep from the end of this turn of the loop on: it is looked at then, when nobody on the
 * stack uses it. Called wherever the last thing that kept it awake may have ended. */
void exchange_drowse(struct exchange *exchange);

/* It is over. */
void exchange_drowse_no_more(struct exchange *exchange);

/* For the worker, at the end of a turn: packs those that may sleep. */
void exchange_sleep_all(struct worker *worker);

/* The session's exchange, awake; NULL: it has none. Where memory runs out it is over, logged and counted as
 * any other that had to end, and the session is closed: NULL. */
struct exchange *exchange_wake(struct session *session);

/* Whether the session has an exchange, awake or asleep. */
bool session_has_exchange(const struct session *session);

/* What is asked without waking it. */
struct device_entry *sleeper_device(const struct sleeper *sleeper);

/* As exchange_end_poll(), of a session's exchange, which sleeps on until its time is over. False also: it has
 * none. */
bool session_end_poll(struct session *session, uint32_t time_ms, enum poll_end why);

/* Bytes that it takes; for tests. */
size_t sleeper_size(const struct sleeper *sleeper);

#endif
