/* The answer filter over any bytes: what comes out is a document exactly when what came in was one, and
 * with a rule that takes out nothing it has the same number of elements. The first byte says what is taken
 * out, and how the rest is cut. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/answer_filter.h"
#include "proxy/eas_body.h"
#include "wbxml/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RULE_NOTHING, RULE_ALL, RULE_BY_SIZE, RULE_BY_NAME };

static bool strips(const void *rule, struct span name, struct span type, uint64_t size)
{
	switch (*(const uint8_t *)rule) {
	case RULE_ALL: return true;
	case RULE_BY_SIZE: return size > 24;
	case RULE_BY_NAME: return name.len % 2 == 1 || type.len % 2 == 1;
	default: return false;
	}
}

static int out(void *context, struct span bytes)
{
	wbxml_buffer_append(context, bytes.data, bytes.len);
	return 0;
}

/* How many elements a document has; -1 if it is none. */
static int64_t count_elements(const uint8_t *data, size_t size)
{
	struct wbxml_reader reader;
	enum wbxml_event event;
	int64_t count = 0;

	wbxml_reader_init(&reader, NULL);
	wbxml_reader_feed(&reader, data, size);
	while ((event = wbxml_reader_next(&reader)) > WBXML_MORE)
		count += event == WBXML_START;
	return wbxml_reader_finish(&reader) == 0 ? count : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct folder_table *table;
	struct error ignored;
	struct wbxml_buffer written = {.limit = 1 << 24};
	struct answer_filter_terms terms = {.owner = {"anna@contoso.com", "PHONE1"},
		.limits = {.depth = 20, .elements = 1000},
		.memory_max = 1 << 16,
		.held_max = 4096,
		.directory = -1,
		.out = out,
		.context = &written};
	struct answer_filter *filter;
	uint8_t rule;
	size_t cut;
	int status = 0;

	if (size < 1 || size > 1 << 16)
		return 0;
	if (table == NULL)
		table = folder_table_map(&ignored);
	rule = data[0] & 3;
	cut = 1 + (data[0] >> 2 & 15) * 7U;
	terms.changes.strips = strips;
	terms.changes.rule = &rule;
	terms.changes.hidden_classes =
		data[0] & 0x80 ? 1 << EAS_CLASS_EMAIL | 1 << EAS_CLASS_OTHER : 0;
	terms.folders = data[0] & 0x40 ? table : NULL;
	filter = answer_filter_new(&terms);
	for (size_t at = 1; status == 0 && at < size; at += cut) {
		size_t len = cut < size - at ? cut : size - at;
		uint8_t *piece = malloc(len);

		if (piece == NULL)
			abort();
		memcpy(piece, data + at, len);
		status = answer_filter_feed(filter, span_of(piece, len));
		free(piece);
	}
	if (answer_filter_finish(filter) == 0) {
		const struct answer_counts *counts = answer_filter_counts(filter);
		int64_t before = count_elements(data + 1, size - 1);
		int64_t after = count_elements(written.data, written.len);

		assert(before > 0 && after > 0);
		if (counts->attachments + counts->downloads + counts->bodies + counts->folders ==
				0 &&
			terms.changes.hidden_classes == 0)
			assert(before == after);
	}
	answer_filter_free(filter);
	wbxml_buffer_free(&written);
	return 0;
}
