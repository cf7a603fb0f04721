/* Looking at the fields of a parsed head. */
#include "proxy/http.h"

#include "proxy/http_chars.h"
#include "proxy/http_parse.h"

static bool spans_equal_nocase(struct span a, struct span b)
{
	return a.len == b.len &&
	       strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

enum http_name http_field_add(struct http_head *head, struct span name, struct span value)
{
	size_t place = head->field_count++;
	enum http_name number = http_name_find(name);
	enum http_name like = number;

	if (number != HTTP_NAME_OTHER) {
		if (head->counts[number]++ == 0)
			head->places[number] = (uint8_t)place;
	} else {
		like = http_name_find_like(name);
		if (like != HTTP_NAME_OTHER)
			head->resembled |= HTTP_NAME_BIT(like);
	}
	head->fields[place] = (struct http_field){
		.name = name, .value = value, .number = (uint8_t)number, .like = (uint8_t)like};
	return number;
}

void http_fields_remove(struct http_head *head, uint64_t names)
{
	size_t count = head->field_count;

	head->field_count = 0;
	head->resembled = 0;
	memset(head->counts, 0, sizeof(head->counts));
	for (size_t i = 0; i < count; i++)
		if (!http_name_is_in(names, head->fields[i].number))
			http_field_add(head, head->fields[i].name, head->fields[i].value);
}

static bool is_named(const struct http_field *field, enum http_name number, struct span name)
{
	return field->number == number &&
	       (number != HTTP_NAME_OTHER || spans_equal_nocase(field->name, name));
}

size_t http_field_find_span(const struct http_head *head, struct span name, struct span *value)
{
	enum http_name number = http_name_find(name);
	size_t count = 0;

	if (number != HTTP_NAME_OTHER)
		return http_field_get(head, number, value);
	*value = span_of(NULL, 0);
	for (size_t i = 0; i < head->field_count; i++)
		if (is_named(&head->fields[i], number, name) && count++ == 0)
			*value = head->fields[i].value;
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

/* Whether the fields of a name, which are lists, have the token. */
static bool fields_list(
	const struct http_head *head, enum http_name number, struct span name, struct span token)
{
	for (size_t i = 0; i < head->field_count; i++) {
		struct span list = head->fields[i].value;

		if (!is_named(&head->fields[i], number, name))
			continue;
		while (list.len > 0)
			if (spans_equal_nocase(list_take(&list), token))
				return true;
	}
	return false;
}

bool http_field_has_token(const struct http_head *head, const char *name, const char *token)
{
	return fields_list(head, http_name_find(span_of_string(name)), span_of_string(name),
		span_of_string(token));
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
	static const uint64_t names =
		HTTP_NAME_BIT(HTTP_NAME_CONNECTION) | HTTP_NAME_BIT(HTTP_NAME_KEEP_ALIVE) |
		HTTP_NAME_BIT(HTTP_NAME_PROXY_AUTHENTICATE) |
		HTTP_NAME_BIT(HTTP_NAME_PROXY_AUTHENTICATION_INFO) |
		HTTP_NAME_BIT(HTTP_NAME_PROXY_AUTHORIZATION) |
		HTTP_NAME_BIT(HTTP_NAME_PROXY_CONNECTION) | HTTP_NAME_BIT(HTTP_NAME_TE) |
		HTTP_NAME_BIT(HTTP_NAME_TRAILER) | HTTP_NAME_BIT(HTTP_NAME_TRANSFER_ENCODING) |
		HTTP_NAME_BIT(HTTP_NAME_UPGRADE);

	return http_name_is_in(names, field->like) || http_field_is_connections(head, field);
}

/* Whether Connection can have the name at all: most heads' has none but these two words. */
static bool may_be_connections(const struct http_head *head, enum http_name number)
{
	return head->connection_names || number == HTTP_NAME_CLOSE ||
	       number == HTTP_NAME_KEEP_ALIVE;
}

bool http_field_is_connections(const struct http_head *head, const struct http_field *field)
{
	return may_be_connections(head, field->number) &&
	       fields_list(head, HTTP_NAME_CONNECTION, span_of(NULL, 0), field->name);
}

bool http_name_is_connections(const struct http_head *head, enum http_name name)
{
	return may_be_connections(head, name) &&
	       fields_list(head, HTTP_NAME_CONNECTION, span_of(NULL, 0),
		       span_of_string(http_name_text(name)));
}

void http_connection_read(struct http_head *head)
{
	bool closes = false, keeps = false;

	for (size_t i = 0; head->counts[HTTP_NAME_CONNECTION] > 0 && i < head->field_count; i++) {
		struct span list = head->fields[i].value;

		if (head->fields[i].number != HTTP_NAME_CONNECTION)
			continue;
		while (list.len > 0) {
			struct span word = list_take(&list);
			enum http_name number = http_name_find(word);

			if (number == HTTP_NAME_CLOSE)
				closes = true;
			else if (number == HTTP_NAME_KEEP_ALIVE)
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
