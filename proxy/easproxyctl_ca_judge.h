/*
 * What is at one CRL location, and what is wrong with it, for easproxyctl ca lint: judged by the compiler that
 * the revocation process uses.
 */
#ifndef PROXY_EASPROXYCTL_CA_JUDGE_H
#define PROXY_EASPROXYCTL_CA_JUDGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/revocation_index.h"
#include "auth/trust_store.h"

/* A location being looked at. */
struct ca_location {
	const struct trust_store *store;
	size_t authority;
	bool is_delta;
	const char *url;
	uint64_t size_limit;
	uint32_t time_limit_ms;
	int64_t now;
};

/* Fetches and judges it. Returns an object: "authority", "subject", "kind" (crl, delta), "url", "ok",
 * "problems" and "remarks" (lists of texts), and what could be found out: "time_ms", "size", "form",
 * "number", "base_number", "this_update", "next_update", "next_publish", "issuer", "key_identifier", "signer",
 * "scope", "entries". For a delta base is the index of its CRL, NULL where that is not good; for a CRL that is good
 * *index gets its index, which the caller closes (NULL otherwise). */
json_t *ca_location_judge(const struct ca_location *location, const struct revocation_index *base,
	struct revocation_index **index);

#endif
