/* `eassim load park`: phones that sleep in Ping, and what they are told on standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "load.h"

enum {
	BUSY_MAX = 128, /* connecting or in a handshake at a time */
	STEP_MS = 10,   /* while they come */
	COMMAND_MAX = 64
};

/* After a failure, so that a server that is not there is not hammered. */
static const uint64_t PAUSE_US = 50000;

enum doing { DOING_NOTHING, DOING_PARK, DOING_RECONNECT, DOING_WAKE };

static const char *const doing_names[] = {"nothing", "park", "reconnect", "wake"};

static struct park {
	struct poller_item input;
	struct load *load;
	enum doing doing;
	bool parks_again; /* after a wake */
	bool is_over;
	uint32_t level;                  /* so many are to sleep: the first ones */
	uint32_t next;                   /* the line to look at next */
	uint32_t parked, busy, answered; /* lines */
	uint64_t begun_us, progress_us, pause_until_us;
	uint64_t started; /* since begun_us */
	char command[COMMAND_MAX];
	size_t command_len;
	int status;
} park;

static void park_line_set(struct load_line *line, bool is_parked)
{
	if (line->is_parked != is_parked)
		park.parked += is_parked ? 1 : UINT32_MAX;
	line->is_parked = is_parked;
}

static void park_line_set_busy(struct load_line *line, bool is_busy)
{
	if (line->is_busy != is_busy)
		park.busy += is_busy ? 1 : UINT32_MAX;
	line->is_busy = is_busy;
}

static void park_line_ask(struct load_line *line)
{
	const char *why;

	park_line_set_busy(line, true);
	if (load_line_ask(line, BENCH_PING, &why) == 0)
		return;
	park_line_set_busy(line, false);
	park.pause_until_us = load_now_us() + PAUSE_US;
	load_result_end_of(line, LOAD_NOT_CONNECTED, why);
}

static void on_asked(struct load_line *line)
{
	park_line_set_busy(line, false);
	park_line_set(line, true);
	park.progress_us = load_now_us();
}

static void on_end(struct load_line *line, enum load_end end, const char *why)
{
	bool is_answer = end == LOAD_RIGHT || end == LOAD_OVER;

	load_result_end_of(line, end, why);
	park_line_set(line, false);
	park_line_set_busy(line, false);
	if (!is_answer) {
		park.pause_until_us = load_now_us() + PAUSE_US;
		return;
	}
	park.progress_us = load_now_us();
	if (!line->was_answered)
		park.answered++;
	line->was_answered = true;
	if (park.doing == DOING_WAKE && park.parks_again)
		park_line_ask(line);
}

/* Those who are not parked, so many in a second. */
static void park_some(void)
{
	struct load *load = park.load;
	uint64_t now = load_now_us(), due = UINT64_MAX;

	if (now < park.pause_until_us)
		return;
	if (load->options.pace > 0)
		due = (now - park.begun_us) * load->options.pace / 1000000 + 1;
	for (uint32_t seen = 0; seen < park.level && park.busy < BUSY_MAX && park.started < due &&
				park.pause_until_us <= now;
		seen++) {
		struct load_line *line = &load->lines[park.next];

		park.next = (park.next + 1) % park.level;
		if (line->is_parked || line->is_busy)
			continue;
		park.started++;
		park_line_ask(line);
	}
}

static void park_begin(enum doing doing)
{
	park.doing = doing;
	park.begun_us = park.progress_us = load_now_us();
	park.started = 0;
	park.pause_until_us = 0;
}

/* One line of JSON under the name of what was asked, and the counts begin anew. */
static void park_report(const char *what)
{
	json_t *json = load_result_json(park.load), *all = json_object();

	if (park.load->result.errors.total > 0 && strcmp(what, "reconnect") != 0)
		park.status = 1;
	json_object_del(json, "latency_us");
	json_object_set_new(json, "parked", json_integer(park.parked));
	json_object_set_new(json, "answered", json_integer(park.answered));
	json_object_set_new(json, "phones", json_integer(park.load->line_count));
	json_object_set_new(
		json, "took_us", json_integer((json_int_t)(load_now_us() - park.begun_us)));
	if (strcmp(what, "park") == 0) {
		json_object_del(json, "count");
		load_print(json);
		json_decref(all);
	} else {
		json_object_set_new(all, what, json);
		load_print(all);
	}
	load_result_begin(park.load);
}

static void park_forget_answers(void)
{
	for (uint32_t i = 0; i < park.load->line_count; i++)
		park.load->lines[i].was_answered = false;
	park.answered = 0;
}

static void park_finish(void)
{
	bool is_whole = park.parked == park.level;

	if (park.doing == DOING_WAKE)
		is_whole = park.answered == park.level && (is_whole || !park.parks_again);
	if (!is_whole)
		park.status = 1;
	park_report(doing_names[park.doing]);
	park_forget_answers();
	park.doing = DOING_NOTHING;
}

