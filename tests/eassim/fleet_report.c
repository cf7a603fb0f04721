#include "fleet_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void fleet_progress(const struct fleet *fleet)
{
	bool is_terminal = isatty(STDOUT_FILENO) != 0;

	if (fleet->options.is_quiet || fleet->options.is_verbose)
		return;
	printf("%s%4.0f s  %u of %u phones in, %u asleep; %" PRIu64 " answers, %" PRIu64
	       " wrong; %" PRIu64 " lost or put off; %u letters, %u arrived%s",
		is_terminal ? "\r" : "", (double)(now_us() - fleet->started_us) / 1e6,
		fleet->enrolled, fleet->options.devices, fleet->asleep, fleet->tally.answers,
		fleet->tally.wrong.total, fleet->tally.trouble.total, fleet->letter_count,
		fleet->letters_arrived, is_terminal ? "\033[K" : "\n");
	fflush(stdout);
}

/* A letter that the server has taken must have arrived; one that it has not is trouble. */
static void letters_settle(struct fleet *fleet)
{
	char subject[400];

	for (uint32_t i = 0; i < fleet->letter_count; i++) {
		const struct letter *letter = &fleet->letters[i];

		if (letter->is_arrived)
			continue;
		letter_subject(fleet, i, subject, sizeof(subject));
		tally_add(letter->is_accepted ? &fleet->tally.wrong : &fleet->tally.trouble,
			letter->is_accepted ? "a letter was taken and never came"
					    : "a letter could not be sent",
			subject);
	}
}

static void phones_settle(struct fleet *fleet)
{
	const struct run_options *options = &fleet->options;
	char text[96];

	if (options->expected != FATE_NONE) {
		if (fleet->fates[options->expected] < options->devices) {
			snprintf(text, sizeof(text), "%u of %u", fleet->fates[options->expected],
				options->devices);
			tally_add(&fleet->tally.wrong, "not every phone ended as expected", text);
		}
	} else if (options->expects_refusal) {
		if (fleet->refused < options->devices) {
			snprintf(text, sizeof(text), "%u of %u", fleet->refused, options->devices);
			tally_add(&fleet->tally.wrong, "not every phone was refused", text);
		}
	} else if (fleet->enrolled < options->devices) {
		snprintf(text, sizeof(text), "%u of %u", fleet->enrolled, options->devices);
		tally_add(
			&fleet->tally.wrong, "not every phone got as far as its first Ping", text);
	}
}

static int json_write(const struct fleet *fleet, bool is_right)
{
	json_t *all = tally_json(&fleet->tally), *fates = json_object();
	FILE *file = strcmp(fleet->options.json_file, "-") == 0
			     ? stdout
			     : fopen(fleet->options.json_file, "we");
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"devices", fleet->options.devices},
		{"enrolled", fleet->enrolled},
		{"asleep", fleet->asleep},
		{"refused", fleet->refused},
		{"connects", fleet->world.connects},
		{"stale_connections", fleet->stale},
		{"handshakes", fleet->world.handshakes},
		{"letters", fleet->letter_count},
		{"letters_arrived", fleet->letters_arrived},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(
			all, numbers[i].name, json_integer((json_int_t)numbers[i].value));
	for (unsigned int i = FATE_NONE + 1; i < PHONE_FATE_COUNT; i++)
		json_object_set_new(
			fates, phone_fate_name((enum phone_fate)i), json_integer(fleet->fates[i]));
	json_object_set_new(
		all, "seconds", json_real((double)(now_us() - fleet->started_us) / 1e6));
	json_object_set_new(all, "fates", fates);
	json_object_set_new(all, "right", json_boolean(is_right));
	if (file == NULL) {
		perror(fleet->options.json_file);
		json_decref(all);
		return -1;
	}
	json_dumpf(all, file, JSON_INDENT(1));
	fputc('\n', file);
	json_decref(all);
	return file == stdout ? 0 : fclose(file);
}

static const char *verdict(const struct fleet *fleet, bool is_right)
{
	if (fleet->options.expected != FATE_NONE)
		return is_right ? "every phone ended as expected"
				: "NOT every phone ended as expected";
	if (fleet->options.expects_refusal)
		return is_right ? "every phone was refused" : "NOT every phone was refused";
	return is_right ? "every answer was right" : "NOT every answer was right";
}

bool fleet_summary(struct fleet *fleet)
{
	bool is_right;

	letters_settle(fleet);
	phones_settle(fleet);
	is_right = fleet->tally.wrong.total == 0 &&
		   (!fleet->options.is_strict || fleet->tally.trouble.total == 0);
	if (!fleet->options.is_quiet) {
		if (!fleet->options.expects_refusal)
			fleet_progress(fleet);
		if (isatty(STDOUT_FILENO))
			putchar('\n');
		if (!fleet->options.is_verbose || !is_right)
			tally_print(&fleet->tally, stdout);
		if (fleet->stale > 0)
			printf("connections found closed when used again: %u\n", fleet->stale);
		printf("%s\n", verdict(fleet, is_right));
	} else if (!is_right) {
		tally_print(&fleet->tally, stdout);
	}
	fflush(stdout);
	if (fleet->options.json_file != NULL && json_write(fleet, is_right) != 0)
		return false;
	return is_right;
}
