/* Bodies by length, in chunks and until close, in pieces of any size. */
#include <stdlib.h>

#include "proxy/http.h"
#include "tests/unit/check.h"

#define BYTES(text) (text), sizeof(text) - 1

struct outcome {
	enum http_result result;
	char content[10000];
	size_t content_len, left_over;
};

/* Feeds the bytes in pieces of at most `piece`, each in memory of its own. */
static struct outcome feed(struct http_body *body, const char *bytes, size_t len, size_t piece)
{
	struct outcome outcome = {.result = HTTP_MORE};
	size_t at = 0;

	while (at < len && outcome.result == HTTP_MORE) {
		size_t size = len - at < piece ? len - at : piece, left = size;
		char *copy = malloc(size);
		const char *data = copy;
		struct span content;

		memcpy(copy, bytes + at, size);
		do {
			outcome.result = http_body_next(body, &data, &left, &content);
			if (outcome.result == HTTP_MORE && content.len > 0) {
				memcpy(outcome.content + outcome.content_len, content.data,
					content.len);
				outcome.content_len += content.len;
			}
		} while (outcome.result == HTTP_MORE && content.len > 0);
		at += size - left;
		free(copy);
	}
	outcome.left_over = len - at;
	return outcome;
}

static struct http_body begin(enum http_framing framing, uint64_t content_length)
{
	struct http_head head = {.framing = framing, .content_length = content_length};
	struct http_body body;

	http_body_begin(&body, &head);
	return body;
}

