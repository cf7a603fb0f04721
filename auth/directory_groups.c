#include "auth/directory_groups.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "auth/unicode.h"

enum { PARTS_MAX = 8 /* of one relative name, CN=a+OU=b */ };

struct group {
	const char *name;
	char *folded;
	size_t len;
	bool is_dn;
};

struct directory_groups {
	size_t count;
	struct group groups[DIRECTORY_GROUPS_MAX];
};

struct writer {
	char *text; /* DIRECTORY_GROUP_SIZE */
	size_t len;
	bool has_failed;
};

static void put(struct writer *out, const void *data, size_t len)
{
	if (out->has_failed || len > DIRECTORY_GROUP_SIZE - out->len) {
		out->has_failed = true;
		return;
	}
	memcpy(out->text + out->len, data, len);
	out->len += len;
}

/* Folded, and behind its length, so that no value can pass for a part of the syntax. */
static void put_text(struct writer *out, struct span text)
{
	char folded[DIRECTORY_GROUP_SIZE];
	int len = unicode_fold(text, folded, sizeof(folded));
	uint16_t prefix = (uint16_t)len;

	if (len < 0) {
		out->has_failed = true;
		return;
	}
	put(out, &prefix, sizeof(prefix));
	put(out, folded, (size_t)len);
}

static void skip_blanks(struct span *text)
{
	while (text->len > 0 && text->data[0] == ' ')
		*text = span_of(text->data + 1, text->len - 1);
}

static bool is_type_character(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.';
}

/* RFC 4514 3: what stands in front of "=", behind which text is moved. False: there is none. */
static bool take_type(struct writer *out, struct span *text)
{
	size_t len = 0;

	skip_blanks(text);
	while (len < text->len && is_type_character(text->data[len]))
		len++;
	if (len == 0)
		return false;
	put_text(out, span_of(text->data, len));
	*text = span_of(text->data + len, text->len - len);
	skip_blanks(text);
	if (text->len == 0 || text->data[0] != '=')
		return false;
	*text = span_of(text->data + 1, text->len - 1);
	return true;
}

