#include "auth/directory_groups.h"

#include <ldap.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/unicode.h"

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

static void put_part(struct writer *out, const LDAPAVA *part)
{
	static const char is_text = '=', is_ber = '#';
	struct span value = span_of(part->la_value.bv_val, part->la_value.bv_len);
	uint16_t prefix = (uint16_t)value.len;

	put_text(out, span_of(part->la_attr.bv_val, part->la_attr.bv_len));
	if ((part->la_flags & LDAP_AVA_BINARY) == 0) {
		put(out, &is_text, 1);
		put_text(out, value);
		return;
	}
	out->has_failed |= value.len > UINT16_MAX;
	put(out, &is_ber, 1);
	put(out, &prefix, sizeof(prefix));
	put(out, value.data, value.len);
}

/* Parts of one relative name have no order among each other (RFC 4514 2.2). */
static int compare_parts(const void *a, const void *b)
{
	const LDAPAVA *const *left = a, *const *right = b;
	struct span one = span_of((*left)->la_attr.bv_val, (*left)->la_attr.bv_len);
	struct span two = span_of((*right)->la_attr.bv_val, (*right)->la_attr.bv_len);
	size_t shorter = one.len < two.len ? one.len : two.len;
	int order = strncasecmp((const char *)one.data, (const char *)two.data, shorter);

	return order != 0 ? order : (one.len > two.len) - (one.len < two.len);
}

static void put_name(struct writer *out, LDAPDN name)
{
	for (LDAPRDN *relative = name; *relative != NULL; relative++) {
		static const char begin = '/';
		size_t count = 0;

		while ((*relative)[count] != NULL)
			count++;
		qsort(*relative, count, sizeof(**relative), compare_parts);
		put(out, &begin, 1);
		for (size_t i = 0; i < count; i++)
			put_part(out, (*relative)[i]);
	}
}

int directory_group_fold(struct span name, char out[DIRECTORY_GROUP_SIZE], int *is_dn)
{
	struct berval text = {.bv_val = (char *)name.data, .bv_len = name.len};
	struct writer writer = {.text = out};
	LDAPDN parsed = NULL;

	*is_dn = 0;
	if (name.len == 0 || name.len > DIRECTORY_GROUP_SIZE ||
		memchr(name.data, '\0', name.len) != NULL)
		return -1;
	if (memchr(name.data, '=', name.len) != NULL &&
		ldap_bv2dn(&text, &parsed, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS &&
		parsed != NULL) {
		*is_dn = 1;
		put_name(&writer, parsed);
	} else {
		static const char is_plain = '-';

		put(&writer, &is_plain, 1);
		put_text(&writer, name);
	}
	ldap_dnfree(parsed);
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
