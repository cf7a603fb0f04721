#include "proxy/governor_state.h"

enum {
	REPEAT = 60, /* one repetition; a second leaks one of these */
	NEW_SYNC = 1,
	REQUEST = 4, /* four times a new Sync */
	NOT_FOUND = GOVERNOR_KEYS
};

static uint32_t less(uint32_t from, uint64_t amount)
{
	return amount >= from ? 0 : from - (uint32_t)amount;
}

/* Sixteen bits hold a thousand repetitions; more are no other case. */
static uint32_t repeats_full(const struct governor_limits *limits)
{
	uint32_t most = UINT16_MAX / REPEAT - 1;

	return (limits->repeats < most ? limits->repeats : most) * REPEAT;
}

static void leak(struct governor_state *state, const struct governor_limits *limits, uint32_t now_s)
{
	uint32_t seconds = now_s - state->leaked_s;
	/* Who was told to wait has not calmed down by waiting: that shows afterwards. */
	uint32_t waited_s = 0;

	if (state->retry_s != 0) {
		uint32_t until = state->retry_s < now_s ? state->retry_s : now_s;

		waited_s = until > state->leaked_s ? until - state->leaked_s : 0;
	}
	for (int i = 0; i < GOVERNOR_KEYS; i++)
		state->repeated[i] = (uint16_t)less(state->repeated[i], seconds - waited_s);
	state->asked = less(state->asked, (uint64_t)seconds * limits->per_minute * REQUEST / 60);
	state->leaked_s = now_s;
}

static int find_key(const struct governor_state *state, uint32_t key)
{
	for (int i = 0; i < GOVERNOR_KEYS; i++)
		if (state->keys[i] == key)
			return i;
	return NOT_FOUND;
}

/* Notes the Sync; true: it is another than those before. */
static bool note_key(
	struct governor_state *state, const struct governor_limits *limits, uint32_t key)
{
	uint32_t most = repeats_full(limits) + REPEAT;
	int at = find_key(state, key);

	if (at != NOT_FOUND) {
		uint32_t level = state->repeated[at] + (uint32_t)REPEAT;

		state->repeated[at] = (uint16_t)(level < most ? level : most);
		return false;
	}
	/* In the place of the least repeated one, of equals the oldest: new ones come in front. */
	at = GOVERNOR_KEYS - 1;
	for (int i = GOVERNOR_KEYS - 2; i >= 0; i--)
		if (state->repeated[i] < state->repeated[at])
			at = i;
	for (; at > 0; at--) {
		state->keys[at] = state->keys[at - 1];
		state->repeated[at] = state->repeated[at - 1];
	}
	state->keys[0] = key;
	state->repeated[0] = 0;
	return true;
}

static uint32_t most_repeated(const struct governor_state *state)
{
	uint32_t most = 0;

	for (int i = 0; i < GOVERNOR_KEYS; i++)
		if (state->repeated[i] > most)
			most = state->repeated[i];
	return most;
}

/* An episode ends when its bucket is less than half full, so that it does not flicker. */
static void note_calm(struct governor_state *state, const struct governor_limits *limits,
	struct governor_ruling *ruling)
{
	if ((state->loop & GOVERNOR_LOOP_KEY) != 0 && state->retry_s == 0 &&
		most_repeated(state) < repeats_full(limits) / 2) {
		ruling->ended |= GOVERNOR_LOOP_KEY;
		state->steps = 0;
		state->looping_key = 0;
	}
	if ((state->loop & GOVERNOR_LOOP_RATE) != 0 &&
		state->asked < limits->per_minute * REQUEST / 2)
		ruling->ended |= GOVERNOR_LOOP_RATE;
	state->loop &= (uint8_t)~ruling->ended;
}

static void begin(
	struct governor_state *state, enum governor_loop loop, struct governor_ruling *ruling)
{
	if ((state->loop & loop) == 0)
		ruling->begun |= (uint8_t)loop;
	state->loop |= (uint8_t)loop;
}

static uint32_t scatter_by_quarter(uint32_t seconds, uint32_t random)
{
	return seconds - seconds / 4 + (uint32_t)((uint64_t)random * (seconds / 4 * 2 + 1) >> 32);
}

