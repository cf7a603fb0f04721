/*
 * easproxyctl upstream test, in a worker: the whole way to one endpoint on somebody's behalf, with the
 * links and logins that phones are served with, but none of theirs. It ends with OPTIONS, so that nothing is
 * changed at the mail server. Control is told what became of each step. For workers; the limits for
 * control too.
 */
#ifndef PROXY_UPSTREAM_TEST_H
#define PROXY_UPSTREAM_TEST_H

#include "proxy/message.h"

struct worker;

enum {
	UPSTREAM_TEST_STEP_MS = 60 * 1000, /* the longest wait for anything */
	UPSTREAM_TEST_STEPS = 6,           /* the most waits in one test */
	UPSTREAM_TESTS_MAX = 8             /* in one worker */
};

/* A MESSAGE_UPSTREAM_TEST: begins it. */
void upstream_test_take(struct worker *worker, const struct message *message);

/* Ends all of them without a word: the channel to control has gone, or the worker ends. */
void upstream_test_end_all(struct worker *worker);

#endif
