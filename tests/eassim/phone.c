/* One phone: asks, looks at the answer, goes on; sleeps, wakes, and comes back after a loss. */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

enum { ANSWER_TIMEOUT_S = 60, POLL_MARGIN_S = 60, PAUSE_FIRST_MS = 100, PAUSE_MAX_MS = 10000 };

static void phone_ask(struct phone *phone);

const char *phone_step_name(const struct phone *phone)
{
	static const char *const names[PHONE_STEP_COUNT] = {"OPTIONS", "Provision", "Provision",
		"FolderSync", "Settings", "Sync", "Sync", "ItemOperations", "Ping", "SendMail",
		"Provision"};

	return names[phone->step];
}

void phone_say(const struct phone *phone, const char *format, ...)
{
	va_list args;

	if (!phone->fleet->options.is_verbose)
		return;
	printf("%s %-14s ", phone->user->name, phone_step_name(phone));
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void phone_example(const struct phone *phone, const char *detail, char *text, size_t size)
{
	char id[33];

	phone_device_id(phone, id);
	snprintf(text, size, "%s of %s (%s): %s", phone_step_name(phone), phone->user->name, id,
		detail);
}

void phone_wrong(struct phone *phone, const char *what, const char *detail)
{
	char example[320], named[96];

	phone_say(phone, "WRONG: %s: %s", what, detail);
	phone_example(phone, detail, example, sizeof(example));
	snprintf(named, sizeof(named), "%s: %s", phone_step_name(phone), what);
	tally_add(&phone->fleet->tally.wrong, named, example);
}

static void phone_set_asleep(struct phone *phone, bool is_asleep)
{
	if (is_asleep != phone->is_asleep)
		phone->fleet->asleep += is_asleep ? 1 : UINT32_MAX;
	phone->is_asleep = is_asleep;
}

static void phone_finish(struct phone *phone)
{
	phone_set_asleep(phone, false);
	line_close(&phone->line);
	if (!phone->is_done)
		phone->fleet->done++;
	phone->is_done = true;
}

void phone_stop(struct phone *phone)
{
	if (phone->has_timer)
		event_del(&phone->timer);
	phone->has_timer = false;
	line_close(&phone->line);
}

static void phone_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct phone *phone = arg;

	(void)fd;
	(void)what;
	phone->has_timer = false;
	phone_ask(phone);
}

static void phone_pause(struct phone *phone, uint32_t milliseconds)
{
	struct timeval time = {.tv_sec = milliseconds / 1000,
		.tv_usec = (suseconds_t)(milliseconds % 1000) * 1000};

	event_assign(&phone->timer, phone->fleet->base, -1, 0, phone_on_timer, phone);
	event_add(&phone->timer, &time);
	phone->has_timer = true;
}

/* 100 ms, 200, 400 … 10 s, spread so that a fleet does not come back as one. */
static uint32_t phone_back_off(struct phone *phone)
{
	uint32_t pause = (uint32_t)PAUSE_FIRST_MS << (phone->tries < 7 ? phone->tries : 7);

	if (phone->tries < UINT8_MAX)
		phone->tries++;
	if (pause > PAUSE_MAX_MS)
		pause = PAUSE_MAX_MS;
	return pause / 2 + (uint32_t)random() % (pause / 2 + 1);
}

/* What has been agreed may be void: from the start, or, where only the SyncKey is, from there. */
static void phone_start_over(struct phone *phone)
{
	if (phone->step > PHONE_SETTINGS && phone->step != PHONE_SYNC_START &&
		phone->sync_key[0] == '\0') {
		phone->newest = 0;
		phone->step = PHONE_SYNC_START;
	} else if (phone->tries > 2) {
		phone->newest = 0;
		phone->sync_key[0] = '\0';
		phone->step = PHONE_OPTIONS;
	} else if (phone->step == PHONE_ACKNOWLEDGE) {
		phone->step = PHONE_PROVISION;
	} else if (phone->step == PHONE_SEND) {
		phone->letter = NO_LETTER; /* it will be missed at the end */
		phone->step = PHONE_SYNC;
	}
}

