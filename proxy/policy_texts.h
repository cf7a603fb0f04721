/*
 * A list of texts that a fact of a request is compared with, ASCII letters without case: "*" stands for
 * any characters, "?" for one, and an entry with "!" in front excludes. Made once, compared without
 * allocation; entries without wildcards are found by their hash however many there are. For
 * proxy/policy*.c and what takes attachments out of answers.
 */
#ifndef PROXY_POLICY_TEXTS_H
#define PROXY_POLICY_TEXTS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/model.h"
#include "config/span.h"

struct policy_texts;

/* NULL when memory runs out. words is not needed afterwards. */
struct policy_texts *policy_texts_new(const struct config_words *words);
void policy_texts_free(struct policy_texts *texts);

/* Of the text as policy_texts_find() wants it; the same for letters of any case. */
uint64_t policy_texts_hash(struct span text);

struct policy_texts_found {
	bool is_named;    /* by an entry without "!" */
	bool is_excluded; /* by one with it */
};

struct policy_texts_found policy_texts_find(
	const struct policy_texts *texts, struct span text, uint64_t hash);

/* Whether an entry names the text, or all only exclude, and none excludes it. */
bool policy_texts_accept(const struct policy_texts *texts, struct span text, uint64_t hash);

/* The same of a thing that has two texts: one of them named, none excluded. An empty one says nothing. */
bool policy_texts_accept_either(
	const struct policy_texts *texts, struct span one, struct span other);

/* What can be said of a text in six bits, so that most lists need not be looked at: a list that names
 * texts has a mark with a set of values, outside of which it accepts nothing. */
enum policy_mark { POLICY_MARK_NONE, POLICY_MARK_HASH, POLICY_MARK_START, POLICY_MARK_LAST };

/* *marks: bit n for the value n; all of them with NONE. */
enum policy_mark policy_texts_marks(const struct policy_texts *texts, uint64_t *marks);

enum { POLICY_START_LEN = 3 }; /* letters that the mark START is made of */

static inline uint8_t policy_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static inline uint8_t policy_mark(enum policy_mark mark, struct span text, uint64_t hash)
{
	if (mark == POLICY_MARK_HASH)
		return (uint8_t)(hash & 63);
	if (mark == POLICY_MARK_START && text.len >= POLICY_START_LEN)
		return (policy_lower(text.data[0]) + 7 * policy_lower(text.data[1]) +
			       11 * policy_lower(text.data[2])) &
		       63;
	if (mark == POLICY_MARK_LAST && text.len > 0)
		return policy_lower(text.data[text.len - 1]) & 63;
	return 0;
}

/* Whether policy_texts_find() looks at the hash. */
bool policy_texts_ask_hash(const struct policy_texts *texts);

#endif
