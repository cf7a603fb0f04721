/*
 * What the two files of `eassim serve --bench` share: bench_conn.c has one connection, bench_server.c
 * has them all.
 */
#ifndef EASSIM_BENCH_CONN_H
#define EASSIM_BENCH_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bench_content.h"
#include "bench_server.h"
#include "poller.h"
#include "proxy/http.h"
#include "proxy/tls.h"

enum { BENCH_READ_SIZE = 64 * 1024 };

enum bench_conn_state { CONN_HANDSHAKE, CONN_HEAD, CONN_BODY, CONN_WAITING, CONN_ANSWERING };

struct bench_conn {
	struct poller_item item;
	struct bench_server *server;
	struct tls tls;
	LIST_ENTRY(bench_conn) link;
	TAILQ_ENTRY(bench_conn) poll; /* in CONN_WAITING */
	uint8_t *kept;                /* a head in part, or an answer that is like no other */
	size_t kept_len;
	size_t at; /* in the body of the request, or in the answer */
	struct http_body body;
	uint32_t deadline_s;
	char token[BENCH_TOKEN_LEN];
	uint8_t state, kind;
	bool is_checked; /* the request is one of `eassim load` */
	bool is_wrong;   /* and not what it sends */
	bool closes;     /* after the answer */
};

struct bench_server {
	struct poller poller;
	struct poller_item listener;
	struct serve *serve;
	struct tls_server *tls;                /* NULL: plain */
	struct config_certificate certificate; /* of tls, which looks at it */
	struct bench_content content;
	struct bench_bytes answers[BENCH_KIND_COUNT]; /* with their heads */
	LIST_HEAD(, bench_conn) conns;
	TAILQ_HEAD(, bench_conn) polls; /* the oldest first */
	uint64_t wake_left;
	uint32_t wake_pace;
	uint64_t wake_begun_ms, woken;
	uint8_t buffer[BENCH_READ_SIZE];
};

/* Takes an accepted socket over; where that fails it is closed. */
void bench_conn_open(struct bench_server *server, int fd);
void bench_conn_close(struct bench_conn *conn);

/* Answers a Ping that waits: there is news; or its time is over. */
void bench_conn_wake(struct bench_conn *conn);
void bench_conn_expire(struct bench_conn *conn);

uint64_t bench_now_ms(void);

#endif
