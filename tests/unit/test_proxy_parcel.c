/* What is written to a phone in one go: the same bytes, copied or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/parcel.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "tests/unit/check.h"

enum { MUCH = WORKER_BUFFER / 2, WRITTEN_MAX = 4 * WORKER_BUFFER };

static struct worker *worker;
static struct session session;
static char *written;
static size_t written_len, write_count;
static const uint8_t *last_write;

/* In the place of session.c's. */
void session_write(struct session *to, const void *data, size_t len)
{
	CU_ASSERT_PTR_EQUAL(to, &session);
	CU_ASSERT_TRUE_FATAL(len <= WRITTEN_MAX - written_len);
	memcpy(written + written_len, data, len);
	written_len += len;
	write_count++;
	last_write = data;
}

/* The buffer holds letters from `at` on, as if they had been received, and one more piece behind them. */
static struct span given_content(struct parcel *parcel, size_t at, size_t len)
{
	memset(worker->buffer, '-', sizeof(worker->buffer));
	for (size_t i = 0; i < len; i++)
		worker->buffer[at + i] = (uint8_t)('a' + i % 26);
	memcpy(worker->buffer + at + len, "next", 4);
	written_len = write_count = 0;
	parcel_begin(parcel, &session);
	return span_of(worker->buffer + at, len);
}

static void written_is(const char *before, size_t len, const char *after)
{
	size_t before_len = strlen(before), after_len = strlen(after);

	CU_ASSERT_EQUAL_FATAL(written_len, before_len + len + after_len);
	CU_ASSERT_EQUAL(memcmp(written, before, before_len), 0);
	for (size_t i = 0; i < len; i++)
		if (written[before_len + i] != (char)('a' + i % 26)) {
			CU_FAIL("the content is another one");
			break;
		}
	CU_ASSERT_EQUAL(memcmp(written + before_len + len, after, after_len), 0);
}

static const char *chunk_line(size_t len)
{
	static char line[24];

	snprintf(line, sizeof(line), "%zx\r\n", len);
	return line;
}

static void test_much_content_goes_out_from_where_it_was_read(void)
{
	struct parcel parcel;
	struct span content = given_content(&parcel, PARCEL_MARGIN, MUCH);

	parcel_add(&parcel, "head:", 5);
	parcel_pass_content(&parcel, content, false);
	parcel_send(&parcel);
	written_is("head:", MUCH, "");
	CU_ASSERT_EQUAL(write_count, 1);
	CU_ASSERT_PTR_EQUAL(last_write, content.data - 5);
}

static void test_a_chunk_goes_out_from_there_and_what_is_behind_it_stays(void)
{
	struct parcel parcel;
	struct span content = given_content(&parcel, PARCEL_MARGIN, MUCH);

	parcel_pass_content(&parcel, content, true);
	parcel_send(&parcel);
	written_is(chunk_line(MUCH), MUCH, "\r\n");
	CU_ASSERT_EQUAL(write_count, 1);
	CU_ASSERT_EQUAL(memcmp(content.data + content.len, "next", 4), 0);
}

static void test_the_largest_piece_has_room_for_its_end(void)
{
	struct parcel parcel;
	size_t len = WORKER_BUFFER - PARCEL_MARGIN - PARCEL_TAIL;
	struct span content;

	given_content(&parcel, PARCEL_MARGIN, MUCH);
	for (size_t i = 0; i < len; i++)
		worker->buffer[PARCEL_MARGIN + i] = (uint8_t)('a' + i % 26);
	content = span_of(worker->buffer + PARCEL_MARGIN, len);
	parcel_pass_content(&parcel, content, true);
	written_is(chunk_line(len), len, "\r\n");
	CU_ASSERT_EQUAL(write_count, 1);
}

static void test_little_content_waits_for_what_follows(void)
{
	struct parcel parcel;
	struct span content = given_content(&parcel, PARCEL_MARGIN, 26);

	parcel_add(&parcel, "head:", 5);
	parcel_pass_content(&parcel, content, true);
	CU_ASSERT_EQUAL(write_count, 0);
	parcel_add(&parcel, "0\r\n\r\n", 5);
	parcel_send(&parcel);
	written_is("head:1a\r\n", 26, "\r\n0\r\n\r\n");
	CU_ASSERT_EQUAL(write_count, 1);
}

static void test_without_room_before_it_content_is_copied(void)
{
	struct parcel parcel;
	struct span content = given_content(&parcel, 4, MUCH);

	parcel_add(&parcel, "head:", 5);
	parcel_pass_content(&parcel, content, false);
	parcel_send(&parcel);
	written_is("head:", MUCH, "");
	CU_ASSERT_EQUAL(write_count, 1);
	CU_ASSERT_EQUAL(memcmp(worker->buffer, "----", 4), 0);
}

static void test_content_that_lies_elsewhere_is_copied(void)
{
	struct parcel parcel;
	struct span content = given_content(&parcel, PARCEL_MARGIN, MUCH);
	uint8_t *elsewhere = malloc(content.len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(elsewhere);
	memcpy(elsewhere, content.data, content.len);
	parcel_add(&parcel, "head:", 5);
	parcel_pass_content(&parcel, span_of(elsewhere, content.len), false);
	parcel_send(&parcel);
	written_is("head:", MUCH, "");
	free(elsewhere);
}

static void test_what_has_no_room_is_sent_at_once(void)
{
	struct parcel parcel;
	struct span content = given_content(&parcel, PARCEL_MARGIN, MUCH);

	for (int i = 0; i < 5; i++)
		parcel_add_content(&parcel, content, false);
	parcel_send(&parcel);
	CU_ASSERT_EQUAL(written_len, 5 * (size_t)MUCH);
	CU_ASSERT_EQUAL(write_count, 2);
}

static const struct check checks[] = {
	{"much content goes out from where it was read",
		test_much_content_goes_out_from_where_it_was_read},
	{"a chunk goes out from there, and what is behind it stays",
		test_a_chunk_goes_out_from_there_and_what_is_behind_it_stays},
	{"the largest piece has room for its end", test_the_largest_piece_has_room_for_its_end},
	{"little content waits for what follows", test_little_content_waits_for_what_follows},
	{"without room before it content is copied", test_without_room_before_it_content_is_copied},
	{"content that lies elsewhere is copied", test_content_that_lies_elsewhere_is_copied},
	{"what has no room is sent at once", test_what_has_no_room_is_sent_at_once},
};

int main(void)
{
	int failed;

	worker = calloc(1, sizeof(*worker));
	written = malloc(WRITTEN_MAX);
	if (worker == NULL || written == NULL)
		return 1;
	session.worker = worker;
	failed = check_run("proxy/parcel", checks, sizeof(checks) / sizeof(checks[0]));
	free(worker);
	free(written);
	return failed;
}