static void phone_note_time(struct phone *phone, enum phone_step step)
{
	static const enum tally_kind kinds[PHONE_STEP_COUNT] = {
		[PHONE_OPTIONS] = TALLY_OPTIONS,
		[PHONE_PROVISION] = TALLY_PROVISION,
		[PHONE_ACKNOWLEDGE] = TALLY_PROVISION,
		[PHONE_FOLDERS] = TALLY_FOLDER_SYNC,
		[PHONE_SETTINGS] = TALLY_SETTINGS,
		[PHONE_SYNC_START] = TALLY_SYNC,
		[PHONE_SYNC] = TALLY_SYNC,
		[PHONE_FETCH] = TALLY_ITEM_OPERATIONS,
		[PHONE_SEND] = TALLY_SEND_MAIL,
		[PHONE_WIPE] = TALLY_PROVISION,
	};

	phone->fleet->tally.answers++;
	if (step != PHONE_PING)
		tally_time(&phone->fleet->tally, kinds[step], now_us() - phone->asked_us);
}

/* It has met its fate: wiped, blocked and the like. */
static void phone_end(struct phone *phone)
{
	struct fleet *fleet = phone->fleet;
	enum phone_fate fate = (enum phone_fate)phone->fate;

	fleet->fates[fate]++;
	if (fate != fleet->options.expected)
		phone_wrong(phone, phone_fate_words(fate), fleet->fate_text);
	else if (!fleet->options.is_quiet)
		printf("%s %s: %s\n", phone->user->name, phone_fate_words(fate), fleet->fate_text);
	fflush(stdout);
	phone_finish(phone);
}

static void phone_on_right(struct phone *phone, enum phone_step answered)
{
	phone->tries = 0;
	/* Provision and FolderSync are what it was told to do. */
	if (answered > PHONE_FOLDERS) {
		phone->told = 0;
		phone->has_provisioned_for_403 = false;
	}
	if (phone->step == PHONE_PING && !phone->is_enrolled) {
		phone->is_enrolled = true;
		phone->fleet->enrolled++;
		phone->user->phones_enrolled++;
		if (phone->fleet->options.ends_when_synced) {
			phone_finish(phone);
			return;
		}
	}
	if (phone->step == PHONE_PING && phone->fleet->options.is_stuck)
		phone->step = PHONE_SYNC;
	phone_ask(phone);
}

static void phone_on_answer(struct phone *phone, const struct line_answer *answer)
{
	enum phone_step step = (enum phone_step)phone->step;
	uint32_t pause_s = 0;
	int result = phone_check(phone, answer, &pause_s);

	phone_note_time(phone, step);
	if (phone->fleet->options.expects_refusal) {
		phone_wrong(phone, "was let in", "the phone ought to be refused");
		phone_finish(phone);
	} else if (result == PHONE_RIGHT) {
		phone_on_right(phone, step);
	} else if (result == PHONE_TOLD) {
		phone_ask(phone);
	} else if (result == PHONE_ENDED) {
		phone_end(phone);
	} else if (result == PHONE_LATER) {
		phone_pause(phone, pause_s * 1000 + phone_back_off(phone));
	} else {
		phone_start_over(phone);
		phone_pause(phone, phone_back_off(phone));
	}
}

/* A connection that ended is not a wrong answer: the same is asked again. */
static void phone_on_lost(struct phone *phone, const char *what, const char *why)
{
	char example[320], named[96];

	phone_example(phone, why, example, sizeof(example));
	snprintf(named, sizeof(named), "%s: %s", phone_step_name(phone), what);
	tally_add(&phone->fleet->tally.trouble, named, example);
	phone_say(phone, "%s: %s", what, why);
	if (phone->step == PHONE_WIPE) {
		phone_wipe(phone);
		phone_end(phone);
		return;
	}
	if (phone->step == PHONE_SEND)
		phone->may_have_been_sent = true;
	if (phone->step == PHONE_ACKNOWLEDGE)
		phone->step = PHONE_PROVISION;
	phone_pause(phone, phone_back_off(phone));
}

