#include "wbxml/redact.h"

#include <stddef.h>
#include <string.h>

#include "wbxml/codepages.h"

static const struct row {
	uint16_t tag;
	uint8_t mask;
} rows[] = {
	/* MS-ASCMD: DevicePassword/Set, and the login for a document library, all in clear. */
	{WBXML_SETTINGS_PASSWORD, WBXML_MASK_SECRET},
	{WBXML_SEARCH_USERNAME, WBXML_MASK_SECRET},
	{WBXML_SEARCH_PASSWORD, WBXML_MASK_SECRET},
	{WBXML_ITEMOPERATIONS_USERNAME, WBXML_MASK_SECRET},
	{WBXML_ITEMOPERATIONS_PASSWORD, WBXML_MASK_SECRET},
	{WBXML_SETTINGS_IMEI, WBXML_MASK_LAST4},
	/* Messages. */
	{WBXML_COMPOSEMAIL_MIME, WBXML_MASK_MIME},
	{WBXML_EMAIL_MIMEDATA, WBXML_MASK_MIME},
	/* What is written in items. */
	{WBXML_AIRSYNCBASE_DATA, WBXML_MASK_CONTENT},
	{WBXML_AIRSYNCBASE_CONTENT, WBXML_MASK_CONTENT},
	{WBXML_AIRSYNCBASE_PREVIEW, WBXML_MASK_CONTENT},
	{WBXML_AIRSYNCBASE_LOCATION, WBXML_MASK_CONTENT},
	{WBXML_EMAIL_BODY, WBXML_MASK_CONTENT},
	{WBXML_EMAIL_SUBJECT, WBXML_MASK_CONTENT},
	{WBXML_EMAIL_THREADTOPIC, WBXML_MASK_CONTENT},
	{WBXML_EMAIL_LOCATION, WBXML_MASK_CONTENT},
	{WBXML_EMAIL2_UMUSERNOTES, WBXML_MASK_CONTENT},
	{WBXML_CALENDAR_BODY, WBXML_MASK_CONTENT},
	{WBXML_CALENDAR_SUBJECT, WBXML_MASK_CONTENT},
	{WBXML_CALENDAR_LOCATION, WBXML_MASK_CONTENT},
	{WBXML_TASKS_BODY, WBXML_MASK_CONTENT},
	{WBXML_TASKS_SUBJECT, WBXML_MASK_CONTENT},
	{WBXML_NOTES_SUBJECT, WBXML_MASK_CONTENT},
	{WBXML_ITEMOPERATIONS_DATA, WBXML_MASK_CONTENT},
	{WBXML_SETTINGS_REPLYMESSAGE, WBXML_MASK_CONTENT},
	/* What people look for, and find. */
	{WBXML_SEARCH_FREETEXT, WBXML_MASK_CONTENT},
	{WBXML_FIND_FREETEXT, WBXML_MASK_CONTENT},
	{WBXML_FIND_PREVIEW, WBXML_MASK_CONTENT},
	{WBXML_RESOLVERECIPIENTS_PICTURE, WBXML_MASK_CONTENT},
};

/* Pages of which every value is about a person. */
static const uint8_t content_pages[] = {
	WBXML_CONTACTS_BODY >> 8, WBXML_CONTACTS2_CUSTOMERID >> 8, WBXML_GAL_DISPLAYNAME >> 8};

static enum wbxml_mask mask_find(uint16_t tag)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].tag == tag)
			return (enum wbxml_mask)rows[i].mask;
	for (size_t i = 0; i < sizeof(content_pages); i++)
		if (content_pages[i] == tag >> 8)
			return WBXML_MASK_CONTENT;
	/* What nobody knows could be anything. */
	return wbxml_tag_find(tag >> 8, tag & 0x3F) == NULL ? WBXML_MASK_CONTENT : WBXML_MASK_NONE;
}

enum wbxml_mask wbxml_mask_of(uint16_t tag, unsigned int redact)
{
	enum wbxml_mask mask = redact != 0 ? mask_find(tag) : WBXML_MASK_NONE;
	bool is_secret = mask == WBXML_MASK_SECRET || mask == WBXML_MASK_LAST4;

	if (mask == WBXML_MASK_NONE)
		return mask;
	return (redact & (is_secret ? WBXML_REDACT_SECRETS : WBXML_REDACT_CONTENT)) != 0
		       ? mask
		       : WBXML_MASK_NONE;
}

/* Messages */

/* A line of message without its end, and how long it is with it; false: it does not end here. */
static bool line_take(struct span message, struct span *line, size_t *len)
{
	const uint8_t *end = message.len > 0 ? memchr(message.data, '\n', message.len) : NULL;

	if (end == NULL)
		return false;
	*len = (size_t)(end - message.data) + 1;
	*line = span_of(message.data, *len - 1);
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* Of the name that a line begins with; 0: it is no field. */
static size_t name_len(struct span line)
{
	size_t len = 0;

	while (len < line.len && line.data[len] > ' ' && line.data[len] < 0x7F &&
		line.data[len] != ':')
		len++;
	return len < line.len && line.data[len] == ':' ? len : 0;
}

static bool quotes_the_text(struct span name)
{
	static const char *const names[] = {
		"Subject", "Thread-Topic", "Comments", "Keywords", "Summary", "X-Preview"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal_nocase(name, names[i]))
			return true;
	return false;
}

static bool is_folded(struct span line)
{
	return line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
}

static void printable_append(struct wbxml_buffer *out, struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		uint8_t byte = line.data[i];

		if ((byte < ' ' && byte != '\t') || byte > '~')
			byte = '?';
		wbxml_buffer_append(out, &byte, 1);
	}
	wbxml_buffer_append(out, "\n", 1);
}

/* Whether there is a whole header. */
static bool has_head(struct span message)
{
	struct span line;
	size_t len;

	for (size_t at = 0; line_take(span_of(message.data + at, message.len - at), &line, &len);
		at += len) {
		if (line.len == 0)
			return at > 0;
		if (name_len(line) == 0 && (at == 0 || !is_folded(line)))
			return false;
	}
	return false;
}

void wbxml_mime_head(struct span message, struct wbxml_buffer *out)
{
	bool is_hidden = false;
	struct span line;
	size_t len;

	if (message.len > WBXML_MIME_HEAD_MAX)
		message.len = WBXML_MIME_HEAD_MAX;
	if (message.len == 0 || !has_head(message))
		return;
	while (line_take(message, &line, &len) && line.len > 0) {
		message = span_of(message.data + len, message.len - len);
		if (!is_folded(line))
			is_hidden = quotes_the_text(span_of(line.data, name_len(line)));
		if (!is_hidden)
			printable_append(out, line);
		else if (!is_folded(line))
			printable_append(out, span_of(line.data, name_len(line) + 1));
	}
}
