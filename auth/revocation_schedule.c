#include "auth/revocation_schedule.h"

enum {
	MARGIN_MIN = 60,   /* seconds before nextUpdate: */
	MARGIN_MAX = 3600, /* a tenth of the validity, within these bounds */
	SPREAD_PART = 10,
	BACKOFF_STEPS = 4, /* doublings */
};

/* Seconds from now until the next CRL should be there. */
static int64_t seconds_until_next(
	const struct revocation_times *times, int64_t now, uint64_t random)
{
	int64_t validity = times->next_update - times->this_update;
	int64_t margin = validity / 10;

	if (margin < MARGIN_MIN)
		margin = MARGIN_MIN;
	if (margin > MARGIN_MAX)
		margin = MARGIN_MAX;
	if (margin > validity / 2)
		margin = validity / 2;
	/* A CA that is late is looked for again as nextUpdate comes near. */
	if (times->next_publish > now && times->next_publish < times->next_update) {
		int64_t room = times->next_update - times->next_publish;

		if (room > margin)
			room = margin;
		return times->next_publish - now + 1 + (int64_t)(random % (uint64_t)(room / 2 + 1));
	}
	return times->next_update - margin - now;
}

uint64_t revocation_wait_ms(const struct config_revocation *config,
	const struct revocation_times *times, int64_t now, uint64_t random)
{
	int64_t seconds = seconds_until_next(times, now, random);
	uint64_t wait_ms = seconds < 0 ? 0 : (uint64_t)seconds * 1000;

	if (seconds > config->refresh_ms / 1000)
		wait_ms = config->refresh_ms;
	if (wait_ms < config->retry_ms)
		wait_ms = config->retry_ms;
	/* Shorter, never longer; but not before the CA said that it publishes. */
	if (times->next_publish > now && wait_ms < config->refresh_ms)
		return wait_ms;
	return wait_ms - random % (wait_ms / SPREAD_PART + 1);
}

uint64_t revocation_backoff_ms(
	const struct config_revocation *config, uint32_t failures, uint64_t random)
{
	uint64_t wait_ms = config->retry_ms;

	for (uint32_t i = 1; i < failures && i <= BACKOFF_STEPS; i++)
		wait_ms *= 2;
	if (wait_ms > config->refresh_ms && config->refresh_ms > config->retry_ms)
		wait_ms = config->refresh_ms;
	return wait_ms - random % (wait_ms / SPREAD_PART + 1);
}
