/*
 * What changing an answer costs: bench_proxy_answer_filter [WAY [ROUNDS]] takes a Sync answer of half a
 * megabyte (mails with bodies of 2 kB and attachments, a third of which go) through the reader alone
 * (read), through a filter that changes nothing (copy), and through one that takes the attachments out
 * (strip), in pieces of 16 kB. Without: all three. Instructions are counted by
 *
 *	valgrind --tool=callgrind --toggle-collect=bench_take bench_proxy_answer_filter strip 20
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/answer_filter.h"
#include "wbxml/writer.h"

enum { SIZE = 500 * 1024, PIECE = 16 * 1024, ROUNDS = 200, LARGE = 1000 };

enum way { WAY_READ, WAY_COPY, WAY_STRIP, WAYS };

static const char *const ways[WAYS] = {"read", "copy", "strip"};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void write_attachment(struct wbxml_writer *writer, const char *name, const char *size)
{
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_ATTACHMENT);
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_DISPLAYNAME, name);
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_FILEREFERENCE, "5%3a17%3a0");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_METHOD, "1");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE, size);
	wbxml_write_end(writer);
}

static void write_mail(struct wbxml_writer *writer)
{
	char body[2048];

	memset(body, 'a', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	wbxml_write_start(writer, WBXML_AIRSYNC_ADD);
	wbxml_write_element(writer, WBXML_AIRSYNC_SERVERID, "5:17");
	wbxml_write_start(writer, WBXML_AIRSYNC_APPLICATIONDATA);
	wbxml_write_element(writer, WBXML_EMAIL_TO, "\"Anna\" <anna@example.com>");
	wbxml_write_element(writer, WBXML_EMAIL_FROM, "\"Bo\" <bo@example.com>");
	wbxml_write_element(writer, WBXML_EMAIL_SUBJECT, "What we said on Monday");
	wbxml_write_element(writer, WBXML_EMAIL_DATERECEIVED, "2026-11-23T09:00:00.000Z");
	wbxml_write_element(writer, WBXML_EMAIL_IMPORTANCE, "1");
	wbxml_write_element(writer, WBXML_EMAIL_READ, "0");
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_ATTACHMENTS);
	write_attachment(writer, "plan.pdf", "184320");
	write_attachment(writer, "logo.png", "20");
	write_attachment(writer, "note.txt", "99");
	wbxml_write_end(writer);
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_BODY);
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_TYPE, "2");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_ESTIMATEDDATASIZE, "2047");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_DATA, body);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static struct wbxml_buffer answer_make(void)
{
	struct wbxml_buffer document = {.limit = (size_t)2 * SIZE};
	struct wbxml_writer writer;

	wbxml_write_header(&writer, &document);
	wbxml_write_start(&writer, WBXML_AIRSYNC_SYNC);
	wbxml_write_start(&writer, WBXML_AIRSYNC_COLLECTIONS);
	wbxml_write_start(&writer, WBXML_AIRSYNC_COLLECTION);
	wbxml_write_start(&writer, WBXML_AIRSYNC_COMMANDS);
	while (document.len < SIZE)
		write_mail(&writer);
	for (int i = 0; i < 4; i++)
		wbxml_write_end(&writer);
	return document;
}

static uint64_t written;

static int out(void *context, struct span bytes)
{
	(void)context;
	written += bytes.len;
	return 0;
}

static bool strips(const void *rule, struct span name, struct span type, uint64_t size)
{
	(void)rule, (void)name, (void)type;
	return size > LARGE;
}

static int read_piece(struct wbxml_reader *reader, struct span piece)
{
	enum wbxml_event event;

	wbxml_reader_feed(reader, piece.data, piece.len);
	while ((event = wbxml_reader_next(reader)) > WBXML_MORE)
		continue;
	return event == WBXML_ERROR ? -1 : 0;
}

/* Not static, so that callgrind finds it. */
int bench_take(struct wbxml_reader *reader, struct answer_filter *filter, struct span document);

int bench_take(struct wbxml_reader *reader, struct answer_filter *filter, struct span document)
{
	for (size_t at = 0; at < document.len; at += PIECE) {
		struct span piece = span_of(
			document.data + at, document.len - at < PIECE ? document.len - at : PIECE);
		int status = filter != NULL ? answer_filter_feed(filter, piece)
					    : read_piece(reader, piece);

		if (status != 0)
			return -1;
	}
	return filter != NULL ? answer_filter_finish(filter) : wbxml_reader_finish(reader);
}

static int run(enum way way, int rounds)
{
	struct wbxml_buffer document = answer_make();
	struct answer_filter_terms terms = {.owner = {"anna@example.com", "PHONE1"},
		.memory_max = 65536,
		.held_max = 1048576,
		.directory = -1,
		.out = out};
	double begun = seconds(), spent;

	if (way == WAY_STRIP)
		terms.changes.strips = strips;
	for (int i = 0; i < rounds; i++) {
		struct answer_filter *filter = way != WAY_READ ? answer_filter_new(&terms) : NULL;
		struct wbxml_reader reader;

		written = 0;
		wbxml_reader_init(&reader, NULL);
		if (bench_take(&reader, filter, span_of(document.data, document.len)) != 0)
			return 1;
		answer_filter_free(filter);
	}
	spent = seconds() - begun;
	printf("%-6s %zu bytes in, %llu out: %.0f us, %.0f MB/s\n", ways[way], document.len,
		(unsigned long long)written, spent / rounds * 1e6,
		(double)document.len * rounds / spent / 1e6);
	wbxml_buffer_free(&document);
	return 0;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
	int status = 0;

	for (enum way way = 0; way < WAYS; way++)
		if (argc < 2 || strcmp(argv[1], ways[way]) == 0)
			status |= run(way, rounds);
	return status;
}
