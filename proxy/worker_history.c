#include "proxy/worker_history.h"

#include <stdio.h>
#include <string.h>

#include "proxy/worker_control.h"

struct answering {
	struct worker *worker;
	const struct message *query;
	bool has_failed;
};

static void send_records(struct answering *answering, const struct device_entry *entry,
	const struct history_record *records, size_t count)
{
	static struct message message; /* large */
	struct message_history *history = &message.u.history;

	message.type = MESSAGE_HISTORY;
	*history = (struct message_history){.id = answering->query->u.history_query.id,
		.count = (uint32_t)count,
		.is_last = entry == NULL};
	if (entry != NULL) {
		snprintf(history->mailbox, sizeof(history->mailbox), "%s",
			device_entry_mailbox(entry));
		snprintf(history->device_id, sizeof(history->device_id), "%s",
			device_entry_id(entry));
		memcpy(history->records, records, count * sizeof(*records));
	}
	answering->has_failed |= !worker_control_tell(answering->worker, &message);
}

static void send_device(struct answering *answering, const struct device_entry *entry)
{
	static struct history_record records[HISTORY_MAX];
	size_t count = history_copy(entry->history, records, HISTORY_MAX);

	for (size_t at = 0; at < count && !answering->has_failed; at += MESSAGE_HISTORY_RECORDS) {
		size_t here =
			count - at < MESSAGE_HISTORY_RECORDS ? count - at : MESSAGE_HISTORY_RECORDS;

		send_records(answering, entry, records + at, here);
	}
}

static void on_entry(void *context, struct device_entry *entry)
{
	struct answering *answering = context;

	if (!answering->has_failed &&
		strcmp(device_entry_id(entry), answering->query->u.history_query.device_id) == 0)
		send_device(answering, entry);
}

void worker_history_answer(struct worker *worker, const struct message *query)
{
	struct answering answering = {.worker = worker, .query = query};
	const struct device_entry *entry;

	if (query->u.history_query.mailbox[0] == '\0') {
		device_table_each(worker->devices, on_entry, &answering);
	} else {
		entry = device_table_find(worker->devices, query->u.history_query.mailbox,
			query->u.history_query.device_id);
		if (entry != NULL)
			send_device(&answering, entry);
	}
	if (!answering.has_failed)
		send_records(&answering, NULL, NULL, 0);
}
