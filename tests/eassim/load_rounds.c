/* `eassim load handshakes` and `requests`, and the visits before `park`. */
#include <stdlib.h>

#include "load.h"

static uint64_t asked, wanted; /* of this round */
/* 0: each line is one phone; else a line is so many phones in turn, each on a connection of its own. */
static uint32_t phones_in_turn;
static uint32_t next_phone;

static void count_no_connection(struct load_line *line, const char *why)
{
	load_result_end_of(line, LOAD_NOT_CONNECTED, why);
}

/* A line that is free takes the next one, if any is left. */
static void ask_next(struct load_line *line, enum bench_kind kind)
{
	const char *why;

	while (asked < wanted) {
		asked++;
		if (phones_in_turn > 0)
			line->phone = next_phone++ % phones_in_turn;
		if (load_line_ask(line, kind, &why) == 0)
			return;
		count_no_connection(line, why);
	}
}

static void run_round(struct load *load, uint64_t count, enum bench_kind kind)
{
	asked = 0;
	wanted = count;
	load_result_begin(load);
	for (uint32_t i = 0; i < load->line_count; i++)
		ask_next(&load->lines[i], kind);
	while (load_result_ended(load) < wanted)
		load_step(load, 1000);
}

static int finish(struct load *load, const char *mode)
{
	json_t *json = load_result_json(load);

	json_object_set_new(json, "mode", json_string(mode));
	json_object_set_new(json, "kind", json_string(bench_kind_name(load->options.kind)));
	load_print(json);
	return load->result.errors.total == 0 && load->result.over == 0 ? 0 : 1;
}

static void on_visit_end(struct load_line *line, enum load_end end, const char *why)
{
	load_result_end_of(line, end, why);
	load_line_close(line);
	ask_next(line, line->kind);
}

int load_handshakes(struct load *load, struct error *err)
{
	if (load_lines_make(load, load->options.connections, err) != 0)
		return -1;
	load->options.kind = BENCH_OPTIONS;
	load->on_end = on_visit_end;
	phones_in_turn = UINT32_MAX; /* certificates begin again when all have been shown */
	if (load->options.warm_up > 0)
		run_round(load, load->options.warm_up, BENCH_OPTIONS);
	load_warm(load);
	run_round(load, load->options.count, BENCH_OPTIONS);
	return finish(load, "handshakes");
}

static void on_request_end(struct load_line *line, enum load_end end, const char *why)
{
	load_result_end_of(line, end, why);
	ask_next(line, line->kind);
}

int load_requests(struct load *load, struct error *err)
{
	const struct load_options *options = &load->options;

	if (load_lines_make(load, options->connections, err) != 0)
		return -1;
	load->on_end = on_request_end;
	/* Connecting is no part of it: each connection has asked before it counts. */
	run_round(load, options->connections + options->warm_up, options->kind);
	if (load->result.errors.total > 0)
		return finish(load, "requests");
	load_warm(load);
	run_round(load, options->count, options->kind);
	return finish(load, "requests");
}

int load_visits(struct load *load, struct error *err)
{
	const struct load_options *options = &load->options;

	if (load_lines_make(load, options->connections, err) != 0)
		return -1;
	load->on_end = on_visit_end;
	phones_in_turn = options->count;
	run_round(load, options->warm_up, options->kind);
	phones_in_turn = 0;
	for (uint32_t i = 0; i < load->line_count; i++)
		load_line_close(&load->lines[i]);
	free(load->lines);
	load->lines = NULL;
	load->line_count = 0;
	return 0;
}
