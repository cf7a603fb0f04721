/* Looking at the fields of a parsed head. */
#include "proxy/http.h"

#include "proxy/http_chars.h"
#include "proxy/http_parse.h"

static bool spans_equal_nocase(struct span a, struct span b)
{
	return a.len == b.len &&
	       strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

size_t http_field_find_span(const struct http_head *head, struct span name, struct span *value)
{
	size_t count = 0;

	*value = span_of(NULL, 0);
	for (size_t i = 0; i < head->field_count; i++) {
		if (!spans_equal_nocase(head->fields[i].name, name))
			continue;
		if (count++ == 0)
			*value = head->fields[i].value;
	}
	return count;
}

/* Takes the next element off a comma separated list, without the white space around it. */
static struct span list_take(struct span *list)
{
	const uint8_t *comma = memchr(list->data, ',', list->len);
	size_t len = comma == NULL ? list->len : (size_t)(comma - list->data);
	struct span element = span_of(list->data, len);
	size_t taken = comma == NULL ? len : len + 1;

	list->data += taken;
	list->len -= taken;
	while (element.len > 0 && http_char_is(element.data[0], HTTP_CHAR_SPACE)) {
		element.data++;
		element.len--;
	}
	while (element.len > 0 && http_char_is(element.data[element.len - 1], HTTP_CHAR_SPACE))
		element.len--;
	return element;
}

/* As http_field_has_token(), for a token that is a span. */
static bool field_lists(const struct http_head *head, const char *name, struct span token)
{
	for (size_t i = 0; i < head->field_count; i++) {
		struct span list = head->fields[i].value;

		if (!span_equal_nocase(head->fields[i].name, name))
			continue;
		while (list.len > 0)
			if (spans_equal_nocase(list_take(&list), token))
				return true;
	}
	return false;
}

bool http_field_has_token(const struct http_head *head, const char *name, const char *token)
{
	return field_lists(head, name, span_of_string(token));
}

bool http_media_type_is(struct span value, const char *type)
{
	const uint8_t *semicolon = value.len == 0 ? NULL : memchr(value.data, ';', value.len);

	if (semicolon != NULL)
		value.len = (size_t)(semicolon - value.data);
	while (value.len > 0 && http_char_is(value.data[value.len - 1], HTTP_CHAR_SPACE))
		value.len--;
	return span_equal_nocase(value, type);
}

bool http_field_is_hop_by_hop(const struct http_head *head, const struct http_field *field)
{
	/* RFC 9110 7.6.1 and 11.7; Trailer, because trailer fields are dropped. */
	static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade"};

	/* Most fields have another first letter than all of them. */
	uint8_t first = field->name.len > 0 ? http_letter_folded(field->name.data[0]) : 0;
	bool is_possible =
		first == 'c' || first == 'k' || first == 'p' || first == 't' || first == 'u';

	for (size_t i = 0; is_possible && i < sizeof(names) / sizeof(names[0]); i++)
		if (http_field_resembles(field->name, names[i]))
			return true;
	return http_field_is_connections(head, field->name);
}

bool http_field_is_connections(const struct http_head *head, struct span field_name)
{
	if (!head->connection_names && !span_equal_nocase(field_name, "close") &&
		!span_equal_nocase(field_name, "keep-alive"))
		return false;
	return field_lists(head, "Connection", field_name);
}

void http_connection_read(struct http_head *head, const struct http_specials *specials)
{
	bool closes = false, keeps = false;

	for (size_t i = 0; specials->counts[HTTP_SPECIAL_CONNECTION] > 0 && i < head->field_count;
		i++) {
		struct span list = head->fields[i].value;

		if (!span_equal_nocase(head->fields[i].name, "Connection"))
			continue;
		while (list.len > 0) {
			struct span word = list_take(&list);

			if (span_equal_nocase(word, "close"))
				closes = true;
			else if (span_equal_nocase(word, "keep-alive"))
				keeps = true;
			else if (word.len > 0)
				head->connection_names = true;
		}
	}
	head->keeps_alive = !closes && (head->minor_version == 1 || keeps);
}

bool http_names_resemble(struct span field_name, const char *name)
{
	for (size_t i = 0; i < field_name.len; i++)
		if (http_letter_folded(field_name.data[i]) != http_letter_folded((uint8_t)name[i]))
			return false;
	return true;
}
