/*
 * `eassim serve --bench`: the upstream of a benchmark. It answers what `eassim load` asks with bytes
 * that were made once, compares each request with what was sent, and lets tens of thousands of
 * Pings wait in a few hundred bytes each. No store, no documents, one loop of its own.
 */
#ifndef EASSIM_BENCH_SERVER_H
#define EASSIM_BENCH_SERVER_H

#include <stdint.h>

#include "config/error.h"

struct serve;
struct bench_server;

/* Listens as serve->options say. NULL with err. */
struct bench_server *bench_server_new(struct serve *serve, struct error *err);
void bench_server_free(struct bench_server *server); /* NULL is allowed */
uint16_t bench_server_port(const struct bench_server *server);

/* Until SIGTERM or SIGINT. */
void bench_server_run(struct bench_server *server);

/* Answers the Pings that wait now, the oldest first, so many in a second (0: all at once), from the
 * loop. Returns how many there are. */
uint64_t bench_server_wake(struct bench_server *server, uint32_t pace);

#endif
