#include "proxy/policy_rate.h"

enum { SECOND_US = 1000000 };

uint32_t policy_rate_take(
	const struct policy_rate *rate, struct policy_buckets *buckets, uint64_t now_us)
{
	uint64_t *free_us = &buckets->free_us[rate->slot];
	uint64_t time_us = (uint64_t)rate->time_s * SECOND_US;
	uint64_t cost_us = time_us / rate->count;
	uint64_t begin_us = *free_us > now_us ? *free_us : now_us;

	/* All of them may come at once; then one for each cost_us. */
	if (begin_us + cost_us > now_us + time_us)
		return (uint32_t)((begin_us + cost_us - now_us - time_us + SECOND_US - 1) /
				  SECOND_US);
	*free_us = begin_us + cost_us;
	return 0;
}
