/* The fleet as a whole: starts its phones at a rate, has letters written, knows when it is over. */
#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "commands.h"
#include "fleet.h"
#include "fleet_report.h"

static const struct timeval TICK = {.tv_usec = 50000};
static const double TICK_S = 0.05;
enum { LETTERS_WAIT_S = 10, PARK_WAIT_S = 120, TICKS_IN_SECOND = 20, PROGRESS_PLAIN_S = 5 };

/* http(s)://host[:port][/path] */
static int url_read(struct fleet *fleet, char host[256], char port[8], struct error *err)
{
	const char *url = fleet->options.url, *at = strstr(url, "://"), *path, *colon;
	size_t len;

	fleet->is_tls = strncmp(url, "https://", 8) == 0;
	if (at == NULL || (!fleet->is_tls && strncmp(url, "http://", 7) != 0))
		return error_set(err, "%s: a URL begins with http:// or https://", url);
	at += 3;
	len = strcspn(at, "/");
	path = at[len] != '\0' ? at + len : "/Microsoft-Server-ActiveSync";
	if (len == 0 || len >= sizeof(fleet->authority) || strlen(path) >= sizeof(fleet->path))
		return error_set(err, "%s: no host, or too long", url);
	snprintf(fleet->authority, sizeof(fleet->authority), "%.*s", (int)len, at);
	snprintf(fleet->path, sizeof(fleet->path), "%s", path);
	snprintf(host, 256, "%s", fleet->authority);
	colon = strrchr(fleet->authority, ':');
	snprintf(port, 8, "%s", fleet->is_tls ? "443" : "80");
	if (colon != NULL && strchr(colon, ']') == NULL) {
		host[colon - fleet->authority] = '\0';
		snprintf(port, 8, "%s", colon + 1);
	}
	if (host[0] == '[') {
		memmove(host, host + 1, strlen(host));
		host[strcspn(host, "]")] = '\0';
	}
	return 0;
}

static int target_find(struct fleet *fleet, struct error *err)
{
	char *host = fleet->host;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char port[8];
	int result;

	if (url_read(fleet, host, port, err) != 0)
		return -1;
	result = getaddrinfo(host, port, &hints, &found);
	if (result != 0)
		return error_set(err, "looking up %s: %s", host, gai_strerror(result));
	memcpy(&fleet->world.address, found->ai_addr, found->ai_addrlen);
	fleet->world.address_len = found->ai_addrlen;
	freeaddrinfo(found);
	fleet->world.server_name =
		fleet->options.server_name != NULL ? fleet->options.server_name : host;
	return 0;
}

static void fleet_start_some(struct fleet *fleet)
{
	fleet->start_debt += fleet->options.rate * TICK_S;
	while (fleet->start_debt >= 1 && fleet->started < fleet->options.devices) {
		phone_start(&fleet->phones[fleet->started], fleet, fleet->started);
		fleet->started++;
		fleet->start_debt--;
	}
}

static uint32_t chance(uint32_t below)
{
	return (uint32_t)(random() % (long)below);
}

/* A sleeping phone writes to someone who has a phone in, himself perhaps. */
static void fleet_send_one(struct fleet *fleet)
{
	uint32_t recipient = chance(fleet->user_count);
	uint32_t number = chance(fleet->started);
	uint32_t letter;

	if (fleet->users[recipient].phones_enrolled == 0)
		return;
	for (uint32_t i = 0; i < fleet->started; i++, number = (number + 1) % fleet->started)
		if (fleet->phones[number].is_asleep)
			break;
	if (!fleet->phones[number].is_asleep)
		return;
	letter = letter_new(fleet, recipient);
	if (letter != NO_LETTER)
		phone_send_letter(&fleet->phones[number], letter);
}

static void fleet_send_some(struct fleet *fleet)
{
	if (fleet->is_ending || fleet->enrolled == 0 || fleet->options.park_s > 0)
		return;
	fleet->send_debt += fleet->options.send_rate * TICK_S;
	while (fleet->send_debt >= 1) {
		fleet->send_debt--;
		fleet_send_one(fleet);
	}
}

static bool is_json_on_stdout(const struct run_options *options)
{
	return options->json_file != NULL && strcmp(options->json_file, "-") == 0;
}

