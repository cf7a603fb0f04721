/* Heads that are written anew: what is right comes back as it was, what would break out fails. */
#include "proxy/http.h"
#include "tests/unit/check.h"

struct page {
	char data[512];
	struct http_writer writer;
};

static struct http_writer *page_begin(struct page *page, size_t capacity)
{
	memset(page->data, '~', sizeof(page->data));
	page->writer = (struct http_writer){.data = page->data, .capacity = capacity};
	return &page->writer;
}

static bool page_is(const struct page *page, const char *text)
{
	return !page->writer.has_failed &&
	       span_equal(span_of(page->data, page->writer.len), span_of_string(text));
}

static const struct span nothing = {NULL, 0};

static void test_a_request_is_written(void)
{
	struct page page;
	struct http_writer *writer = page_begin(&page, sizeof(page.data));

	http_write_request_line(writer, HTTP_POST, span_of_string("/SOGo"),
		span_of_string("/Microsoft-Server-ActiveSync"), span_of_string("Cmd=Sync"));
	http_write_field_text(writer, "Host", "mail.example.com");
	http_write_field(writer, span_of_string("X-User"), span_of_string("anna@example.com"));
	http_write_field_number(writer, "Content-Length", UINT64_MAX);
	http_write_field_number(writer, "Zero", 0);
	http_write_field_text(writer, "Empty", "");
	http_write_end(writer);
	CU_ASSERT_TRUE(page_is(&page, "POST /SOGo/Microsoft-Server-ActiveSync?Cmd=Sync HTTP/1.1\r\n"
				      "Host: mail.example.com\r\n"
				      "X-User: anna@example.com\r\n"
				      "Content-Length: 18446744073709551615\r\n"
				      "Zero: 0\r\n"
				      "Empty: \r\n\r\n"));
}

static void test_a_query_is_written_only_where_there_is_one(void)
{
	struct page page;

	http_write_request_line(page_begin(&page, sizeof(page.data)), HTTP_OPTIONS, nothing,
		span_of_string("/x"), nothing);
	CU_ASSERT_TRUE(page_is(&page, "OPTIONS /x HTTP/1.1\r\n"));
	http_write_request_line(page_begin(&page, sizeof(page.data)), HTTP_GET, nothing,
		span_of_string("/x"), span_of_string(""));
	CU_ASSERT_TRUE(page_is(&page, "GET /x? HTTP/1.1\r\n"));
	http_write_request_line(page_begin(&page, sizeof(page.data)), HTTP_OPTIONS, nothing,
		span_of_string("*"), nothing);
	CU_ASSERT_TRUE(page_is(&page, "OPTIONS * HTTP/1.1\r\n"));
}

static void test_an_answer_is_written(void)
{
	struct page page;
	struct http_writer *writer = page_begin(&page, sizeof(page.data));

	http_write_status_line(writer, 449, span_of_string(http_reason(449)));
	http_write_end(writer);
	CU_ASSERT_TRUE(
		page_is(&page, "HTTP/1.1 449 Retry after sending a PROVISION command\r\n\r\n"));
	http_write_status_line(page_begin(&page, sizeof(page.data)), 599, nothing);
	CU_ASSERT_TRUE(page_is(&page, "HTTP/1.1 599 \r\n"));
}

