#include "proxy/identity_breaker.h"

enum {
	FAILURES_MAX = 3,         /* so many in a row, and it counts as down */
	PAUSE_MIN_MS = 500,       /* until one question tries it again */
	PAUSE_MAX_MS = 15 * 1000, /* doubled up to here */
};

bool breaker_is_resting(const struct breaker *breaker, int64_t now_ms)
{
	return breaker->is_down && (breaker->is_probing || now_ms < breaker->down_until_ms);
}

bool breaker_begin(struct breaker *breaker)
{
	breaker->is_probing = breaker->is_down;
	return breaker->is_down;
}

static enum breaker_news note_failure(
	struct breaker *breaker, bool is_probe, unsigned int weight, int64_t now_ms)
{
	bool was_down = breaker->is_down;

	/* What was under way when it went down says nothing new. */
	if (was_down && !is_probe)
		return BREAKER_SAME;
	breaker->failures += weight;
	if (!was_down && breaker->failures < FAILURES_MAX)
		return BREAKER_FAILS;
	breaker->is_down = true;
	breaker->pause_ms = was_down ? breaker->pause_ms * 2 : PAUSE_MIN_MS;
	if (breaker->pause_ms > PAUSE_MAX_MS)
		breaker->pause_ms = PAUSE_MAX_MS;
	breaker->down_until_ms = now_ms + breaker->pause_ms;
	return was_down ? BREAKER_SAME : BREAKER_DOWN;
}

enum breaker_news breaker_end(
	struct breaker *breaker, bool is_probe, enum breaker_outcome outcome, int64_t now_ms)
{
	bool was_down = breaker->is_down;

	if (is_probe)
		breaker->is_probing = false;
	switch (outcome) {
	case BREAKER_FAILED: return note_failure(breaker, is_probe, 1, now_ms);
	case BREAKER_OVERRUN: return note_failure(breaker, is_probe, 2, now_ms);
	case BREAKER_NOT_ASKED: return BREAKER_SAME;
	case BREAKER_ANSWERED: break;
	}
	breaker->is_down = false;
	breaker->failures = 0;
	return was_down ? BREAKER_UP : BREAKER_SAME;
}