/* Parked: everyone has entered Ping. Held for so long, then over. */
static bool park_is_over(struct fleet *fleet, double seconds)
{
	const struct run_options *options = &fleet->options;

	if (fleet->ending_us == 0 && fleet->asleep == options->devices) {
		fleet->ending_us = now_us();
		fprintf(is_json_on_stdout(options) ? stderr : stdout,
			"%sparked %u phones after %.1f s\n", options->is_quiet ? "" : "\n",
			fleet->asleep, seconds);
		fflush(stdout);
	}
	if (fleet->ending_us != 0)
		return now_us() - fleet->ending_us >= (uint64_t)options->park_s * 1000000;
	return seconds > PARK_WAIT_S + 4 * options->devices / options->rate;
}

static bool fleet_is_over(struct fleet *fleet)
{
	const struct run_options *options = &fleet->options;
	double seconds = (double)(now_us() - fleet->started_us) / 1e6;

	if (options->park_s > 0)
		return park_is_over(fleet, seconds);
	if (fleet->done == options->devices)
		return true;
	if (!fleet->is_ending && seconds >= options->duration_s) {
		fleet->is_ending = true;
		fleet->ending_us = now_us();
	}
	return fleet->is_ending &&
	       (fleet->letters_arrived == fleet->letter_count ||
		       now_us() - fleet->ending_us >= LETTERS_WAIT_S * UINT64_C(1000000));
}

static void fleet_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct fleet *fleet = arg;
	uint64_t ticks = (now_us() - fleet->started_us) / (uint64_t)TICK.tv_usec;

	(void)fd;
	(void)what;
	fleet_start_some(fleet);
	fleet_send_some(fleet);
	if (ticks % (uint64_t)(TICKS_IN_SECOND * (isatty(STDOUT_FILENO) ? 1 : PROGRESS_PLAIN_S)) ==
		0)
		fleet_progress(fleet);
	if (fleet_is_over(fleet))
		event_base_loopbreak(fleet->base);
}

static void fleet_on_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	event_base_loopbreak(arg);
}

static void fleet_on_handshake(void *arg, uint64_t microseconds)
{
	struct fleet *fleet = arg;

	tally_time(&fleet->tally, TALLY_HANDSHAKE, microseconds);
}

/* Each phone is an open file, and a few are needed beside. */
static int files_suffice(const struct fleet *fleet, struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < fleet->options.devices + 64)
		return error_set(err,
			"%u phones need as many open files, and only %llu are allowed",
			fleet->options.devices, (unsigned long long)limit.rlim_cur);
	return 0;
}

int fleet_open(struct fleet *fleet, struct error *err)
{
	if (files_suffice(fleet, err) != 0 || target_find(fleet, err) != 0 ||
		source_range_read(fleet->options.source, &fleet->source_first, &fleet->source_count,
			err) != 0 ||
		pki_load(fleet, err) != 0)
		return -1;
	fleet->base = event_base_new();
	fleet->phones = calloc(fleet->options.devices, sizeof(*fleet->phones));
	fleet->world.read_buffer = malloc(LINE_READ_SIZE);
	if (fleet->base == NULL || fleet->phones == NULL || fleet->world.read_buffer == NULL)
		return error_set(err, "out of memory");
	fleet->world.base = fleet->base;
	fleet->world.on_handshake = fleet_on_handshake;
	fleet->world.handshake_arg = fleet;
	srandom(fleet->options.seed);
	return 0;
}

bool fleet_run(struct fleet *fleet)
{
	struct event *on_int = evsignal_new(fleet->base, SIGINT, fleet_on_signal, fleet->base);
	struct event *on_term = evsignal_new(fleet->base, SIGTERM, fleet_on_signal, fleet->base);
	bool is_right;

	fleet->tick = event_new(fleet->base, -1, EV_PERSIST, fleet_on_tick, fleet);
	event_add(on_int, NULL);
	event_add(on_term, NULL);
	event_add(fleet->tick, &TICK);
	fleet->started_us = now_us();
	event_base_dispatch(fleet->base);
	is_right = fleet_summary(fleet);
	event_free(on_int);
	event_free(on_term);
	event_free(fleet->tick);
	return is_right;
}

void fleet_close(struct fleet *fleet)
{
	for (uint32_t i = 0; i < fleet->started; i++)
		phone_stop(&fleet->phones[i]);
	identities_free(fleet->identities);
	tls_client_free(fleet->world.tls);
	free(fleet->phones);
	free(fleet->users);
	free(fleet->letters);
	free(fleet->world.read_buffer);
	if (fleet->base != NULL)
		event_base_free(fleet->base);
}
