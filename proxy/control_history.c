#include "proxy/control_history.h"

#include <ctype.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/control_workers.h"
#include "proxy/eas.h"
#include "proxy/timeval.h"

enum {
	WORKERS_TIME_MS = 2000,
	RECORDS_MAX = 8 * 1024, /* of one answer: CONTROL_ANSWER_MAX holds their JSON */
	MAILBOXES_MAX = 32      /* a device is rarely in more than one */
};

struct kept {
	struct history_record record;
	uint32_t slot;
	uint16_t mailbox; /* its place */
	uint16_t place;   /* among those that came: of two in one millisecond the first is first */
};

/* A question that waits for workers. */
struct control_history {
	LIST_ENTRY(control_history) link;
	struct control *control;
	uint64_t number; /* of its client, control_await() */
	char device_id[EAS_DEVICE_ID_MAX + 1];
	struct event *timer;
	unsigned int unanswered; /* workers that have not said their last */
	bool is_cut;
	size_t mailbox_count, count;
	char mailboxes[MAILBOXES_MAX][MAILBOX_MAX + 1];
	struct kept *records; /* RECORDS_MAX */
};

static void history_free_question(struct control_history *history)
{
	LIST_REMOVE(history, link);
	if (history->timer != NULL)
		event_free(history->timer);
	free(history->records);
	free(history);
}

/* The answer */

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* What is 0 where there is nothing to say is left out. */
static void set_some(json_t *object, const char *key, uint64_t value)
{
	if (value != 0)
		set_number(object, key, value);
}

static void set_flag(
	json_t *object, const char *key, const struct history_record *record, unsigned int flag)
{
	if ((record->flags & flag) != 0)
		json_object_set_new(object, key, json_true());
}

static json_t *exchange_object(const struct control_history *history, const struct kept *kept)
{
	const struct history_record *record = &kept->record;
	json_t *object = json_object();
	char text[16];

	set_number(object, "at_ms", (uint64_t)record->began_s * 1000 + record->began_ms);
	set_number(object, "duration_us", record->duration_us);
	json_object_set_new(object, "mailbox", json_string(history->mailboxes[kept->mailbox]));
	json_object_set_new(object, "command",
		json_string(record->command == EAS_NO_COMMAND
				    ? "OPTIONS"
				    : eas_command_name((enum eas_command)record->command)));
	if (record->version != 0) {
		snprintf(text, sizeof(text), "%u.%u", record->version / 10U, record->version % 10U);
		json_object_set_new(object, "version", json_string(text));
	}
	set_number(object, "status", record->status);
	set_some(object, "endpoint_status", record->endpoint_status);
	set_some(object, "eas_status", record->eas_status);
	if (record->refusal != REFUSAL_NONE)
		json_object_set_new(object, "refusal",
			json_string(refusal_row((enum refusal)record->refusal)->name));
	set_number(object, "bytes_in", record->bytes_in);
	set_number(object, "bytes_out", record->bytes_out);
	set_some(object, "heartbeat", record->heartbeat_s);
	set_some(object, "collections", record->collections);
	set_some(object, "items", record->items);
	set_some(object, "answer_items", record->answer_items);
	set_flag(object, "poll", record, HISTORY_POLL);
	set_flag(object, "first", record, HISTORY_FIRST);
	set_flag(object, "has_more", record, HISTORY_HAS_MORE);
	set_flag(object, "answer_malformed", record, HISTORY_MALFORMED);
	set_flag(object, "own", record, HISTORY_OWN);
	set_number(object, "port", record->port);
	snprintf(text, sizeof(text), "%08x", (unsigned int)record->certificate);
	json_object_set_new(object, "certificate", json_string(text));
	set_number(object, "worker", kept->slot);
	return object;
}

static int compare(const void *a, const void *b)
{
	const struct kept *left = a, *right = b;

	if (left->record.began_s != right->record.began_s)
		return left->record.began_s < right->record.began_s ? -1 : 1;
	if (left->record.began_ms != right->record.began_ms)
		return (int)left->record.began_ms - (int)right->record.began_ms;
	return (int)left->place - (int)right->place;
}

