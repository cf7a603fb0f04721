/*
 * A verdict without what is empty in it: its arrays have room for the longest chain and the longest
 * names, and a usual one fills a seventh. For the verdict cache.
 */
#ifndef AUTH_VERDICT_PACKED_H
#define AUTH_VERDICT_PACKED_H

#include "auth/verify.h"

struct verdict_packed; /* opaque, one piece of memory: free() */

/* NULL when memory runs out. */
struct verdict_packed *verdict_pack(const struct verdict *verdict);

/* All of verdict; zeros where nothing was in use. */
void verdict_unpack(const struct verdict_packed *packed, struct verdict *verdict);

/* 32 octets, borrowed. */
const uint8_t *verdict_packed_sha256(const struct verdict_packed *packed);

#endif
