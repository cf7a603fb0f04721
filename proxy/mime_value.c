#include "proxy/mime_value.h"

#include "config/base64.h"
#include "config/hex.h"

/* A text under way to its bounded place. */
struct out {
	char *text;
	size_t len, capacity; /* without the NUL */
};

static void out_byte(struct out *out, uint8_t byte)
{
	if (out->len < out->capacity)
		out->text[out->len++] = (char)byte;
}

static void out_bytes(struct out *out, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		out_byte(out, bytes.data[i]);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span span_from(struct span text, size_t at)
{
	return span_of(text.data + at, text.len - at);
}

/* Up to any of these characters; the text is moved on to it. */
static struct span take_until(struct span *text, const char *stops)
{
	size_t len = 0;
	struct span taken;

	while (len < text->len && strchr(stops, text->data[len]) == NULL)
		len++;
	taken = span_of(text->data, len);
	*text = span_from(*text, len);
	return taken;
}

static void skip_blanks(struct span *text)
{
	while (text->len > 0 && is_blank(text->data[0]))
		*text = span_from(*text, 1);
}

/* Charsets. Others than these two stay as they stand. */

static bool is_latin1(struct span charset)
{
	return span_equal_nocase(charset, "iso-8859-1") || span_equal_nocase(charset, "us-ascii");
}

static void out_decoded(struct out *out, bool from_latin1, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t c = bytes.data[i];

		if (c >= 0x80 && from_latin1) {
			out_byte(out, (uint8_t)(0xC0 | c >> 6));
			out_byte(out, (uint8_t)(0x80 | (c & 0x3F)));
		} else {
			out_byte(out, c);
		}
	}
}

static bool is_known_charset(struct span charset)
{
	return is_latin1(charset) || span_equal_nocase(charset, "utf-8");
}

