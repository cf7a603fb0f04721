/* Answers of the rooms: whatever is asked, the document is one that our own reader takes, and is
 * bounded; and what was given out in quarantine is known again when the phone is let in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/room_quarantine_reply.h"
#include "proxy/room_wipe_reply.h"
#include "wbxml/reader.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

struct input {
	const uint8_t *bytes;
	size_t len;
};

static uint32_t take(struct input *input)
{
	if (input->len == 0)
		return 0;
	input->len--;
	return *input->bytes++;
}

/* A text as the view gives it: printable, NUL-terminated. */
static struct span take_text(struct input *input, char text[32])
{
	size_t len = take(input) % 32;

	if (len >= 24)
		len = (size_t)snprintf(text, 32, "{easproxy}%u", take(input) % 8);
	else
		for (size_t i = 0; i < len; i++)
			text[i] = (char)(' ' + take(input) % 95);
	return span_of(text, len);
}

static void check_document(const struct room_reply *reply)
{
	static const struct wbxml_limits limits = {.depth = 32, .elements = 2000};
	struct wbxml_reader reader;
	enum wbxml_event event = WBXML_MORE;

	require(!reply->document.has_failed);
	if (reply->outcome != ROOM_ANSWER || reply->document.len == 0)
		return;
	wbxml_reader_init(&reader, &limits);
	wbxml_reader_feed(&reader, reply->document.data, reply->document.len);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE)
		;
	require(event != WBXML_ERROR);
	wbxml_reader_finish(&reader);
	require(reader.fault == WBXML_FAULT_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const unsigned int versions[] = {0, 25, 120, 121, 140, 141, 160, 161};
	static const struct room_message message = {.mailbox = "anna@example.com",
		.from = "postmaster@example.com",
		.subject = "Gr\xc3\xbc\xc3\x9f"
			   "e",
		.text = "One line.\r\nAnother.\r\n",
		.received = 1795424400};
	struct input input = {bytes, len};
	char texts[2 * ROOM_COLLECTIONS_MAX + 1][32];
	struct room_question question = {0};
	struct room_wipe_order order;
	struct room_reply reply = {0};
	uint32_t flags = take(&input);

	question.is_options = (flags & 1) != 0 && (flags & 2) != 0;
	question.command = (enum eas_command)(take(&input) % (EAS_COMMAND_COUNT + 1));
	question.version = versions[take(&input) % 8];
	question.has_policy_key = (flags & 4) != 0;
	question.has_body = (flags & 8) == 0;
	question.is_partial = (flags & 16) != 0;
	question.has_device_info = (flags & 32) != 0;
	question.asks_user_info = question.asks_oof = (flags & 64) != 0;
	question.acknowledges_key = (flags & 128) != 0;
	question.heartbeat_s = take(&input) * 16;
	question.acknowledged = (enum room_wipe_kind)(take(&input) % 3);
	question.acknowledged_status = take(&input) % 4;
	question.adds = take(&input) % 2;
	question.other_changes = take(&input) % 2;
	question.fetches = take(&input) % 2;
	order.kind = take(&input) % 2 == 0 ? ROOM_WIPE_DEVICE : ROOM_WIPE_ACCOUNT;
	order.is_done = take(&input) % 2 == 0;
	question.folder_key = take_text(&input, texts[2 * ROOM_COLLECTIONS_MAX]);
	question.collection_count = take(&input) % (ROOM_COLLECTIONS_MAX + 2);
	for (uint32_t i = 0; i < ROOM_COLLECTIONS_MAX && i < question.collection_count; i++) {
		question.collections[i].id = take_text(&input, texts[2 * i]);
		question.collections[i].key = take_text(&input, texts[2 * i + 1]);
	}

	room_wipe_reply(&order, &question, &reply);
	check_document(&reply);
	require(!(reply.is_wiped && reply.has_failed_to_wipe));
	require(question.acknowledged != ROOM_WIPE_NONE || !reply.is_wiped);
	require(reply.outcome != ROOM_HOLD);
	room_reply_free(&reply);

	for (int is_over = 0; is_over < 2; is_over++) {
		reply = (struct room_reply){0};
		room_quarantine_reply(&message, &question, is_over != 0, &reply);
		check_document(&reply);
		require(reply.outcome != ROOM_HOLD ||
			(is_over == 0 && reply.hold_s > 0 && reply.hold_s <= ROOM_HEARTBEAT_MAX));
		room_reply_free(&reply);
	}

	reply = (struct room_reply){0};
	if (room_quarantine_release(&question, &reply))
		check_document(&reply);
	else
		require(question.command != EAS_FOLDER_SYNC ||
			!room_quarantine_is_ours(question.folder_key));
	room_reply_free(&reply);
	return 0;
}
