/*
 * When a server that does not answer is left alone: after some failures in a row it counts as down, and
 * is tried by one question at a time after a pause, which grows. No I/O, no clock. For the identity
 * process, about the directory and about where logins come from.
 */
#ifndef PROXY_IDENTITY_BREAKER_H
#define PROXY_IDENTITY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: all is well. */
struct breaker {
	unsigned int failures; /* in a row */
	bool is_down;
	bool is_probing; /* a question is under way that tries it */
	uint32_t pause_ms;
	int64_t down_until_ms;
};

enum breaker_outcome {
	BREAKER_ANSWERED,
	BREAKER_FAILED,
	BREAKER_OVERRUN,   /* it failed, and took all the time that there was: counts twice */
	BREAKER_NOT_ASKED, /* nobody had time to ask; says nothing */
};

enum breaker_news {
	BREAKER_SAME,
	BREAKER_FAILS, /* but does not count as down yet */
	BREAKER_DOWN,
	BREAKER_UP,
};

/* Whether there is to be no question now. */
bool breaker_is_resting(const struct breaker *breaker, int64_t now_ms);

/* A question is asked. True: it is the one that tries a server that was down. */
bool breaker_begin(struct breaker *breaker);

/* The question has ended. What is to be logged. */
enum breaker_news breaker_end(
	struct breaker *breaker, bool is_probe, enum breaker_outcome outcome, int64_t now_ms);

#endif
