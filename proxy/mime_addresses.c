#include "proxy/mime_addresses.h"

enum address_state {
	ADDRESS_PLAIN, /* a display name, or an address without < > */
	ADDRESS_QUOTED,
	ADDRESS_COMMENT,
	ADDRESS_LITERAL, /* [192.0.2.1] */
	ADDRESS_ANGLE,
	ADDRESS_ANGLE_QUOTED,
	ADDRESS_ANGLE_COMMENT,
	ADDRESS_ANGLE_LITERAL
};

/* The states within < > are those without, moved by this. */
enum { WITHIN_ANGLE = ADDRESS_ANGLE - ADDRESS_PLAIN };

void mime_addresses_begin(struct mime_addresses *list)
{
	list->at = list->end = NULL;
	list->address = (struct span){0};
	list->state = ADDRESS_PLAIN;
	list->is_escaped = list->has_angle = list->is_too_long = list->is_cut = false;
	list->comment_depth = 0;
	list->len = 0;
}

void mime_addresses_feed(struct mime_addresses *list, struct span piece)
{
	list->at = piece.data;
	list->end = piece.len > 0 ? piece.data + piece.len : piece.data;
}

static void keep(struct mime_addresses *list, uint8_t c)
{
	if (list->has_angle && list->state < ADDRESS_ANGLE)
		return;
	if (list->len == sizeof(list->text)) {
		list->is_too_long = true;
		return;
	}
	list->text[list->len++] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
}

static void drop(struct mime_addresses *list)
{
	list->len = 0;
	list->is_too_long = false;
}

/* An address has come to its end. */
static bool found(struct mime_addresses *list)
{
	list->address = span_of(list->text, list->len);
	list->is_cut = list->is_too_long;
	list->has_angle = false;
	drop(list);
	return list->address.len > 0;
}

static void read_quoted(struct mime_addresses *list, uint8_t c, uint8_t outside)
{
	if (c != '\r' && c != '\n') /* RFC 5322 3.2.2: a line that is folded */
		keep(list, c);
	if (list->is_escaped)
		list->is_escaped = false;
	else if (c == '\\')
		list->is_escaped = true;
	else if (c == '"')
		list->state = outside;
}

static void read_comment(struct mime_addresses *list, uint8_t c, uint8_t outside)
{
	if (list->is_escaped)
		list->is_escaped = false;
	else if (c == '\\')
		list->is_escaped = true;
	else if (c == '(')
		list->comment_depth++;
	else if (c == ')' && --list->comment_depth == 0)
		list->state = outside;
}

static void read_literal(struct mime_addresses *list, uint8_t c, uint8_t outside)
{
	keep(list, c);
	if (c == ']')
		list->state = outside;
}

/* What is the same within < > and without; false: it is not one of these. */
static bool read_opening(struct mime_addresses *list, uint8_t c)
{
	uint8_t angle = list->state >= ADDRESS_ANGLE ? WITHIN_ANGLE : 0;

	switch (c) {
	case '"':
		keep(list, c);
		list->state = ADDRESS_QUOTED + angle;
		return true;
	case '(':
		list->comment_depth = 1;
		list->state = ADDRESS_COMMENT + angle;
		return true;
	case '[':
		keep(list, c);
		list->state = ADDRESS_LITERAL + angle;
		return true;
	case ' ':
	case '\t':
	case '\r':
	case '\n': return true;
	default: return false;
	}
}

/* True: an address has ended. */
static bool read_plain(struct mime_addresses *list, uint8_t c)
{
	switch (c) {
	case ',':
	case ';': return found(list);
	case ':':
		if (list->has_angle)
			return found(list);
		drop(list); /* it was a group's name */
		return false;
	case '<':
		if (list->has_angle) {
			/* Two addresses without a comma between them. */
			bool is_first = found(list);

			list->has_angle = true;
			list->state = ADDRESS_ANGLE;
			return is_first;
		}
		drop(list);
		list->has_angle = true;
		list->state = ADDRESS_ANGLE;
		return false;
	default: keep(list, c); return false;
	}
}

static void read_angle(struct mime_addresses *list, uint8_t c)
{
	if (c == '>')
		list->state = ADDRESS_PLAIN;
	else if (c == ':')
		drop(list); /* RFC 5322 4.4: it was a route */
	else
		keep(list, c);
}

static bool read_character(struct mime_addresses *list, uint8_t c)
{
	switch ((enum address_state)list->state) {
	case ADDRESS_QUOTED: read_quoted(list, c, ADDRESS_PLAIN); return false;
	case ADDRESS_ANGLE_QUOTED: read_quoted(list, c, ADDRESS_ANGLE); return false;
	case ADDRESS_COMMENT: read_comment(list, c, ADDRESS_PLAIN); return false;
	case ADDRESS_ANGLE_COMMENT: read_comment(list, c, ADDRESS_ANGLE); return false;
	case ADDRESS_LITERAL: read_literal(list, c, ADDRESS_PLAIN); return false;
	case ADDRESS_ANGLE_LITERAL: read_literal(list, c, ADDRESS_ANGLE); return false;
	case ADDRESS_PLAIN: return !read_opening(list, c) && read_plain(list, c);
	case ADDRESS_ANGLE:
		if (!read_opening(list, c))
			read_angle(list, c);
		return false;
	}
	return false;
}

bool mime_addresses_next(struct mime_addresses *list)
{
	while (list->at < list->end)
		if (read_character(list, *list->at++))
			return true;
	return false;
}

bool mime_addresses_end(struct mime_addresses *list)
{
	bool has_one;

	/* Others may not take what follows for a comment that never ends. */
	if (list->comment_depth > 0)
		keep(list, '(');
	has_one = found(list);
	list->state = ADDRESS_PLAIN;
	list->is_escaped = false;
	list->comment_depth = 0;
	return has_one;
}