static void test_targets_that_break_out_fail(void)
{
	static const struct {
		const char *prefix, *path, *query;
	} rows[] = {
		{"", "", NULL},
		{"", "x", NULL},
		{"x", "/x", NULL},
		{"", "/x y", NULL},
		{"", "/x\r\nA: b", NULL},
		{"", "/x?y", NULL},
		{"", "/x#y", NULL},
		{"", "/\xc3\xa4", NULL},
		{"/a b", "/x", NULL},
		{"", "/x", "a b"},
		{"", "/x", "a\r\n"},
		{"", "/x", "a#b"},
		{"/a", "*", "b"},
		{"", "*", "b"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct page page;

		http_write_request_line(page_begin(&page, sizeof(page.data)), HTTP_OPTIONS,
			span_of_string(rows[i].prefix), span_of_string(rows[i].path),
			rows[i].query == NULL ? nothing : span_of_string(rows[i].query));
		/* "/a*" is a path like another. */
		CU_ASSERT_EQUAL(page.writer.has_failed, strcmp(rows[i].prefix, "/a") != 0);
	}
	struct page page;

	http_write_request_line(page_begin(&page, sizeof(page.data)), HTTP_POST, nothing,
		span_of_string("*"), nothing);
	CU_ASSERT_TRUE(page.writer.has_failed);
}

static void test_fields_that_break_out_fail(void)
{
	static const struct {
		struct span name, value;
	} rows[] = {
#define ROW(name, value)                                                                           \
	{                                                                                          \
		{(const uint8_t *)(name), sizeof(name) - 1},                                       \
		{                                                                                  \
			(const uint8_t *)(value), sizeof(value) - 1                                \
		}                                                                                  \
	}
		ROW("A", "b\r\nC: d"),
		ROW("A", "b\nC: d"),
		ROW("A", "b\rC: d"),
		ROW("A", "b\0"),
		ROW("A", "\x1b"),
		ROW("A", "\x7f"),
		ROW("", "b"),
		ROW("A ", "b"),
		ROW("A:", "b"),
		ROW("A\r\n", "b"),
		ROW("\xc3\xa4", "b"),
#undef ROW
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct page page;
		struct http_writer *writer = page_begin(&page, sizeof(page.data));

		http_write_field(writer, rows[i].name, rows[i].value);
		CU_ASSERT_TRUE(writer->has_failed);
		/* And so it stays. */
		http_write_field_text(writer, "A", "b");
		CU_ASSERT_TRUE(writer->has_failed);
	}
}

static void test_status_lines_that_break_out_fail(void)
{
	struct page page;

	http_write_status_line(
		page_begin(&page, sizeof(page.data)), 200, span_of_string("OK\r\nA: b"));
	CU_ASSERT_TRUE(page.writer.has_failed);
	http_write_status_line(page_begin(&page, sizeof(page.data)), 99, nothing);
	CU_ASSERT_TRUE(page.writer.has_failed);
	http_write_status_line(page_begin(&page, sizeof(page.data)), 1200, nothing);
	CU_ASSERT_TRUE(page.writer.has_failed);
}

static void test_the_buffer_is_never_left(void)
{
	for (size_t capacity = 0; capacity <= 7; capacity++) {
		struct page page;
		struct http_writer *writer = page_begin(&page, capacity);

		http_write_field_text(writer, "A", "bc");
		CU_ASSERT_EQUAL(writer->has_failed, capacity < 7);
		CU_ASSERT_TRUE(writer->len <= capacity);
		CU_ASSERT_EQUAL(page.data[capacity], '~');
	}
}

static void test_chunk_heads(void)
{
	static const struct {
		size_t len;
		const char *text;
	} rows[] = {{0, "0\r\n"}, {1, "1\r\n"}, {15, "f\r\n"}, {16, "10\r\n"}, {8000, "1f40\r\n"},
		{SIZE_MAX, "ffffffffffffffff\r\n"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[20];

		CU_ASSERT_EQUAL(http_chunk_head(text, rows[i].len), strlen(rows[i].text));
		CU_ASSERT_STRING_EQUAL(text, rows[i].text);
	}
}

static void test_reasons(void)
{
	CU_ASSERT_STRING_EQUAL(http_reason(200), "OK");
	CU_ASSERT_STRING_EQUAL(http_reason(449), "Retry after sending a PROVISION command");
	CU_ASSERT_STRING_EQUAL(http_reason(299), "");
	/* Every refusal that has a status has its phrase. */
	for (int i = 1; i < REFUSAL_COUNT; i++) {
		int status = refusal_row((enum refusal)i)->http_status;

		CU_ASSERT_TRUE(status == 0 || http_reason((unsigned int)status)[0] != '\0');
	}
}

static const struct check checks[] = {
	{"a request is written", test_a_request_is_written},
	{"a query is written only where there is one",
		test_a_query_is_written_only_where_there_is_one},
	{"an answer is written", test_an_answer_is_written},
	{"targets that break out fail", test_targets_that_break_out_fail},
	{"fields that break out fail", test_fields_that_break_out_fail},
	{"status lines that break out fail", test_status_lines_that_break_out_fail},
	{"the buffer is never left", test_the_buffer_is_never_left},
	{"chunk heads are hexadecimal", test_chunk_heads},
	{"statuses have their phrases", test_reasons},
};

int main(void)
{
	return check_run("proxy/http_write", checks, sizeof(checks) / sizeof(checks[0]));
}
