/*
 * Keeps phones from asking too much of the mail server, and of each other: a long poll that its phone
 * has left is ended, heartbeats are brought within bounds, a storm of phones is spread over time, and a
 * phone that is stuck in a loop is slowed down and reported. All in words that phones understand. What
 * it knows of a device is in the device's entry (governor_state.h) and in memory that all workers share.
 * For workers.
 */
#ifndef PROXY_GOVERNOR_H
#define PROXY_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#include "config/refusal.h"

struct exchange;
struct message;
struct worker;

/* The head of a request is there. NONE, or STORM with exchange->retry_after_s set. */
enum refusal governor_admit(struct exchange *exchange);

/* The request is whole. NONE, or DEVICE_LOOP with exchange->retry_after_s set; or it is let out only
 * after exchange->hold_ms. */
enum refusal governor_judge(struct exchange *exchange);

/* Whether the heartbeat of a Ping or a Sync that polls lies within activesync/heartbeat-min and
 * heartbeat-max, and is not longer than max_s (0: no such bound). False: the request is answered, with
 * the nearest one that does. */
bool governor_heartbeat_is_fine(struct exchange *exchange, uint32_t max_s);

/* The request goes out to the mail server. If it is a long poll, the one before it of the same device and
 * kind ends, here or at another worker. */
void governor_let_out(struct exchange *exchange);

/* The exchange is over. */
void governor_leave(struct exchange *exchange);

/* The mail server could not be reached, or did not answer: the device is one of a storm to come, and that it asks for
 * the same again is no loop. */
void governor_note_outage(const struct exchange *exchange);

/* Seconds for the Retry-After of a 503 of our own: what the exchange was given, else a scattered 30. */
uint32_t governor_retry_after(const struct exchange *exchange);

/* MESSAGE_POLL_SUPERSEDED: another worker has a newer poll of a device. */
void governor_take_superseded(struct worker *worker, const struct message *message);

#endif
