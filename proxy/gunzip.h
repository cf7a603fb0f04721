/*
 * Decompresses a gzip answer on the side, so that its document can be looked into while the
 * compressed bytes pass unchanged (zlib). Bounded memory, bounded output. For workers.
 */
#ifndef PROXY_GUNZIP_H
#define PROXY_GUNZIP_H

#include "config/span.h"

struct gunzip;

/* NULL when memory runs out. Output beyond output_max is an error. */
struct gunzip *gunzip_new(uint64_t output_max);
void gunzip_free(struct gunzip *gunzip);

/* Calls out with the pieces that come of the bytes. 0, or -1: not gzip, too much, or out's -1. */
int gunzip_feed(struct gunzip *gunzip, struct span bytes,
	int (*out)(void *context, struct span piece), void *context);

#endif
