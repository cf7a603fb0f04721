#include "proxy/body_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/gunzip.h"
#include "wbxml/xml.h"

enum {
	TABLE_ENTRY = 8, /* of a multipart body: offset and length */
	PARTS_SHOWN = 32,
	AUTODISCOVER_WITHIN = 512, /* bytes of an XML body stands its root's name */
	TEXT_WITHIN = 512          /* bytes it shows whether a body is text */
};

/* Compressed bodies */

bool body_is_gzip(struct span body)
{
	return body.len >= 3 && body.data[0] == 0x1f && body.data[1] == 0x8b && body.data[2] == 8;
}

static int gunzip_take(void *context, struct span piece)
{
	struct wbxml_buffer *out = context;

	wbxml_buffer_append(out, piece.data, piece.len);
	return out->has_failed ? -1 : 0;
}

int body_gunzip(struct span body, struct wbxml_buffer *out, struct error *err)
{
	struct gunzip *gunzip = gunzip_new(out->limit);
	int result;

	if (gunzip == NULL)
		return error_set(err, "out of memory");
	result = gunzip_feed(gunzip, body, gunzip_take, out);
	gunzip_free(gunzip);
	if (result != 0)
		return error_set(
			err, "the body is not gzip to its end, or more than %zu bytes", out->limit);
	return 0;
}

/* Multipart bodies */

