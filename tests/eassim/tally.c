#include "tally.h"

#include <inttypes.h>
#include <string.h>

static const char *const kind_names[TALLY_KIND_COUNT] = {
	[TALLY_HANDSHAKE] = "TLS handshake",
	[TALLY_OPTIONS] = "OPTIONS",
	[TALLY_PROVISION] = "Provision",
	[TALLY_FOLDER_SYNC] = "FolderSync",
	[TALLY_SETTINGS] = "Settings",
	[TALLY_SYNC] = "Sync",
	[TALLY_ITEM_OPERATIONS] = "ItemOperations",
	[TALLY_SEND_MAIL] = "SendMail",
	[TALLY_DELIVERY] = "mail to phone",
	[TALLY_PING_LATE] = "Ping lateness",
};

static size_t bucket_of(uint64_t microseconds)
{
	unsigned int shift = 0;
	size_t bucket;

	while (microseconds >> shift >= (uint64_t)2 * TALLY_STEPS)
		shift++;
	bucket = (size_t)(microseconds >> shift) + (size_t)shift * TALLY_STEPS;
	return bucket < TALLY_BUCKETS ? bucket : TALLY_BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t bucket_value(size_t bucket)
{
	unsigned int shift =
		bucket < (size_t)2 * TALLY_STEPS ? 0 : (unsigned int)(bucket / TALLY_STEPS - 1);
	uint64_t low = ((uint64_t)bucket - (uint64_t)shift * TALLY_STEPS) << shift;

	return low + ((UINT64_C(1) << shift) >> 1);
}

void tally_times_add(struct tally_times *times, uint64_t microseconds)
{
	times->count++;
	times->sum_us += microseconds;
	if (microseconds > times->max_us)
		times->max_us = microseconds;
	times->buckets[bucket_of(microseconds)]++;
}

void tally_time(struct tally *tally, enum tally_kind kind, uint64_t microseconds)
{
	tally_times_add(&tally->times[kind], microseconds);
}

uint64_t tally_percentile(const struct tally_times *times, double share)
{
	double wanted = (double)times->count * share;
	uint64_t seen = 0, value;

	for (size_t i = 0; i < TALLY_BUCKETS; i++) {
		seen += times->buckets[i];
		if (seen > 0 && (double)seen >= wanted) {
			value = bucket_value(i);
			return value < times->max_us ? value : times->max_us;
		}
	}
	return times->max_us;
}

void tally_add(struct tally_groups *groups, const char *what, const char *example)
{
	struct tally_group *group;
	size_t at = 0;

	groups->total++;
	while (at < groups->count &&
		strncmp(groups->groups[at].what, what, sizeof(groups->groups[at].what) - 1) != 0)
		at++;
	if (at == TALLY_GROUPS_MAX) {
		groups->groups[TALLY_GROUPS_MAX - 1].count++;
		return;
	}
	group = &groups->groups[at];
	if (at == groups->count) {
		groups->count++;
		snprintf(group->what, sizeof(group->what), "%s", what);
		snprintf(group->example, sizeof(group->example), "%s", example);
	}
	group->count++;
}

static void groups_print(const struct tally_groups *groups, const char *title, FILE *out)
{
	if (groups->count > 0)
		fprintf(out, "%s: %" PRIu64 "\n", title, groups->total);
	for (size_t i = 0; i < groups->count; i++)
		fprintf(out, "  %6" PRIu64 " x %s\n           such as %s\n",
			groups->groups[i].count, groups->groups[i].what, groups->groups[i].example);
}

void tally_print(const struct tally *tally, FILE *out)
{
	fprintf(out, "%-16s %9s %9s %9s %9s %9s  ms\n", "", "count", "p50", "p90", "p99", "max");
	for (int i = 0; i < TALLY_KIND_COUNT; i++) {
		const struct tally_times *times = &tally->times[i];

		if (times->count == 0)
			continue;
		fprintf(out, "%-16s %9" PRIu64 " %9.1f %9.1f %9.1f %9.1f\n", kind_names[i],
			times->count, (double)tally_percentile(times, 0.5) / 1000,
			(double)tally_percentile(times, 0.9) / 1000,
			(double)tally_percentile(times, 0.99) / 1000, (double)times->max_us / 1000);
	}
	groups_print(&tally->trouble, "lost connections and put-offs", out);
	groups_print(&tally->wrong, "WRONG", out);
}

static json_t *groups_json(const struct tally_groups *groups)
{
	json_t *list = json_array();

	for (size_t i = 0; i < groups->count; i++) {
		json_t *group = json_object();

		json_object_set_new(group, "what", json_string(groups->groups[i].what));
		json_object_set_new(group, "example", json_string(groups->groups[i].example));
		json_object_set_new(
			group, "count", json_integer((json_int_t)groups->groups[i].count));
		json_array_append_new(list, group);
	}
	return list;
}

json_t *tally_json(const struct tally *tally)
{
	json_t *all = json_object(), *kinds = json_object();

	for (int i = 0; i < TALLY_KIND_COUNT; i++) {
		const struct tally_times *times = &tally->times[i];

		if (times->count > 0)
			json_object_set_new(kinds, kind_names[i],
				json_pack("{s:I, s:I, s:I, s:I, s:I}", "count",
					(json_int_t)times->count, "p50_us",
					(json_int_t)tally_percentile(times, 0.5), "p90_us",
					(json_int_t)tally_percentile(times, 0.9), "p99_us",
					(json_int_t)tally_percentile(times, 0.99), "max_us",
					(json_int_t)times->max_us));
	}
	json_object_set_new(all, "answers", json_integer((json_int_t)tally->answers));
	json_object_set_new(all, "times", kinds);
	json_object_set_new(all, "wrong", groups_json(&tally->wrong));
	json_object_set_new(all, "wrong_total", json_integer((json_int_t)tally->wrong.total));
	json_object_set_new(all, "trouble", groups_json(&tally->trouble));
	json_object_set_new(all, "trouble_total", json_integer((json_int_t)tally->trouble.total));
	return all;
}
