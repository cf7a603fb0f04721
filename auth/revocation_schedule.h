/*
 * When a CRL's location is looked at: arithmetic alone, without a clock of its own. For the
 * revocation process.
 */
#ifndef AUTH_REVOCATION_SCHEDULE_H
#define AUTH_REVOCATION_SCHEDULE_H

#include <stdint.h>

#include "config/model.h"

/* Of the CRL at hand; UNIX seconds. */
struct revocation_times {
	int64_t this_update, next_update;
	int64_t next_publish; /* 0: not said */
};

/* Milliseconds until the next look after one that went well. Where the CA says when it will publish
 * (Next Publish), a little after that; otherwise ahead of nextUpdate by a tenth of the CRL's
 * validity, a minute to an hour, but never more than half of it. At most config->refresh_ms, and at
 * least config->retry_ms. random spreads the looks of many proxies over a tenth of the wait. */
uint64_t revocation_wait_ms(const struct config_revocation *config,
	const struct revocation_times *times, int64_t now, uint64_t random);

/* After so many looks in a row that failed (at least 1): config->retry_ms, twice as long after each, at
 * most sixteen times as long and config->refresh_ms. */
uint64_t revocation_backoff_ms(
	const struct config_revocation *config, uint32_t failures, uint64_t random);

#endif