/* Two hexadecimal digits behind an escape character; -1: none. */
static int escaped_byte(struct span text, size_t at)
{
	int high, low;

	if (text.len - at < 3)
		return -1;
	high = hex_value((char)text.data[at + 1]);
	low = hex_value((char)text.data[at + 2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* What =XX or %XX stands for, and in the first case what "_" does. */
static size_t unescape(struct span text, uint8_t escape, uint8_t *bytes)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int byte = text.data[i] == escape ? escaped_byte(text, i) : -1;

		if (byte >= 0)
			i += 2;
		else
			byte = escape == '=' && text.data[i] == '_' ? ' ' : text.data[i];
		bytes[len++] = (uint8_t)byte;
	}
	return len;
}

/* RFC 2047: =?charset?Q?text?=. Its length, or 0: none begins here, or none that we can read. */
static size_t encoded_word(struct span text, struct out *out)
{
	uint8_t bytes[MIME_VALUE_MAX + 4];
	struct span rest, charset, encoding, content;
	size_t len = 0;

	if (text.len < 2 || memcmp(text.data, "=?", 2) != 0)
		return 0;
	rest = span_from(text, 2);
	charset = take_until(&rest, "?* ");
	take_until(&rest, "? "); /* RFC 2231 5: a language */
	if (rest.len < 3 || rest.data[0] != '?' || rest.data[2] != '?')
		return 0;
	encoding = span_of(rest.data + 1, 1);
	rest = span_from(rest, 3);
	content = take_until(&rest, "? ");
	if (rest.len < 2 || memcmp(rest.data, "?=", 2) != 0 || content.len > MIME_VALUE_MAX ||
		!is_known_charset(charset))
		return 0;
	if (span_equal_nocase(encoding, "q"))
		len = unescape(content, '=', bytes);
	else if (!span_equal_nocase(encoding, "b") || base64_decode(content, bytes, &len) != 0)
		return 0;
	out_decoded(out, is_latin1(charset), span_of(bytes, len));
	return text.len - rest.len + 2;
}

/* Blanks between two encoded words are not there. */
static void out_words(struct out *out, struct span text)
{
	size_t at = 0;
	bool was_word = false;

	while (at < text.len) {
		size_t blanks = 0, len;

		while (was_word && at + blanks < text.len && is_blank(text.data[at + blanks]))
			blanks++;
		len = encoded_word(span_from(text, at + blanks), out);
		was_word = len > 0;
		if (was_word)
			at += blanks + len;
		else
			out_byte(out, text.data[at++]);
	}
}

/* RFC 2231 4: charset'language'text, where the first piece says the charset. */
static void out_extended(struct out *out, struct span text, bool is_first, bool *from_latin1)
{
	uint8_t bytes[MIME_VALUE_MAX];
	struct span rest = text, charset;

	if (is_first) {
		charset = take_until(&rest, "'");
		*from_latin1 = is_latin1(charset);
		if (rest.len > 0) {
			rest = span_from(rest, 1);
			take_until(&rest, "'");
		}
		rest = rest.len > 0 ? span_from(rest, 1) : text; /* or it is not in that form */
	}
	if (rest.len <= sizeof(bytes))
		out_decoded(out, *from_latin1, span_of(bytes, unescape(rest, '%', bytes)));
}

/* A parameter's name, taken apart: "filename*1*" is filename, its piece 1, extended. */
struct key {
	struct span base;
	int piece; /* -1: it is whole */
	bool is_extended;
};

static struct key key_of(struct span name)
{
	struct key key = {.piece = -1};
	struct span rest = name;

	key.base = take_until(&rest, "*");
	if (rest.len > 1 && rest.data[1] >= '0' && rest.data[1] <= '9') {
		key.piece = 0;
		for (rest = span_from(rest, 1); rest.len > 0 && rest.data[0] >= '0' &&
						rest.data[0] <= '9' && key.piece < 1000;
			rest = span_from(rest, 1))
			key.piece = key.piece * 10 + rest.data[0] - '0';
	}
	key.is_extended = rest.len > 0 && rest.data[0] == '*';
	return key;
}

/* A quoted string without its quotes and backslashes, or what stands there. */
static struct span take_parameter_value(struct span *text, uint8_t *bytes)
{
	struct span token;
	size_t len = 0;

	if (text->len == 0 || text->data[0] != '"') {
		token = take_until(text, ";");
		while (token.len > 0 && is_blank(token.data[token.len - 1]))
			token.len--;
		return token;
	}
	for (*text = span_from(*text, 1); text->len > 0 && text->data[0] != '"';
		*text = span_from(*text, 1)) {
		if (text->data[0] == '\\' && text->len > 1)
			*text = span_from(*text, 1);
		bytes[len++] = text->data[0];
	}
	return span_of(bytes, len);
}

/* Where the name comes from, so that a better one wins. */
enum name_rank { NAME_NONE, NAME_PLAIN, NAME_EXTENDED };

struct reading {
	struct mime_value *value;
	struct out name;
	enum name_rank rank;
	int next_piece;
	bool from_latin1; /* as its first piece says */
};

static void name_note(struct reading *reading, const struct key *key, struct span text)
{
	enum name_rank rank = key->piece >= 0 || key->is_extended ? NAME_EXTENDED : NAME_PLAIN;
	bool is_first = key->piece <= 0;

	reading->value->has_name = true;
	if (rank < reading->rank || (!is_first && key->piece != reading->next_piece))
		return;
	if (is_first)
		reading->name.len = 0;
	reading->rank = rank;
	reading->next_piece = key->piece + 1;
	if (key->is_extended)
		out_extended(&reading->name, text, is_first, &reading->from_latin1);
	else if (key->piece >= 0)
		out_bytes(&reading->name, text);
	else
		out_words(&reading->name, text);
}

static void boundary_note(struct mime_value *value, struct span text)
{
	if (value->boundary_len > 0 || text.len > sizeof(value->boundary))
		return;
	memcpy(value->boundary, text.data, text.len);
	value->boundary_len = (uint8_t)text.len;
}

static void parameter_read(struct reading *reading, struct span *text)
{
	uint8_t bytes[MIME_VALUE_MAX];
	struct span name, content;
	struct key key;

	name = take_until(text, "=; \t\r\n");
	skip_blanks(text);
	if (text->len == 0 || text->data[0] != '=')
		return;
	*text = span_from(*text, 1);
	skip_blanks(text);
	content = take_parameter_value(text, bytes);
	key = key_of(name);
	if (span_equal_nocase(key.base, "name") || span_equal_nocase(key.base, "filename"))
		name_note(reading, &key, content);
	else if (span_equal_nocase(name, "boundary"))
		boundary_note(reading->value, content);
}

void mime_value_read(struct span text, struct mime_value *value)
{
	struct reading reading = {.value = value};
	struct out type = {.text = value->type, .capacity = sizeof(value->type) - 1};
	struct span first;

	memset(value, 0, sizeof(*value));
	reading.name = (struct out){.text = value->name, .capacity = sizeof(value->name) - 1};
	text.len = text.len < MIME_VALUE_MAX ? text.len : MIME_VALUE_MAX;
	skip_blanks(&text);
	first = take_until(&text, "; \t\r\n");
	for (size_t i = 0; i < first.len; i++)
		out_byte(&type, lower(first.data[i]));
	while (text.len > 0) {
		take_until(&text, ";");
		if (text.len > 0)
			text = span_from(text, 1);
		skip_blanks(&text);
		parameter_read(&reading, &text);
	}
	value->name[reading.name.len] = '\0';
}
