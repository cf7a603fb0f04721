/*
 * Between the files of a test of the way to an endpoint: upstream_test.c goes it, upstream_test_login.c gets what
 * it logs in with, and upstream_test_say.c tells control. Private to them.
 */
#ifndef PROXY_UPSTREAM_TEST_PARTS_H
#define PROXY_UPSTREAM_TEST_PARTS_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/login_client.h"
#include "proxy/upstream_test.h"

struct endpoint;
struct link;
struct login;

enum { UPSTREAM_TEST_HEAD_MAX = 64 * 1024 };

/* In the order in which a test meets them. */
enum upstream_test_stage {
	STAGE_LOGIN,
	STAGE_CONNECT,
	STAGE_OPTIONS, /* with the login */
	STAGE_PROOF,   /* of the server's */
	STAGE_ANONYMOUS_CONNECT,
	STAGE_ANONYMOUS_OPTIONS, /* without */
};

struct upstream_test {
	struct login_waiter waiter;
	LIST_ENTRY(upstream_test) entry;
	struct worker *worker;
	struct endpoint *endpoint;
	uint64_t id;
	char mailbox[MAILBOX_MAX + 1];
	enum upstream_test_stage stage;
	enum login_kind kind; /* of the credential that is got */
	uint64_t since_us;    /* of what is being waited for */
	struct login *
		login; /* pinned, of no phone's; NULL: the mail server wants none that has to be got */
	char *negotiate;   /* the field's value with a token; NULL: none */
	uint32_t context;  /* that the server's proof will be for, until link has it; 0: none */
	bool lacks_login;  /* it could not be got: what follows is tried as far as that goes */
	struct link *link; /* NULL: none */
	struct event timer;
	size_t len, scanned;
	char head[UPSTREAM_TEST_HEAD_MAX]; /* of the answer */
};

/* upstream_test.c */

/* From now on it waits for this, UPSTREAM_TEST_STEP_MS at most. */
void upstream_test_wait_for(struct upstream_test *test, enum upstream_test_stage stage);

/* It has all that it logs in with, or will not get it. May end it. */
void upstream_test_connect(struct upstream_test *test);

/* Ends it, and wipes what it had. */
void upstream_test_free(struct upstream_test *test);

/* upstream_test_login.c */

/* Makes a login of its own, where the mail server wants one that has to be got. False when memory runs out. */
bool upstream_test_pin_login(struct upstream_test *test);

/* Asks for the first kind (enum login_kind) from that one on that is wanted, or goes on without any more. */
void upstream_test_log_in(struct upstream_test *test, unsigned int kind);

/* What has become of that; goes on with the next kind. */
void upstream_test_take_login(struct upstream_test *test, const struct login_result *result);

/* Its secrets are wiped, unless another test of the same user is under way. */
void upstream_test_let_login_go(struct upstream_test *test);

/* upstream_test_say.c: a line for the operator. step: its word, "login"; text: what was found; hint: what to do
 * about it, "" for nothing. */

/* It took the time since the wait began. */
void upstream_test_say(struct upstream_test *test, const char *step, bool is_good, const char *text,
	const char *hint);
void upstream_test_say_timed(struct upstream_test *test, const char *step, bool is_good,
	uint64_t took_us, const char *text, const char *hint);

/* The same as the last one, which ends the test and frees it. */
void upstream_test_say_last(struct upstream_test *test, const char *step, bool is_good,
	const char *text, const char *hint);

/* The only one, of a test that does not begin. */
void upstream_test_say_refused(struct worker *worker, uint64_t id, const char *text);

/* Of a link that is ready: where it leads, and, where there is TLS, what was agreed on, and whose certificate
 * it is until when. */
void upstream_test_say_connection(struct upstream_test *test);
void upstream_test_say_tls(struct upstream_test *test);

/* What to do about an error of TLS, by its words. */
const char *upstream_test_hint_of_tls(const char *reason);

#endif
