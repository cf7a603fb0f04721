/* What a fleet has seen: times by kind of request, and what was wrong, grouped. */
#ifndef EASSIM_TALLY_H
#define EASSIM_TALLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum tally_kind {
	TALLY_HANDSHAKE,
	TALLY_OPTIONS,
	TALLY_PROVISION,
	TALLY_FOLDER_SYNC,
	TALLY_SETTINGS,
	TALLY_SYNC,
	TALLY_ITEM_OPERATIONS,
	TALLY_SEND_MAIL,
	TALLY_DELIVERY,  /* from SendMail to the Sync that brings the mail */
	TALLY_PING_LATE, /* how much later than its heartbeat an empty Ping came back */
	TALLY_KIND_COUNT
};

/* Log-linear: 32 steps to each power of two, so that a value is known to 3 %. */
enum { TALLY_STEPS = 32, TALLY_BUCKETS = 40 * TALLY_STEPS, TALLY_GROUPS_MAX = 64 };

struct tally_times {
	uint64_t count, sum_us, max_us;
	uint32_t buckets[TALLY_BUCKETS];
};

struct tally_group {
	char what[96];
	char example[320]; /* the first one */
	uint64_t count;
};

struct tally_groups {
	struct tally_group groups[TALLY_GROUPS_MAX];
	size_t count;
	uint64_t total;
};

struct tally {
	struct tally_times times[TALLY_KIND_COUNT];
	struct tally_groups wrong;   /* answers that are not right */
	struct tally_groups trouble; /* lost connections and "later": not wrong by themselves */
	uint64_t answers;
};

void tally_times_add(struct tally_times *times, uint64_t microseconds);
void tally_time(struct tally *tally, enum tally_kind kind, uint64_t microseconds);
void tally_add(struct tally_groups *groups, const char *what, const char *example);

/* The time that this share of all (0 to 1) does not exceed, in microseconds. */
uint64_t tally_percentile(const struct tally_times *times, double share);

void tally_print(const struct tally *tally, FILE *out);

/* The caller owns it. */
json_t *tally_json(const struct tally *tally);

#endif