/* Answers with what there is. */
static void history_end(struct control_history *history)
{
	struct control_client *client =
		control_find_waiting(history->control, CONTROL_WAIT_HISTORY, history->number);
	json_t *answer, *exchanges;

	if (client != NULL) {
		qsort(history->records, history->count, sizeof(*history->records), compare);
		answer = json_object();
		exchanges = json_array();
		for (size_t i = 0; i < history->count; i++)
			json_array_append_new(
				exchanges, exchange_object(history, &history->records[i]));
		json_object_set_new(answer, "device", json_string(history->device_id));
		json_object_set_new(answer, "exchanges", exchanges);
		set_number(answer, "unanswered", history->unanswered);
		json_object_set_new(answer, "cut", json_boolean(history->is_cut));
		control_answer(client, answer);
	}
	history_free_question(history);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	history_end(arg);
}

/* What workers say */

/* The place of a mailbox; MAILBOXES_MAX: there is no room for it. */
static size_t mailbox_place(struct control_history *history, const char *mailbox)
{
	size_t place = 0;

	while (place < history->mailbox_count && strcmp(history->mailboxes[place], mailbox) != 0)
		place++;
	if (place == history->mailbox_count && place < MAILBOXES_MAX) {
		snprintf(history->mailboxes[place], sizeof(history->mailboxes[place]), "%s",
			mailbox);
		history->mailbox_count++;
	}
	return place;
}

static void keep(struct control_history *history, uint32_t slot, const struct message_history *said)
{
	size_t place = mailbox_place(history, said->mailbox);

	for (uint32_t i = 0; i < said->count; i++) {
		if (place == MAILBOXES_MAX || history->count == RECORDS_MAX) {
			history->is_cut = true;
			return;
		}
		history->records[history->count] = (struct kept){.record = said->records[i],
			.slot = slot,
			.mailbox = (uint16_t)place,
			.place = (uint16_t)history->count};
		history->count++;
	}
}

void control_history_take(struct control *control, uint32_t slot, const struct message *message)
{
	const struct message_history *said = &message->u.history;
	struct control_history *history;

	LIST_FOREACH(history, &control->histories, link)
		if (history->number == said->id)
			break;
	if (history == NULL || strcmp(said->is_last ? history->device_id : said->device_id,
				       history->device_id) != 0)
		return; /* too late, or of nobody */
	keep(history, slot, said);
	if (said->is_last && history->unanswered > 0 && --history->unanswered == 0)
		history_end(history);
}

/* The question */

static struct control_history *history_new(struct control *control, const char *device_id)
{
	struct control_history *history = calloc(1, sizeof(*history));

	if (history == NULL)
		return NULL;
	LIST_INSERT_HEAD(&control->histories, history, link);
	history->control = control;
	snprintf(history->device_id, sizeof(history->device_id), "%s", device_id);
	for (char *at = history->device_id; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	history->records = calloc(RECORDS_MAX, sizeof(*history->records));
	history->timer = evtimer_new(control->base, on_time, history);
	if (history->records != NULL && history->timer != NULL)
		return history;
	history_free_question(history);
	return NULL;
}

void control_request_device_history(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	const struct timeval patience = timeval_of_ms(WORKERS_TIME_MS);
	const char *device_id = control_argument(request, "device");
	const char *mailbox = control_argument(request, "mailbox");
	struct message query = {.type = MESSAGE_HISTORY_QUERY};
	struct control_history *history;
	unsigned int told;

	if (device_id == NULL || strlen(device_id) > EAS_DEVICE_ID_MAX ||
		(mailbox != NULL && strlen(mailbox) > MAILBOX_MAX)) {
		control_answer_error(client, "whose history: a device id, and perhaps a mailbox");
		return;
	}
	history = history_new(control, device_id);
	if (history == NULL) {
		control_answer_error(client, "out of memory");
		return;
	}
	history->number = control_await(
		client, CONTROL_WAIT_HISTORY, 3 * WORKERS_TIME_MS, "the workers do not answer");
	query.u.history_query.id = history->number;
	snprintf(query.u.history_query.device_id, sizeof(query.u.history_query.device_id), "%s",
		history->device_id);
	for (size_t i = 0; mailbox != NULL && mailbox[i] != '\0'; i++)
		query.u.history_query.mailbox[i] = (char)tolower((unsigned char)mailbox[i]);
	told = control_workers_tell_all(control, &query);
	history->unanswered = control_workers_count(control);
	evtimer_add(history->timer, &patience);
	if (told == 0)
		history_end(history);
}
