/* The texts of a body: one small arena that grows by doubling up to its bound. */
#include <stdlib.h>

#include "config/octets.h"
#include "proxy/eas_body_parts.h"
#include "wbxml/utf8.h"

enum {
	FIRST_CAPACITY = 128,
	FIRST_PLACE = 1, /* place 0 is "" */
	C1_LEAD = 0xC2   /* before 80 to 9F: the control characters U+0080 to U+009F */
};

static bool make_room(struct eas_body *body, size_t len)
{
	size_t wanted = body->texts_capacity > 0 ? body->texts_capacity : FIRST_CAPACITY;
	char *grown;

	while (wanted < len)
		wanted *= 2;
	if (wanted > EAS_BODY_TEXTS_MAX)
		return false;
	if (wanted == body->texts_capacity)
		return true;
	grown = realloc(body->texts, wanted);
	if (grown == NULL)
		return false;
	grown[0] = '\0';
	body->texts = grown;
	body->texts_capacity = (uint16_t)wanted;
	if (body->texts_len == 0)
		body->texts_len = FIRST_PLACE;
	return true;
}

/* How many bytes the character at the front has; 0: none that can be shown. */
static size_t character_len(const uint8_t *at, const uint8_t *end)
{
	uint8_t state = UTF8_WHOLE;
	size_t len = 0;

	if (*at < ' ' || *at == 0x7F)
		return 0;
	do {
		if (at + len == end || utf8_scan(at + len, at + len + 1, &state) == at + len)
			return 0;
		len++;
	} while (state != UTF8_WHOLE);
	return *at == C1_LEAD && at[1] < 0xA0 ? 0 : len;
}

/* Cut, and no character in two. */
static size_t cut_len(struct span text, size_t max_len)
{
	size_t len = max_len;

	if (text.len <= max_len)
		return text.len;
	while (len > 0 && max_len - len < 4 && (text.data[len] & 0xC0) == 0x80)
		len--;
	return len;
}

/* How many of the next bytes are ASCII that can be shown, in steps of eight. */
static size_t plain_len(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *begin = at;

	while (end - at >= 8) {
		uint64_t octets = octets_load(at);

		if ((octets_below(octets, ' ') | octets_high(octets) |
			    octets_equal(octets, 0x7F)) != 0)
			break;
		at += 8;
	}
	return (size_t)(at - begin);
}

static void copy_printable(char *to, struct span text)
{
	const uint8_t *at = text.data;
	const uint8_t *end = at + text.len;

	while (at < end) {
		size_t plain = plain_len(at, end);
		size_t len;

		memcpy(to, at, plain);
		to += plain;
		at += plain;
		if (at == end)
			break;
		len = *at >= ' ' && *at < 0x7F ? 1 : character_len(at, end);

		if (len == 0)
			*to++ = '?';
		else
			memcpy(to, at, len);
		to += len;
		at += len > 0 ? len : 1;
	}
	*to = '\0';
}

uint16_t eas_body_text_add(struct eas_body *body, struct span text, size_t max_len)
{
	size_t at = body->texts_len > 0 ? body->texts_len : FIRST_PLACE;
	size_t len = cut_len(text, max_len);

	if (len < text.len)
		body->texts_are_cut = true;
	if (len == 0)
		return 0;
	if (!make_room(body, at + len + 1)) {
		body->texts_are_cut = true;
		return 0;
	}
	copy_printable(body->texts + at, span_of(text.data, len));
	body->texts_len = (uint16_t)(at + len + 1);
	return (uint16_t)at;
}

void eas_body_texts_trim(struct eas_body *body)
{
	char *trimmed;

	if (body->texts_len == body->texts_capacity)
		return;
	trimmed = realloc(body->texts, body->texts_len);
	if (trimmed == NULL)
		return;
	body->texts = trimmed;
	body->texts_capacity = body->texts_len;
}

const char *eas_body_text(const struct eas_body *body, uint16_t place)
{
	return place > 0 && place < body->texts_len ? body->texts + place : "";
}

const char *eas_body_collection_id(const struct eas_body *body, size_t index)
{
	return index < EAS_COLLECTIONS_NAMED ? eas_body_text(body, body->collections[index].id)
					     : "";
}

const char *eas_body_sync_key(const struct eas_body *body, size_t index)
{
	return index < EAS_COLLECTIONS_NAMED
		       ? eas_body_text(body, body->collections[index].sync_key)
		       : "";
}

const char *eas_body_recipient(const struct eas_body *body, size_t index)
{
	return index < EAS_RECIPIENTS_NAMED ? eas_body_text(body, body->recipients[index]) : "";
}

const char *eas_body_device_info(const struct eas_body *body, enum eas_info info)
{
	return (unsigned int)info < EAS_INFO_COUNT ? eas_body_text(body, body->device_info[info])
						   : "";
}