/* RFC 9112 9.3.1: a server may close a connection that it thinks idle just when it is used again. */
static void phone_ask_again(struct phone *phone)
{
	phone->fleet->stale++;
	phone->may_have_been_sent = phone->step == PHONE_SEND;
	phone_ask(phone);
}

static void phone_on_refused(struct phone *phone, const char *why)
{
	if (!phone->fleet->options.expects_refusal) {
		phone_wrong(phone, "refused in the TLS handshake", why);
		phone_pause(phone, phone_back_off(phone));
		return;
	}
	if (phone->fleet->refused++ == 0 || phone->fleet->options.is_verbose)
		printf("%s is refused: %s\n", phone->user->name, why);
	phone_finish(phone);
}

static void phone_on_end(void *arg, enum line_end end, const struct line_answer *answer)
{
	struct phone *phone = arg;

	phone_set_asleep(phone, false);
	switch (end) {
	case LINE_ANSWER: phone_on_answer(phone, answer); break;
	case LINE_REFUSED: phone_on_refused(phone, answer->why); break;
	case LINE_LOST:
		if (answer->is_stale && !phone->fleet->options.is_strict)
			phone_ask_again(phone);
		else
			phone_on_lost(phone, "connection lost", answer->why);
		break;
	case LINE_MALFORMED:
		phone_wrong(phone, "not HTTP", answer->why);
		phone_pause(phone, phone_back_off(phone));
		break;
	case LINE_UNTRUSTED:
		phone_wrong(phone, "the server is not to be trusted", answer->why);
		phone_pause(phone, phone_back_off(phone));
		break;
	}
}

/* Asks what the present step is about. */
static void phone_ask(struct phone *phone)
{
	struct fleet *fleet = phone->fleet;
	struct wbxml_buffer request = {.limit = 0};
	struct sockaddr_in source = {.sin_family = AF_INET};
	enum http_method method;
	uint32_t timeout_s = ANSWER_TIMEOUT_S;

	if (phone->step == PHONE_PING) {
		timeout_s = phone->heartbeat_s + POLL_MARGIN_S;
		phone_set_asleep(phone, true);
	}
	if (fleet->source_count > 0)
		source.sin_addr.s_addr =
			htonl(fleet->source_first + phone->number % fleet->source_count);
	phone_request_write(phone, &request, &method);
	phone->asked_us = now_us();
	line_ask(&phone->line, fleet->identities, (uint32_t)(phone->user - fleet->users),
		fleet->source_count > 0 ? (const struct sockaddr *)&source : NULL, method, &request,
		timeout_s);
}

void phone_start(struct phone *phone, struct fleet *fleet, uint32_t number)
{
	*phone = (struct phone){.fleet = fleet,
		.user = &fleet->users[number % fleet->user_count],
		.number = number,
		.letter = NO_LETTER,
		.heartbeat_s = fleet->options.heartbeat_s};
	if (fleet->options.only_pings) {
		phone->step = PHONE_PING;
		snprintf(phone->inbox, sizeof(phone->inbox), "5"); /* as eassim serve has it */
	}
	line_init(&phone->line, &fleet->world, phone_on_end, phone);
	phone_ask(phone);
}

bool phone_send_letter(struct phone *phone, uint32_t letter)
{
	if (!phone->is_asleep || phone->is_done)
		return false;
	/* A phone that wants to send gives up its Ping with its connection. */
	line_close(&phone->line);
	phone_set_asleep(phone, false);
	phone->letter = letter;
	phone->may_have_been_sent = false;
	phone->step = PHONE_SEND;
	phone->fleet->letters[letter].sent_us = now_us();
	phone_ask(phone);
	return true;
}
