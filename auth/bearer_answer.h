/*
 * What an authorization server's token endpoint answers (RFC 6749 5), read: a token, or why there is none. For
 * auth/bearer.c, and for those who test what it makes of an answer.
 */
#ifndef AUTH_BEARER_ANSWER_H
#define AUTH_BEARER_ANSWER_H

#include "auth/login.h"
#include "auth/login_secret.h"
#include "config/span.h"

enum {
	BEARER_ANSWER_MAX = 64 * 1024, /* a body beyond is not read */
	BEARER_LIFE_S = 300,           /* of a token that says none */
	BEARER_LIFE_MAX_S = 24 * 60 * 60,
	BEARER_SKEW_S = 60, /* clocks that differ by more are said to */
};

struct bearer_answer {
	long http_status;
	struct span body;
	int64_t asked_at;    /* UNIX seconds, when the question was sent */
	int64_t server_time; /* its field Date; -1: none */
};

/* Takes the token and until when it is good, counted from when it was asked for. The caller wipes out.
 * LOGIN_GIVEN, or another status, and fault filled; what the server says is shown in it, but for what
 * could be a secret. */
enum login_status bearer_answer_read(
	const struct bearer_answer *answer, struct login_secret *out, struct login_fault *fault);

/* From now on, in the whole process, the reader of JSON wipes all memory that it gives back: it makes copies of
 * what it reads. */
void bearer_answer_wipe_json(void);

#endif
