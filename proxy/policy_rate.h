/*
 * How often a device may come, as a rule says: one number for each such rule and device, the moment from
 * which on it has used up nothing (the generic cell rate algorithm). For workers.
 */
#ifndef PROXY_POLICY_RATE_H
#define PROXY_POLICY_RATE_H

#include "proxy/policy.h"

struct policy_buckets {
	uint64_t free_us[POLICY_RATES_MAX]; /* by policy_rate.slot; 0: since ever */
};

/* Counts a request. 0: it may pass; else after how many seconds one may. */
uint32_t policy_rate_take(
	const struct policy_rate *rate, struct policy_buckets *buckets, uint64_t now_us);

#endif
