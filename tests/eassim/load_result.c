/* What `eassim load` has found out. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "load.h"

static const char *const end_names[LOAD_END_COUNT] = {
	[LOAD_RIGHT] = "right",
	[LOAD_OVER] = "over",
	[LOAD_NOT_CONNECTED] = "not-connected",
	[LOAD_UNTRUSTED] = "untrusted",
	[LOAD_REFUSED] = "refused",
	[LOAD_LOST] = "lost",
	[LOAD_TIMED_OUT] = "timed-out",
	[LOAD_MALFORMED] = "malformed",
	[LOAD_STATUS] = "wrong-status",
	[LOAD_CONTENT] = "wrong-content",
};

uint64_t load_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t cpu_us(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

void load_result_begin(struct load *load)
{
	load->result = (struct load_result){.begun_us = load_now_us(), .cpu_begun_us = cpu_us()};
}

void load_result_end_of(struct load_line *line, enum load_end end, const char *why)
{
	struct load_result *result = &line->load->result;
	char example[320];

	if (end == LOAD_RIGHT) {
		result->right++;
		tally_times_add(&result->times, load_now_us() - line->asked_us);
	} else if (end == LOAD_OVER) {
		result->over++;
	} else {
		snprintf(example, sizeof(example), "phone %u: %s", line->phone, why);
		tally_add(&result->errors, end_names[end], example);
	}
}

uint64_t load_result_ended(const struct load *load)
{
	return load->result.right + load->result.over + load->result.errors.total;
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

json_t *load_result_json(const struct load *load)
{
	const struct load_result *result = &load->result;
	json_t *all = json_object(), *errors = json_object(), *examples = json_object();
	json_t *latency = json_object();

	for (size_t i = 0; i < result->errors.count; i++) {
		const struct tally_group *group = &result->errors.groups[i];

		json_object_set_new(errors, group->what, number(group->count));
		json_object_set_new(examples, group->what, json_string(group->example));
	}
	json_object_set_new(latency, "p50", number(tally_percentile(&result->times, 0.5)));
	json_object_set_new(latency, "p99", number(tally_percentile(&result->times, 0.99)));
	json_object_set_new(latency, "max", number(result->times.max_us));
	json_object_set_new(all, "count", number(load_result_ended(load)));
	json_object_set_new(all, "right", number(result->right));
	json_object_set_new(all, "over", number(result->over));
	json_object_set_new(all, "wrong", number(result->errors.total));
	json_object_set_new(all, "errors", errors);
	json_object_set_new(all, "examples", examples);
	json_object_set_new(all, "connects", number(result->connects));
	json_object_set_new(all, "handshakes", number(result->handshakes));
	json_object_set_new(all, "stale", number(result->stale));
	json_object_set_new(all, "latency_us", latency);
	json_object_set_new(all, "elapsed_us", number(load_now_us() - result->begun_us));
	json_object_set_new(all, "load_cpu_us", number(cpu_us() - result->cpu_begun_us));
	return all;
}

void load_print(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	puts(text != NULL ? text : "{}");
	fflush(stdout);
	free(text);
	json_decref(value);
}
