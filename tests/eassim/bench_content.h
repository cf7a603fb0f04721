/*
 * What the bench says and hears: the requests of `eassim load` and the answers of `eassim serve
 * --bench`, made once, the same bytes in both programs. In each of them stands a token, the phone's
 * number and the request's, which the answer has to give back: an answer that was cut, changed, or
 * meant for somebody else is seen byte by byte, without a store and without a digest.
 */
#ifndef EASSIM_BENCH_CONTENT_H
#define EASSIM_BENCH_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

enum bench_kind {
	BENCH_OPTIONS,
	BENCH_SYNC200,    /* a Sync of 200 bytes, a small answer */
	BENCH_ANSWER100K, /* a Sync whose answer has 100 kB of mails */
	BENCH_FOLDERSYNC, /* a FolderSync without changes */
	BENCH_SENDMAIL5M, /* a SendMail of 5 MB, an empty answer */
	BENCH_PING,       /* answered when the server is told to wake the phones */
	BENCH_KIND_COUNT
};

enum { BENCH_TOKEN_LEN = 16 };

/* Bytes with a token in them; token_at is len where they have none. */
struct bench_bytes {
	uint8_t *data;
	size_t len, token_at;
};

struct bench_content {
	struct bench_bytes requests[BENCH_KIND_COUNT], answers[BENCH_KIND_COUNT];
	struct bench_bytes ping_over; /* the answer to a Ping whose heartbeat is over */
};

/* 0, or -1 when memory runs out; free it whatever this returned. */
int bench_content_make(struct bench_content *content, struct error *err);
void bench_content_free(struct bench_content *content);

/* 16 letters, without a NUL: the phone's number, then the request's. */
void bench_token(char token[BENCH_TOKEN_LEN], uint32_t phone, uint32_t request);

/* Writes the token where it belongs. */
void bench_bytes_mark(struct bench_bytes *bytes, const char token[BENCH_TOKEN_LEN]);

/* Whether the piece that was found at `offset` is what the bytes have there, with that token in its
 * place. */
bool bench_bytes_match(const struct bench_bytes *bytes, size_t offset, struct span piece,
	const char token[BENCH_TOKEN_LEN]);

/* The same for a token that is not known yet: what stands in its place is taken into `token`. */
bool bench_bytes_take(const struct bench_bytes *bytes, size_t offset, struct span piece,
	char token[BENCH_TOKEN_LEN]);

/* "sync200"; the name that --kind takes, and DeviceType in the query. */
const char *bench_kind_name(enum bench_kind kind);
/* BENCH_KIND_COUNT where there is none of that name. */
enum bench_kind bench_kind_find(struct span name);
/* "Sync"; NULL for OPTIONS. */
const char *bench_kind_command(enum bench_kind kind);

#endif