/* The same Sync again, when it is a loop: refused for a growing time, and after each one is let
 * through to see whether the answer is of use by now. */
static void rule_on_repetition(struct governor_state *state, uint32_t key, uint32_t now_s,
	uint32_t random, struct governor_ruling *ruling)
{
	uint32_t wait_s = GOVERNOR_RETRY_S;

	begin(state, GOVERNOR_LOOP_KEY, ruling);
	for (uint8_t i = 0; i < state->steps && wait_s < GOVERNOR_RETRY_MAX_S; i++)
		wait_s *= 2;
	if (wait_s > GOVERNOR_RETRY_MAX_S)
		wait_s = GOVERNOR_RETRY_MAX_S;
	if (state->steps < UINT8_MAX)
		state->steps++;
	ruling->retry_after_s = scatter_by_quarter(wait_s, random);
	state->retry_s = now_s + ruling->retry_after_s;
	state->looping_key = key;
}

static void rule_on_key(struct governor_state *state, const struct governor_limits *limits,
	uint32_t key, uint32_t now_s, uint32_t random, struct governor_ruling *ruling)
{
	int at = find_key(state, key);

	if (state->retry_s != 0 && now_s < state->retry_s && key == state->looping_key) {
		ruling->retry_after_s = state->retry_s - now_s;
		return;
	}
	if (state->retry_s != 0 && now_s >= state->retry_s) {
		state->retry_s = 0;
		if (key == state->looping_key)
			return; /* the one that is let through */
	}
	if (at != NOT_FOUND && state->repeated[at] >= repeats_full(limits))
		rule_on_repetition(state, key, now_s, random, ruling);
}

static void rule_on_rate(struct governor_state *state, const struct governor_limits *limits,
	uint32_t cost, uint32_t random, struct governor_ruling *ruling)
{
	uint32_t full = limits->per_minute * REQUEST;
	uint64_t delay_ms;

	state->asked += cost;
	if (state->asked <= full)
		return;
	begin(state, GOVERNOR_LOOP_RATE, ruling);
	delay_ms = (uint64_t)(state->asked - full) * 60 * 1000 / full;
	if (delay_ms <= GOVERNOR_DELAY_MAX_MS) {
		ruling->delay_ms = (uint32_t)delay_ms;
		return;
	}
	/* On many connections at once. What is refused does not count, or it would never end. */
	state->asked -= cost;
	ruling->retry_after_s = scatter_by_quarter(GOVERNOR_RETRY_S, random);
}

struct governor_ruling governor_state_rule(struct governor_state *state,
	const struct governor_limits *limits, uint32_t key, int64_t now_ms, uint32_t random)
{
	struct governor_ruling ruling = {0};
	uint32_t now_s = (uint32_t)(now_ms / 1000) + 1; /* never 0 */
	uint32_t cost = REQUEST;

	leak(state, limits, now_s);
	if (key != 0 && note_key(state, limits, key))
		cost = NEW_SYNC;
	if (key != 0 && limits->repeats > 0)
		rule_on_key(state, limits, key, now_s, random, &ruling);
	else if (now_s >= state->retry_s)
		state->retry_s = 0;
	if (limits->per_minute > 0 && ruling.retry_after_s == 0)
		rule_on_rate(state, limits, cost, random, &ruling);
	note_calm(state, limits, &ruling);
	return ruling;
}

void governor_state_forgive(struct governor_state *state, uint32_t key)
{
	int at = key == 0 ? NOT_FOUND : find_key(state, key);

	if (at != NOT_FOUND)
		state->repeated[at] = (uint16_t)less(state->repeated[at], REPEAT);
}

uint32_t governor_scatter(uint32_t seconds, uint32_t random)
{
	uint32_t from = seconds - seconds / 2;

	if (from == 0)
		from = 1;
	return from + (uint32_t)((uint64_t)random * (seconds + 1) >> 32);
}

uint32_t governor_heartbeat(uint32_t asked, uint32_t unit_s, uint32_t min_s, uint32_t max_s)
{
	uint32_t least = (min_s + unit_s - 1) / unit_s;
	uint32_t most = max_s / unit_s;

	if (asked < least)
		asked = least;
	if (asked > most)
		asked = most;
	return asked > 0 ? asked : 1;
}
