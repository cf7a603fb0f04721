/* Multipart answers: the table is checked, the document found, in pieces of any size. */
#include "proxy/eas_multipart.h"
#include "tests/unit/check.h"
#include "tests/unit/eas_body_shown.h"
#include "wbxml/buffer.h"

/* Up to four parts: where they begin and how long they are, as the table says; and the body's. */
struct layout {
	uint32_t count;
	uint32_t parts[4][2];
	size_t body_len;
};

static size_t layout_write(const struct layout *layout, uint8_t *bytes)
{
	size_t at = 4;

	for (size_t i = 0; i < layout->body_len; i++)
		bytes[i] = (uint8_t)i;
	memcpy(bytes, &layout->count, 4); /* a little-endian host */
	for (size_t i = 0; i < 4 && i < layout->count && at + 8 <= layout->body_len; i++, at += 8)
		memcpy(bytes + at, layout->parts[i], 8);
	return layout->body_len;
}

/* The document, or -1. */
static int multipart_read(struct span body, size_t piece, uint8_t *document)
{
	struct eas_multipart multipart;
	int len = 0;
	enum eas_multipart_result result = EAS_MULTIPART_MORE;

	eas_multipart_begin(&multipart);
	for (size_t at = 0; at < body.len; at += piece) {
		size_t left = body.len - at;
		uint8_t *copy = malloc(piece);

		memcpy(copy, body.data + at, left < piece ? left : piece);
		eas_multipart_feed(&multipart, span_of(copy, left < piece ? left : piece));
		while ((result = eas_multipart_next(&multipart)) == EAS_MULTIPART_DOCUMENT) {
			memcpy(document + len, multipart.document.data, multipart.document.len);
			len += (int)multipart.document.len;
		}
		free(copy);
	}
	CU_ASSERT_EQUAL(result == EAS_MULTIPART_ERROR, multipart.has_failed);
	return eas_multipart_finish(&multipart) == 0 ? len : -1;
}

static void test_tables(void)
{
	static const struct {
		const char *what;
		struct layout layout;
		int document_len;
	} rows[] = {
		{"one part", {1, {{12, 10}}, 22}, 10},
		{"two parts", {2, {{20, 10}, {30, 5}}, 35}, 10},
		{"a gap between them", {2, {{20, 10}, {40, 5}}, 45}, 10},
		{"bytes behind the last", {1, {{12, 10}}, 30}, 10},
		{"an empty document", {1, {{12, 0}}, 12}, 0},
		{"an empty part", {2, {{20, 10}, {30, 0}}, 30}, 10},
		{"four parts", {4, {{36, 3}, {39, 3}, {42, 3}, {45, 3}}, 48}, 3},
		{"no part", {0, {{0, 0}}, 4}, -1},
		{"nothing", {0, {{0, 0}}, 0}, -1},
		{"too many parts", {EAS_MULTIPART_PARTS_MAX + 1, {{0, 0}}, 48}, -1},
		{"a table beyond the body", {4, {{36, 3}, {39, 3}}, 20}, -1},
		{"a part beyond the body", {2, {{20, 10}, {30, 6}}, 35}, -1},
		{"a document beyond the body", {1, {{12, 11}}, 22}, -1},
		{"a document within the table", {1, {{11, 10}}, 22}, -1},
		{"parts that overlap", {2, {{20, 10}, {29, 5}}, 35}, -1},
		{"parts out of order", {2, {{30, 5}, {20, 10}}, 35}, -1},
		{"a sum above 32 bits", {2, {{20, 10}, {40, 0xFFFFFFFF}}, 45}, -1},
		{"a begin above the body", {2, {{20, 10}, {0x7FFFFFFF, 10}}, 45}, -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[64], document[64];
		size_t len = layout_write(&rows[i].layout, bytes);

		for (size_t piece = 1; piece <= len + 1; piece++) {
			int found = multipart_read(span_of(bytes, len), piece, document);

			if (found != rows[i].document_len) {
				printf("\n%s, in pieces of %zu: %d", rows[i].what, piece, found);
				CU_FAIL("another document");
			}
			if (found > 0)
				CU_ASSERT_EQUAL(memcmp(document, bytes + rows[i].layout.parts[0][0],
							(size_t)found),
					0);
		}
	}
}

static struct wbxml_buffer file_read(const char *name)
{
	struct wbxml_buffer content = {.limit = 100000};
	char path[400], chunk[4096];
	size_t got;
	FILE *file;

	snprintf(path, sizeof(path), "%s/http/%s.multipart", TEST_DATA_DIR, name);
	file = fopen(path, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		wbxml_buffer_append(&content, chunk, got);
	fclose(file);
	return content;
}

/* Whole bodies through the view. */
static void test_samples(void)
{
	static const struct {
		const char *name, *shown;
	} rows[] = {
		{"ok-two-parts", "ItemOperations status=1 fetches=1 largest=33 references=1 "
				 "( type=image/png ref=5%3a17%3a0)"},
		{"ok-wbxml-only", "ItemOperations status=1 email fetches=2 failures=1 failure=6"},
		{"bad-count", NULL},
		{"bad-offset", NULL},
		{"bad-overflow", NULL},
		{"bad-zero-parts", NULL},
	};
	static const struct eas_body_terms terms = {.kind = EAS_BODY_MULTIPART,
		.command = EAS_ITEM_OPERATIONS,
		.version = 141,
		.is_answer = true};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wbxml_buffer body = file_read(rows[i].name);

		for (size_t piece = 1; piece <= body.len; piece++) {
			struct eas_body *facts =
				body_fed(&terms, span_of(body.data, body.len), piece);
			static struct shown shown;

			body_show(&shown, facts);
			if (rows[i].shown == NULL) {
				CU_ASSERT_EQUAL(eas_body_end(facts), REFUSAL_WBXML_MALFORMED);
			} else {
				CU_ASSERT_STRING_EQUAL(shown.text, rows[i].shown);
			}
			eas_body_free(facts);
		}
		wbxml_buffer_free(&body);
	}
}

/* A Part that the table does not have, and the document itself. */
static void test_parts_are_there(void)
{
	struct wbxml_buffer body = file_read("ok-two-parts");
	static const struct eas_body_terms terms = {.kind = EAS_BODY_MULTIPART,
		.command = EAS_ITEM_OPERATIONS,
		.version = 141,
		.is_answer = true};
	uint8_t *number = memmem(body.data, body.len,
		"\x51\x03"
		"1",
		3);
	struct eas_body *facts;

	for (int digit = '0'; digit <= '2' && number != NULL; digit++) {
		number[2] = (uint8_t)digit;
		facts = body_fed(&terms, span_of(body.data, body.len), 50);
		CU_ASSERT_EQUAL(
			eas_body_end(facts), digit == '1' ? REFUSAL_NONE : REFUSAL_WBXML_MALFORMED);
		eas_body_free(facts);
	}
	CU_ASSERT_PTR_NOT_NULL(number);
	wbxml_buffer_free(&body);
}

static const struct check checks[] = {
	{"tables are checked, and documents found", test_tables},
	{"samples show what they hold", test_samples},
	{"a Part has to be there", test_parts_are_there},
};

int main(void)
{
	return check_run("proxy/eas_multipart", checks, sizeof(checks) / sizeof(checks[0]));
}