static uint32_t number_read(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static uint64_t part_offset(struct span body, uint32_t n)
{
	return number_read(body.data + 4 + (size_t)n * TABLE_ENTRY);
}

static uint64_t part_len(struct span body, uint32_t n)
{
	return number_read(body.data + 4 + (size_t)n * TABLE_ENTRY + 4);
}

uint32_t body_part_count(struct span body, bool is_cut)
{
	uint64_t table;
	uint32_t count;

	if (body.len < 4)
		return 0;
	count = number_read(body.data);
	table = 4 + (uint64_t)count * TABLE_ENTRY;
	if (count == 0 || table > body.len)
		return 0;
	for (uint32_t n = 0; n < count; n++) {
		uint64_t offset = part_offset(body, n), len = part_len(body, n);

		if (offset < table || (!is_cut && offset + len > body.len))
			return 0;
	}
	return count;
}

int body_part(struct span body, uint32_t n, struct span *part)
{
	uint32_t count = body_part_count(body, true);
	uint64_t offset, len;

	if (n >= count)
		return -1;
	offset = part_offset(body, n);
	len = part_len(body, n);
	if (offset > body.len)
		offset = body.len;
	if (len > body.len - offset)
		len = body.len - offset;
	*part = span_of(body.data + offset, (size_t)len);
	return 0;
}

/* What it is */

static bool begins_with(struct span body, const char *text)
{
	size_t len = strlen(text);

	return body.len >= len && memcmp(body.data, text, len) == 0;
}

static bool is_message(struct span body)
{
	struct wbxml_buffer head = {.limit = WBXML_MIME_HEAD_MAX + 2};
	bool has_head;

	wbxml_mime_head(body, &head);
	has_head = head.len > 0;
	wbxml_buffer_free(&head);
	return has_head;
}

static bool is_plain_text(struct span body)
{
	for (size_t i = 0; i < body.len && i < TEXT_WITHIN; i++)
		if (body.data[i] < ' ' && strchr("\t\r\n", body.data[i]) == NULL)
			return false;
	return memchr(body.data, 0, body.len) == NULL;
}

static enum body_form form_of(struct span body, const struct body_show_options *options)
{
	if (body.len == 0)
		return BODY_EMPTY;
	if (begins_with(body, "\x03\x01"))
		return BODY_WBXML;
	if (options->may_be_anything)
		return BODY_BYTES;
	if (body_part_count(body, options->is_cut) > 0)
		return BODY_MULTIPART;
	if (body.data[0] == '<' || begins_with(body, "\xEF\xBB\xBF<"))
		return BODY_XML;
	if (is_message(body))
		return BODY_MIME;
	if (!options->may_be_text)
		return BODY_WBXML;
	return is_plain_text(body) ? BODY_TEXT : BODY_BYTES;
}

/* Showing it */

static void put(struct wbxml_buffer *out, const char *text)
{
	wbxml_buffer_append(out, text, strlen(text));
}

static void put_length(struct wbxml_buffer *out, const char *what, uint64_t len, bool is_cut)
{
	char text[80];

	snprintf(text, sizeof(text), "[%s%" PRIu64 " bytes%s]\n", what, len,
		is_cut ? " and more" : "");
	put(out, text);
}

/* Lines end in LF; what a terminal would obey or XML could not hold becomes "?". */
static void put_text(struct wbxml_buffer *out, struct span text)
{
	for (size_t at = 0; at < text.len; at++) {
		uint8_t byte = text.data[at];

		if (byte == '\r' && at + 1 < text.len && text.data[at + 1] == '\n')
			continue;
		if ((byte < ' ' && byte != '\t' && byte != '\n') || byte > '~')
			byte = '?';
		wbxml_buffer_append(out, &byte, 1);
	}
	if (text.len > 0 && text.data[text.len - 1] != '\n')
		put(out, "\n");
}

static int show_wbxml(
	struct span document, const struct body_show_options *options, struct body_shown *shown)
{
	const struct wbxml_xml_options xml = {.limits = {.lets_unknown_pass = true},
		.indent = true,
		.shows_opaque_text = true,
		.shows_faulty = true,
		.redact = options->redact};
	struct wbxml_reader reader;

	wbxml_reader_init(&reader, &xml.limits);
	wbxml_reader_feed(&reader, document.data, document.len);
	if (wbxml_reader_next(&reader) == WBXML_START)
		shown->root = reader.tag->id;
	return wbxml_to_xml(document, &xml, &shown->text, &shown->fault);
}

static int show_multipart(
	struct span body, const struct body_show_options *options, struct body_shown *shown)
{
	uint32_t count = body_part_count(body, options->is_cut);
	struct span part = {0};
	int result;

	(void)body_part(body, 0, &part);
	result = show_wbxml(part, options, shown);
	for (uint32_t n = 1; n < count && n <= PARTS_SHOWN; n++) {
		char what[32];

		snprintf(what, sizeof(what), "part %u: ", (unsigned int)n);
		put_length(&shown->text, what, part_len(body, n), false);
	}
	if (count > PARTS_SHOWN + 1)
		put(&shown->text, "[more parts]\n");
	return result;
}

static void show_message(
	struct span message, const struct body_show_options *options, struct wbxml_buffer *out)
{
	if ((options->redact & WBXML_REDACT_CONTENT) == 0) {
		put_text(out, message);
		return;
	}
	wbxml_mime_head(message, out);
	put(out, "\n");
	put_length(out, "", message.len, options->is_cut);
}

/* An error page, or a file that was asked for, is content. Plain text is treated alike. */
static void show_xml(
	struct span text, const struct body_show_options *options, struct wbxml_buffer *out)
{
	size_t within = text.len < AUTODISCOVER_WITHIN ? text.len : AUTODISCOVER_WITHIN;

	if ((options->redact & WBXML_REDACT_CONTENT) == 0 ||
		memmem(text.data, within, "<Autodiscover", 13) != NULL)
		put_text(out, text);
	else
		put_length(out, "", text.len, options->is_cut);
}

static int show_form(
	struct span body, const struct body_show_options *options, struct body_shown *shown)
{
	shown->form = form_of(body, options);
	switch (shown->form) {
	case BODY_EMPTY: return 0;
	case BODY_WBXML: return show_wbxml(body, options, shown);
	case BODY_MULTIPART: return show_multipart(body, options, shown);
	case BODY_MIME: show_message(body, options, &shown->text); return 0;
	case BODY_XML:
	case BODY_TEXT: show_xml(body, options, &shown->text); return 0;
	case BODY_BYTES: put_length(&shown->text, "", body.len, options->is_cut); return 0;
	}
	return 0;
}

int body_show(struct span body, const struct body_show_options *options, struct body_shown *shown)
{
	struct wbxml_buffer plain = {.limit = options->output_max};
	struct body_show_options of_plain = *options;
	struct error fault = {""};
	int result;

	*shown = (struct body_shown){.text = {.limit = options->output_max}};
	if (!body_is_gzip(body) || options->may_be_anything)
		return show_form(body, options, shown);
	shown->was_gzip = true;
	if (body_gunzip(body, &plain, &fault) != 0 && !options->is_cut) {
		of_plain.is_cut = true;
		(void)show_form(span_of(plain.data, plain.len), &of_plain, shown);
		shown->fault = fault;
		result = -1;
	} else {
		result = show_form(span_of(plain.data, plain.len), options, shown);
	}
	wbxml_buffer_free(&plain);
	return result;
}

void body_shown_free(struct body_shown *shown)
{
	wbxml_buffer_free(&shown->text);
}
