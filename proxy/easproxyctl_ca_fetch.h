/*
 * One location fetched as the revocation process would, for easproxyctl ca lint.
 */
#ifndef PROXY_EASPROXYCTL_CA_FETCH_H
#define PROXY_EASPROXYCTL_CA_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "config/model.h"

struct ca_fetched {
	uint8_t *data; /* owned; NULL where there is nothing */
	size_t len;
	uint32_t time_ms;
	char failure[512]; /* "": it came */
};

/* Waits until the location has answered or a bound is met. ca_fetched_clear() is due after it. */
void ca_fetch(
	const char *url, uint64_t size_limit, uint32_t time_limit_ms, struct ca_fetched *fetched);
void ca_fetched_clear(struct ca_fetched *fetched);

/* The bounds that the configuration sets; those by default where it has faults, or path is NULL. */
void ca_fetch_bounds(const char *config_path, uint64_t *size_limit, uint32_t *time_limit_ms);

#endif