/* Goes on with what was asked for, until it is done or nothing has happened for --timeout. */
static void park_go_on(void)
{
	bool is_done = park.parked == park.level;

	if (park.doing == DOING_WAKE)
		is_done = park.answered == park.level && (is_done || !park.parks_again);
	else if (!is_done)
		park_some();
	if (is_done || load_now_us() - park.progress_us >=
			       (uint64_t)park.load->options.timeout_s * 1000000)
		park_finish();
}

static void command_wake(bool parks_again)
{
	park_begin(DOING_WAKE);
	park.parks_again = parks_again;
	/* Those who were answered before they were asked to wait for it. */
	for (uint32_t i = 0; parks_again && i < park.level; i++) {
		struct load_line *line = &park.load->lines[i];

		if (line->was_answered && !line->is_parked && !line->is_busy)
			park_line_ask(line);
	}
}

static void command_reconnect(bool closes_all)
{
	for (uint32_t i = 0; closes_all && i < park.load->line_count; i++) {
		load_line_close(&park.load->lines[i]);
		park_line_set(&park.load->lines[i], false);
		park_line_set_busy(&park.load->lines[i], false);
	}
	load_result_begin(park.load);
	park_begin(DOING_RECONNECT);
}

/* "park N": the first N of the phones sleep from now on; no fewer than do already. */
static void command_park(const char *text)
{
	struct error err;
	uint32_t level;

	if (option_number(text, park.parked > 0 ? park.parked : 1, park.load->line_count, &level,
		    &err) != 0) {
		load_print(json_pack("{s:s}", "error", err.text));
		return;
	}
	park.level = level;
	park_begin(DOING_PARK);
}

static void command_take(const char *command)
{
	if (strncmp(command, "park ", 5) == 0) {
		command_park(command + 5);
	} else if (strcmp(command, "ping-check") == 0) {
		park.begun_us = load_now_us();
		if (park.parked != park.level)
			park.status = 1;
		park_report(command);
	} else if (strcmp(command, "wake") == 0) {
		command_wake(true);
	} else if (strcmp(command, "wake idle") == 0) {
		command_wake(false);
	} else if (strcmp(command, "reconnect") == 0) {
		command_reconnect(false);
	} else if (strcmp(command, "reconnect all") == 0) {
		command_reconnect(true);
	} else if (strcmp(command, "quit") == 0) {
		park.is_over = true;
	} else {
		load_print(json_pack("{s:s}", "error",
			"park N, ping-check, wake, wake idle, reconnect, reconnect all or quit"));
	}
}

/* Commands wait in the pipe while one is under way. */
static void on_input(struct poller_item *item)
{
	char byte;
	ssize_t got = 0;

	while (park.doing == DOING_NOTHING && !park.is_over &&
		(got = read(item->fd, &byte, 1)) == 1) {
		if (byte != '\n') {
			if (park.command_len < COMMAND_MAX - 1)
				park.command[park.command_len++] = byte;
			continue;
		}
		park.command[park.command_len] = '\0';
		park.command_len = 0;
		command_take(park.command);
	}
	if (park.doing == DOING_NOTHING && (got == 0 || (got == -1 && errno != EAGAIN)))
		park.is_over = true;
}

static void park_listen(bool listens)
{
	/* A file cannot be waited for: it is read at once. */
	if (poller_want(&park.load->poller, &park.input, listens ? EPOLLIN : 0) != 0)
		on_input(&park.input);
}

int load_park(struct load *load, struct error *err)
{
	const struct load_options *options = &load->options;

	load_result_begin(load);
	if (options->warm_up > 0 && load_visits(load, err) != 0)
		return -1;
	if (load_lines_make(load, options->count, err) != 0)
		return -1;
	park = (struct park){
		.load = load, .input = {.on_ready = on_input, .fd = STDIN_FILENO}, .parked = 0};
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	load->on_end = on_end;
	load->on_asked = on_asked;
	if (load->result.errors.total > 0)
		park.status = 1;
	if (options->holds) {
		json_t *json = load_result_json(load);

		json_object_set_new(
			json, "warm", json_integer((json_int_t)load_result_ended(load)));
		load_print(json);
	} else {
		park.level = options->count;
		park_begin(DOING_PARK);
	}
	load_result_begin(load);
	while (!park.is_over) {
		park_listen(park.doing == DOING_NOTHING);
		if (park.is_over)
			break;
		load_step(load, park.doing == DOING_NOTHING ? 1000 : STEP_MS);
		if (park.doing != DOING_NOTHING)
			park_go_on();
	}
	park.begun_us = load_now_us();
	park_report("quit");
	return park.status;
}