static void test_chunked_bodies(void)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		enum http_result result;
		const char *content;
		size_t left_over;
	} rows[] = {
		{"empty", BYTES("0\r\n\r\n"), HTTP_DONE, "", 0},
		{"one chunk", BYTES("5\r\nhello\r\n0\r\n\r\n"), HTTP_DONE, "hello", 0},
		{"two chunks", BYTES("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), HTTP_DONE, "hello", 0},
		{"upper and lower hex", BYTES("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
			HTTP_DONE, "01234567890123456789", 0},
		{"the next request is left", BYTES("1\r\nx\r\n0\r\n\r\nPOST"), HTTP_DONE, "x", 4},
		{"leading zeros", BYTES("0000000000000001\r\nx\r\n00\r\n\r\n"), HTTP_DONE, "x", 0},
		{"extension", BYTES("1;a\r\nx\r\n0;b=c;d=\"e\"\r\n\r\n"), HTTP_DONE, "x", 0},
		{"trailers", BYTES("1\r\nx\r\n0\r\nA: b\r\nC:\t\xff\r\n\r\n"), HTTP_DONE, "x", 0},
		{"CRLF in content", BYTES("4\r\n\r\n\r\n\r\n0\r\n\r\n"), HTTP_DONE, "\r\n\r\n", 0},
		{"cut", BYTES("5\r\nhel"), HTTP_MORE, "hel", 0},
		{"cut before the last LF", BYTES("0\r\n\r"), HTTP_MORE, "", 0},
		{"17 digits", BYTES("00000000000000001\r\n"), HTTP_REFUSED, "", 0},
		{"2^64", BYTES("10000000000000000\r\n"), HTTP_REFUSED, "", 0},
		{"2^64-1", BYTES("ffffffffffffffff\r\n"), HTTP_REFUSED, "", 0},
		{"2^63", BYTES("8000000000000000\r\n"), HTTP_REFUSED, "", 0},
		{"0x5", BYTES("0x5\r\nhello\r\n"), HTTP_REFUSED, "", 0},
		{"negative", BYTES("-1\r\nx"), HTTP_REFUSED, "", 0},
		{"plus", BYTES("+1\r\nx"), HTTP_REFUSED, "", 0},
		{"no digit", BYTES("\r\nx"), HTTP_REFUSED, "", 0},
		{"extension without size", BYTES(";a\r\n"), HTTP_REFUSED, "", 0},
		{"not hex", BYTES("g\r\n"), HTTP_REFUSED, "", 0},
		{"underscore", BYTES("1_0\r\n"), HTTP_REFUSED, "", 0},
		{"leading space", BYTES(" 1\r\nx"), HTTP_REFUSED, "", 0},
		{"trailing space", BYTES("1 \r\nx"), HTTP_REFUSED, "", 0},
		{"trailing tab", BYTES("1\t\r\nx"), HTTP_REFUSED, "", 0},
		{"space before the extension", BYTES("1 ;a\r\nx"), HTTP_REFUSED, "", 0},
		{"space in the extension", BYTES("1;a b\r\nx"), HTTP_REFUSED, "", 0},
		{"space after the semicolon", BYTES("1; a\r\nx"), HTTP_REFUSED, "", 0},
		{"nameless extension", BYTES("1;\r\nx"), HTTP_REFUSED, "", 0},
		{"nameless second extension", BYTES("1;a;\r\nx"), HTTP_REFUSED, "", 0},
		{"extension with only a value", BYTES("1;=a\r\nx"), HTTP_REFUSED, "", 0},
		{"LF in the extension", BYTES("1;a\nx\r\n"), HTTP_REFUSED, "", 0},
		{"CR in the extension", BYTES("1;a\rb\r\n"), HTTP_REFUSED, "", 0},
		{"NUL in the extension", BYTES("1;\0\r\n"), HTTP_REFUSED, "", 0},
		{"8-bit extension", BYTES("1;a\xff\r\n"), HTTP_REFUSED, "", 0},
		{"NUL behind the size", BYTES("1\0\r\n"), HTTP_REFUSED, "", 0},
		{"comma behind the size", BYTES("1,\r\n"), HTTP_REFUSED, "", 0},
		{"bare LF behind the size", BYTES("1\nx\r\n"), HTTP_REFUSED, "", 0},
		{"bare CR behind the size", BYTES("1\rx\r\n"), HTTP_REFUSED, "", 0},
		{"two CR behind the size", BYTES("1\r\r\n"), HTTP_REFUSED, "", 0},
		{"content longer than its size", BYTES("1\r\nxy\r\n"), HTTP_REFUSED, "x", 0},
		{"bare LF behind the content", BYTES("1\r\nx\n0\r\n\r\n"), HTTP_REFUSED, "x", 0},
		{"bare CR behind the content", BYTES("1\r\nx\r0\r\n\r\n"), HTTP_REFUSED, "x", 0},
		{"CR and text behind the content", BYTES("1\r\nx\rx0\r\n\r\n"), HTTP_REFUSED, "x",
			0},
		{"no line end behind the content", BYTES("1\r\nx0\r\n\r\n"), HTTP_REFUSED, "x", 0},
		{"bare LF at the end", BYTES("0\r\n\n"), HTTP_REFUSED, "", 0},
		{"bare LF behind the last size", BYTES("0\n\r\n"), HTTP_REFUSED, "", 0},
		{"CR and text at the end", BYTES("0\r\n\rx"), HTTP_REFUSED, "", 0},
		{"trailer without colon", BYTES("0\r\nA\r\n\r\n"), HTTP_REFUSED, "", 0},
		{"trailer without name", BYTES("0\r\n: b\r\n\r\n"), HTTP_REFUSED, "", 0},
		{"space in the trailer's name", BYTES("0\r\nA : b\r\n\r\n"), HTTP_REFUSED, "", 0},
		{"folded trailer", BYTES("0\r\nA: b\r\n c\r\n\r\n"), HTTP_REFUSED, "", 0},
		{"bare LF in the trailer", BYTES("0\r\nA: b\n\r\n"), HTTP_REFUSED, "", 0},
		{"bare CR in the trailer", BYTES("0\r\nA: b\rc\r\n\r\n"), HTTP_REFUSED, "", 0},
		{"NUL in the trailer", BYTES("0\r\nA: \0\r\n\r\n"), HTTP_REFUSED, "", 0},
		{"a request in place of the trailer", BYTES("0\r\nGET / HTTP/1.1\r\n\r\n"),
			HTTP_REFUSED, "", 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece <= rows[i].len; piece++) {
			struct http_body body = begin(HTTP_CHUNKED, 0);
			struct outcome outcome = feed(&body, rows[i].bytes, rows[i].len, piece);

			if (outcome.result != rows[i].result)
				printf("\n    %s", rows[i].what);
			CU_ASSERT_EQUAL(outcome.result, rows[i].result);
			CU_ASSERT_EQUAL(outcome.content_len, strlen(rows[i].content));
			CU_ASSERT_EQUAL(
				memcmp(outcome.content, rows[i].content, outcome.content_len), 0);
			if (outcome.result == HTTP_DONE)
				CU_ASSERT_EQUAL(outcome.left_over, rows[i].left_over);
			CU_ASSERT_EQUAL(body.total, outcome.content_len);
			CU_ASSERT_EQUAL(http_body_is_done(&body), outcome.result == HTTP_DONE);
		}
	}
}

static void test_a_refused_body_stays_refused(void)
{
	struct http_body body = begin(HTTP_CHUNKED, 0);
	const char *data = "x0\r\n\r\n";
	size_t len = 6;
	struct span content;

	CU_ASSERT_EQUAL(http_body_next(&body, &data, &len, &content), HTTP_REFUSED);
	CU_ASSERT_EQUAL(http_body_next(&body, &data, &len, &content), HTTP_REFUSED);
	CU_ASSERT_FALSE(http_body_is_done(&body));
}

static enum http_result feed_repeated(const char *start, const char *part, size_t count)
{
	struct http_body body = begin(HTTP_CHUNKED, 0);
	enum http_result result = feed(&body, start, strlen(start), strlen(start)).result;

	for (size_t i = 0; i < count && result == HTTP_MORE; i++)
		result = feed(&body, part, strlen(part), strlen(part)).result;
	return result;
}

static void test_extensions_and_trailers_are_bounded(void)
{
	CU_ASSERT_EQUAL(feed_repeated("1;", "a", 256), HTTP_MORE);
	CU_ASSERT_EQUAL(feed_repeated("1;", "a", 257), HTTP_REFUSED);
	CU_ASSERT_EQUAL(feed_repeated("0\r\nA: ", "a", 4000), HTTP_MORE);
	CU_ASSERT_EQUAL(feed_repeated("0\r\nA: ", "a", 4100), HTTP_REFUSED);
	CU_ASSERT_EQUAL(feed_repeated("0\r\n", "A: b\r\n", 700), HTTP_MORE);
	CU_ASSERT_EQUAL(feed_repeated("0\r\n", "A: b\r\n", 1100), HTTP_REFUSED);
	/* Many chunks of one byte, each with a short extension. */
	CU_ASSERT_EQUAL(feed_repeated("1;a\r\nx\r\n", "1;aaaaaaa\r\nx\r\n", 500), HTTP_MORE);
	CU_ASSERT_EQUAL(feed_repeated("1;a\r\nx\r\n", "1;aaaaaaa\r\nx\r\n", 600), HTTP_REFUSED);
	/* Without extensions there is no such limit. */
	CU_ASSERT_EQUAL(feed_repeated("1\r\nx\r\n", "1\r\nx\r\n", 100000), HTTP_MORE);
}

static void test_bodies_by_length(void)
{
	for (size_t piece = 1; piece < 10; piece++) {
		struct http_body body = begin(HTTP_LENGTH, 5);
		struct outcome outcome = feed(&body, "helloPOST", 9, piece);

		CU_ASSERT_EQUAL(outcome.content_len, 5);
		CU_ASSERT_EQUAL(memcmp(outcome.content, "hello", 5), 0);
		CU_ASSERT_EQUAL(outcome.result, HTTP_DONE);
		CU_ASSERT_EQUAL(outcome.left_over, 4);
		CU_ASSERT_TRUE(http_body_is_done(&body));
	}
	struct http_body body = begin(HTTP_LENGTH, INT64_MAX);
	struct outcome outcome = feed(&body, "abc", 3, 3);

	CU_ASSERT_EQUAL(outcome.result, HTTP_MORE);
	CU_ASSERT_EQUAL(body.left, (uint64_t)INT64_MAX - 3);
	CU_ASSERT_FALSE(http_body_is_done(&body));
}

static void test_no_body_is_done_at_once(void)
{
	struct http_body none = begin(HTTP_NO_BODY, 0), empty = begin(HTTP_LENGTH, 0);
	const char *data = "POST";
	size_t len = 4;
	struct span content;

	CU_ASSERT_TRUE(http_body_is_done(&none));
	CU_ASSERT_TRUE(http_body_is_done(&empty));
	CU_ASSERT_EQUAL(http_body_next(&none, &data, &len, &content), HTTP_DONE);
	CU_ASSERT_EQUAL(http_body_next(&empty, &data, &len, &content), HTTP_DONE);
	CU_ASSERT_EQUAL(len, 4);
}

static void test_until_close_takes_all(void)
{
	struct http_body body = begin(HTTP_UNTIL_CLOSE, 0);
	struct outcome outcome = feed(&body, "0\r\n\r\n", 5, 2);

	CU_ASSERT_EQUAL(outcome.result, HTTP_MORE);
	CU_ASSERT_EQUAL(outcome.content_len, 5);
	CU_ASSERT_FALSE(http_body_is_done(&body));
	CU_ASSERT_EQUAL(body.total, 5);
}

static const struct check checks[] = {
	{"chunks are read strictly, in pieces of any size", test_chunked_bodies},
	{"a refused body stays refused", test_a_refused_body_stays_refused},
	{"extensions and trailers are bounded", test_extensions_and_trailers_are_bounded},
	{"a body by length ends at its length", test_bodies_by_length},
	{"no body is done at once", test_no_body_is_done_at_once},
	{"a body until close takes all", test_until_close_takes_all},
};

int main(void)
{
	return check_run("proxy/http_body", checks, sizeof(checks) / sizeof(checks[0]));
}
