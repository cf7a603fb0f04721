#include "proxy/answer_filter.h"

#include <stdlib.h>

#include "proxy/answer_filter_parts.h"
#include "wbxml/codepages.h"

enum { PIECE = 8 * 1024 };

/* Bytes */

static int answer_out(void *context, struct span bytes)
{
	struct answer_filter *answer = context;

	if (answer->terms.out == NULL)
		return 0;
	return answer->terms.out(answer->terms.context, bytes);
}

static int answer_hold(void *context, struct span bytes)
{
	struct answer_filter *answer = context;

	if (answer->terms.out == NULL)
		return 0;
	if (bytes.len > answer->terms.held_max - answer->held_len) {
		answer->fault = "more of it would have to be held back than may be";
		return -1;
	}
	answer->held_len += bytes.len;
	if (spool_put(&answer->held, bytes) == 0)
		return 0;
	answer->fault = "what has to be held back of it cannot be kept: memory or disk is full";
	return -1;
}

static int answer_cut(void *context, uint64_t len)
{
	struct answer_filter *answer = context;

	if (answer->terms.out == NULL)
		return 0;
	answer->held_len = len;
	spool_cut(&answer->held, len);
	return 0;
}

static int answer_release(void *context)
{
	struct answer_filter *answer = context;
	uint8_t piece[PIECE];

	answer->held_len = 0;
	while (spool_len(&answer->held) > 0) {
		int64_t len = spool_take(&answer->held, piece, sizeof(piece));

		if (len <= 0) {
			answer->fault = "what was held back of it cannot be read again";
			return -1;
		}
		if (answer_out(answer, span_of(piece, (size_t)len)) != 0)
			return -1;
	}
	return 0;
}

/* Events */

static bool strips(const struct answer_filter *answer)
{
	return answer->terms.changes.strips != NULL;
}

static bool is_about_folders(const struct answer_filter *answer)
{
	uint16_t root = answer->path[0];

	return root == WBXML_FOLDERHIERARCHY_FOLDERSYNC || root == WBXML_FOLDERHIERARCHY_FOLDERS;
}

static enum wbxml_filter_choice answer_start(void *context)
{
	struct answer_filter *answer = context;
	const struct wbxml_reader *reader = &answer->filter.reader;

	answer->path[reader->depth - 1] = reader->tag->id;
	answer->value.len = 0;
	answer->value_is_cut = false;
	if (is_about_folders(answer))
		return answer_folders_start(answer);
	return strips(answer) ? answer_strip_start(answer) : WBXML_FILTER_KEEP;
}

static void answer_text(void *context)
{
	struct answer_filter *answer = context;
	struct span text = answer->filter.reader.text;
	size_t room = sizeof(answer->value.text) - answer->value.len;

	if (text.len > room) {
		text.len = room;
		answer->value_is_cut = true;
	}
	if (text.len > 0)
		memcpy(answer->value.text + answer->value.len, text.data, text.len);
	answer->value.len = (uint16_t)(answer->value.len + text.len);
	if (!is_about_folders(answer) && strips(answer))
		answer_strip_text(answer);
}

static void answer_end(void *context)
{
	struct answer_filter *answer = context;
	uint32_t depth = answer->filter.reader.depth + 1;

	if (is_about_folders(answer))
		answer_folders_end(answer, depth);
	else if (strips(answer))
		answer_strip_end(answer, depth);
	/* What follows is no value of the element around. */
	answer->value.len = 0;
	answer->value_is_cut = false;
}

static const struct wbxml_filter_calls calls = {
	answer_out, answer_hold, answer_cut, answer_release, answer_start, answer_text, answer_end};

bool answer_number(const struct answer_filter *answer, uint64_t *number)
{
	const struct answer_name *value = &answer->value;

	*number = 0;
	if (value->len == 0 || value->len > 18)
		return false;
	for (size_t i = 0; i < value->len; i++) {
		if (value->text[i] < '0' || value->text[i] > '9')
			return false;
		*number = *number * 10 + (uint64_t)(value->text[i] - '0');
	}
	return true;
}

/* Life */

struct answer_filter *answer_filter_new(const struct answer_filter_terms *terms)
{
	struct answer_filter *answer = calloc(1, sizeof(*answer));

	if (answer == NULL)
		return NULL;
	answer->terms = *terms;
	spool_init(&answer->held, terms->memory_max, terms->directory);
	wbxml_filter_init(&answer->filter, &calls, answer, &terms->limits);
	return answer;
}

void answer_filter_free(struct answer_filter *answer)
{
	if (answer == NULL)
		return;
	spool_free(&answer->held);
	answer_strip_free(answer);
	free(answer);
}

int answer_filter_feed(struct answer_filter *answer, struct span piece)
{
	return wbxml_filter_feed(&answer->filter, piece);
}

int answer_filter_finish(struct answer_filter *answer)
{
	return wbxml_filter_finish(&answer->filter);
}

const char *answer_filter_fault(const struct answer_filter *answer)
{
	if (answer->fault != NULL)
		return answer->fault;
	if (answer->filter.reader.fault == WBXML_FAULT_NONE)
		return NULL;
	return wbxml_fault_text(answer->filter.reader.fault);
}

const struct answer_counts *answer_filter_counts(const struct answer_filter *answer)
{
	return &answer->counts;
}
