#include "tests/bench/sync_answer.h"

#include "wbxml/writer.h"

static void write_message(struct wbxml_writer *writer)
{
	static const struct {
		uint16_t tag;
		const char *text;
	} rows[] = {
		{WBXML_EMAIL_TO, "\"Anna Beispiel\" <anna@example.com>"},
		{WBXML_EMAIL_FROM, "\"Bo\" <bo@example.org>"},
		{WBXML_EMAIL_SUBJECT, "Minutes of the meeting"},
		{WBXML_EMAIL_DATERECEIVED, "2026-11-23T09:00:00.000Z"},
		{WBXML_EMAIL_DISPLAYTO, "Anna Beispiel"},
		{WBXML_EMAIL_IMPORTANCE, "1"},
		{WBXML_EMAIL_READ, "0"},
		{WBXML_EMAIL_MESSAGECLASS, "IPM.Note"},
		{WBXML_EMAIL2_SENDER, "bo@example.org"},
	};

	wbxml_write_start(writer, WBXML_AIRSYNC_ADD);
	wbxml_write_element(writer, WBXML_AIRSYNC_SERVERID, "5:17");
	wbxml_write_start(writer, WBXML_AIRSYNC_APPLICATIONDATA);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		wbxml_write_element(writer, rows[i].tag, rows[i].text);
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_ATTACHMENTS);
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_ATTACHMENT);
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_DISPLAYNAME, "minutes.pdf");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_FILEREFERENCE, "5%3a17%3a0");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE, "184320");
	wbxml_write_end(writer);
	wbxml_write_end(writer);
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_BODY);
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_TYPE, "1");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_DATA,
		"A preview of a message as phones ask for it, which is some 250 characters long "
		"for most of "
		"them: it is what they show in the list of messages below the subject, and what "
		"they search "
		"in when the network is away, so that they ask for it again and again.");
	wbxml_write_end(writer);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

struct wbxml_buffer sync_answer_make(size_t size_min)
{
	struct wbxml_buffer document = {.limit = size_min + 65536};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &document);
	wbxml_write_start(&writer, WBXML_AIRSYNC_SYNC);
	wbxml_write_start(&writer, WBXML_AIRSYNC_COLLECTIONS);
	wbxml_write_start(&writer, WBXML_AIRSYNC_COLLECTION);
	wbxml_write_element(&writer, WBXML_AIRSYNC_SYNCKEY, "2");
	wbxml_write_element(&writer, WBXML_AIRSYNC_COLLECTIONID, "5");
	wbxml_write_element(&writer, WBXML_AIRSYNC_STATUS, "1");
	wbxml_write_start(&writer, WBXML_AIRSYNC_COMMANDS);
	while (document.len < size_min && !document.has_failed)
		write_message(&writer);
	for (int i = 0; i < 4; i++)
		wbxml_write_end(&writer);
	return document;
}