static int hex_digit(uint8_t c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

/* What a backslash, behind which text stands, is the beginning of: one byte. -1: of nothing. */
static int take_escaped(struct span *text)
{
	int byte, low;

	if (text->len == 0)
		return -1;
	byte = text->data[0];
	if (byte != '\0' && strchr(" \"#+,;<=>\\", byte) != NULL) {
		*text = span_of(text->data + 1, text->len - 1);
		return byte;
	}
	byte = hex_digit(text->data[0]);
	low = text->len > 1 ? hex_digit(text->data[1]) : -1;
	if (byte == -1 || low == -1)
		return -1;
	*text = span_of(text->data + 2, text->len - 2);
	return byte * 16 + low;
}

/* A value up to what ends it, before which text is moved. "#" in front of bytes of an encoding, which are
 * not looked into, and "=" in front of a text cannot be taken for each other. */
static bool take_value(struct writer *out, struct span *text)
{
	char value[DIRECTORY_GROUP_SIZE];
	char kind = '=';
	size_t len = 0, trimmed = 0;

	skip_blanks(text);
	if (text->len > 0 && text->data[0] == '#')
		kind = '#';
	while (text->len > 0 && strchr(",;+", text->data[0]) == NULL) {
		int c = text->data[0];
		bool is_escaped = c == '\\';

		*text = span_of(text->data + 1, text->len - 1);
		if (is_escaped)
			c = take_escaped(text);
		else if (strchr("\"<>", c) != NULL)
			return false;
		if (c == -1 || len == sizeof(value))
			return false;
		value[len++] = (char)c;
		if (is_escaped || c != ' ')
			trimmed = len;
	}
	put(out, &kind, 1);
	put_text(out, span_of(value, trimmed));
	return true;
}

/* Parts of one relative name have no order among each other (RFC 4514 2.2): put in that of their bytes. */
static void sort_parts(char *text, const size_t *begins, size_t count)
{
	char sorted[DIRECTORY_GROUP_SIZE];
	bool is_taken[PARTS_MAX] = {false};
	size_t used = 0;

	for (size_t n = 0; n < count; n++) {
		size_t least = 0;

		while (is_taken[least] && least + 1 < count)
			least++;
		for (size_t i = least + 1; i < count; i++) {
			size_t len = begins[i + 1] - begins[i];
			size_t least_len = begins[least + 1] - begins[least];
			size_t shorter = len < least_len ? len : least_len;
			int order = memcmp(text + begins[i], text + begins[least], shorter);

			if (!is_taken[i] && (order < 0 || (order == 0 && len < least_len)))
				least = i;
		}
		is_taken[least] = true;
		memcpy(sorted + used, text + begins[least], begins[least + 1] - begins[least]);
		used += begins[least + 1] - begins[least];
	}
	memcpy(text + begins[0], sorted, used);
}

/* One relative name, and what ends it. */
static bool take_relative(struct writer *out, struct span *text)
{
	size_t begins[PARTS_MAX + 1], count = 0;
	bool has_more = true;

	put(out, "/", 1);
	while (has_more) {
		if (count == PARTS_MAX)
			return false;
		begins[count++] = out->len;
		if (!take_type(out, text) || !take_value(out, text) || out->has_failed)
			return false;
		has_more = text->len > 0 && text->data[0] == '+';
		if (has_more)
			*text = span_of(text->data + 1, text->len - 1);
	}
	begins[count] = out->len;
	if (count > 1)
		sort_parts(out->text, begins, count);
	return true;
}

/* A whole name, at least one part of it. libldap's own reader reads beyond the end of what it is given,
 * OpenLDAP 2.5, where that ends in a backslash. */
static bool take_name(struct writer *out, struct span text)
{
	for (;;) {
		if (!take_relative(out, &text))
			return false;
		if (text.len == 0)
			return true;
		text = span_of(text.data + 1, text.len - 1);
	}
}

int directory_group_fold(struct span name, char out[DIRECTORY_GROUP_SIZE], int *is_dn)
{
	struct writer writer = {.text = out};

	*is_dn = 0;
	if (name.len == 0 || name.len > DIRECTORY_GROUP_SIZE ||
		memchr(name.data, '\0', name.len) != NULL)
		return -1;
	if (memchr(name.data, '=', name.len) != NULL && take_name(&writer, name)) {
		*is_dn = 1;
	} else {
		writer = (struct writer){.text = out};
		put(&writer, "-", 1);
		put_text(&writer, name);
	}
	return writer.has_failed ? -1 : (int)writer.len;
}

static int keep(struct group *group, const char *name)
{
	char folded[DIRECTORY_GROUP_SIZE];
	int is_dn;
	int len = directory_group_fold(span_of_string(name), folded, &is_dn);

	if (len < 0)
		return -1;
	group->folded = malloc((size_t)len);
	if (group->folded == NULL)
		return -1;
	memcpy(group->folded, folded, (size_t)len);
	group->len = (size_t)len;
	group->name = name;
	group->is_dn = is_dn != 0;
	return 0;
}

struct directory_groups *directory_groups_new(size_t count, char *const *names, struct error *err)
{
	struct directory_groups *groups = calloc(1, sizeof(*groups));

	if (groups == NULL) {
		error_sys(err, "preparing the groups of the policy");
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (i == DIRECTORY_GROUPS_MAX || keep(&groups->groups[i], names[i]) == -1) {
			error_set(err,
				"the group '%.200s' of the policy cannot be looked for: it "
				"is empty, too long or not UTF-8, or there are more than %d",
				names[i], DIRECTORY_GROUPS_MAX);
			directory_groups_free(groups);
			return NULL;
		}
		groups->count++;
	}
	return groups;
}

void directory_groups_free(struct directory_groups *groups)
{
	if (groups == NULL)
		return;
	for (size_t i = 0; i < groups->count; i++)
		free(groups->groups[i].folded);
	free(groups);
}

size_t directory_groups_count(const struct directory_groups *groups)
{
	return groups != NULL ? groups->count : 0;
}

uint64_t directory_groups_find(const struct directory_groups *groups, struct span value)
{
	char folded[DIRECTORY_GROUP_SIZE];
	uint64_t found = 0;
	int is_dn, len;

	if (directory_groups_count(groups) == 0)
		return 0;
	len = directory_group_fold(value, folded, &is_dn);
	if (len < 0)
		return 0;
	for (size_t i = 0; i < groups->count; i++)
		if (groups->groups[i].len == (size_t)len &&
			memcmp(groups->groups[i].folded, folded, (size_t)len) == 0)
			found |= UINT64_C(1) << i;
	return found;
}

const char *directory_groups_dn(const struct directory_groups *groups, size_t n)
{
	return groups->groups[n].is_dn ? groups->groups[n].name : NULL;
}
