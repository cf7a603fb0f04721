#include "proxy/negotiate.h"

#include "config/base64.h"

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Takes off what stands before the next comma that is in no quoted string, and the comma. */
static struct span next_part(struct span *list)
{
	bool is_quoted = false;
	size_t len = 0;
	struct span part;

	while (len < list->len && (is_quoted || list->data[len] != ',')) {
		if (is_quoted && list->data[len] == '\\' && len + 1 < list->len)
			len++;
		else if (list->data[len] == '"')
			is_quoted = !is_quoted;
		len++;
	}
	part = span_of(list->data, len);
	if (len < list->len)
		len++;
	*list = span_of(list->data + len, list->len - len);
	return part;
}

static struct span trim(struct span text)
{
	while (text.len > 0 && is_blank(text.data[0]))
		text = span_of(text.data + 1, text.len - 1);
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* What follows the scheme, if it is Negotiate; empty otherwise. */
static struct span token_of(struct span challenge)
{
	static const char scheme[] = "negotiate";
	size_t len = sizeof(scheme) - 1;

	challenge = trim(challenge);
	if (challenge.len <= len || !is_blank(challenge.data[len]) ||
		!span_equal_nocase(span_of(challenge.data, len), scheme))
		return (struct span){0};
	return trim(span_of(challenge.data + len, challenge.len - len));
}

static enum negotiate_result decode(struct span text, uint8_t *token, size_t size, size_t *len)
{
	/* The decoder may write up to three bytes more than there are in the end. */
	if (text.len / 4 * 3 + 3 > size || base64_decode(text, token, len) != 0 || *len == 0)
		return NEGOTIATE_MALFORMED;
	return NEGOTIATE_TOKEN;
}

enum negotiate_result negotiate_read(
	const struct http_head *head, uint8_t *token, size_t size, size_t *len)
{
	for (size_t i = 0; i < head->field_count; i++) {
		struct span list = head->fields[i].value;

		if (!span_equal_nocase(head->fields[i].name, "www-authenticate"))
			continue;
		while (list.len > 0) {
			struct span text = token_of(next_part(&list));

			if (text.len > 0)
				return decode(text, token, size, len);
		}
	}
	return NEGOTIATE_NO_TOKEN;
}
