#include "auth/directory_ldap_groups.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

/* MS-ADTS 3.1.1.3.4.4.3, LDAP_MATCHING_RULE_TRANSITIVE_EVAL: other servers find nobody by it. */
static const char by_chain[] = ":1.2.840.113556.1.4.1941:";

enum { FILTER_SIZE = 3 * DIRECTORY_GROUP_SIZE + 128 };

int directory_group_filter(const struct config_directory *config, bool by_nesting, const char *dn,
	char *filter, size_t size)
{
	int written = snprintf(
		filter, size, "(%s%s=", config->group_attribute, by_nesting ? by_chain : "");
	size_t len = (size_t)written;

	for (; written >= 0 && *dn != '\0'; dn++) {
		bool is_plain = (*dn >= 'a' && *dn <= 'z') || (*dn >= 'A' && *dn <= 'Z') ||
				(*dn >= '0' && *dn <= '9');

		/* RFC 4515 3: any byte may be escaped, so all are that could ever mean something. */
		if (len + 5 > size)
			return -1;
		len += (size_t)snprintf(
			filter + len, size - len, is_plain ? "%c" : "\\%02x", (unsigned char)*dn);
	}
	if (written < 0 || len + 2 > size)
		return -1;
	memcpy(filter + len, ")", 2);
	return 0;
}

static uint64_t find_in_values(LDAP *connection, LDAPMessage *entry, const char *attribute,
	const struct directory_groups *groups)
{
	struct berval **values = ldap_get_values_len(connection, entry, attribute);
	uint64_t found = 0;

	for (size_t i = 0; values != NULL && values[i] != NULL; i++)
		found |= directory_groups_find(
			groups, span_of(values[i]->bv_val, values[i]->bv_len));
	ldap_value_free_len(values);
	return found;
}

/* Active Directory gives at most 1,500 values, under "memberOf;range=0-1499" (MS-ADTS 3.1.1.3.1.3.3). */
static bool has_more_values(LDAP *connection, LDAPMessage *entry, const char *attribute)
{
	static const char range[] = ";range=";
	size_t len = strlen(attribute);
	BerElement *at = NULL;
	bool has_more = false;

	for (char *name = ldap_first_attribute(connection, entry, &at); name != NULL;
		name = ldap_next_attribute(connection, entry, at)) {
		has_more |= strncasecmp(name, attribute, len) == 0 &&
			    strncasecmp(name + len, range, strlen(range)) == 0;
		ldap_memfree(name);
	}
	ber_free(at, 0);
	return has_more;
}

/* 1: the entry passes the filter; 0: it does not; -1 with err filled. */
static int ask(LDAP *connection, const char *entry, const char *filter, struct timeval limit,
	struct error *err)
{
	static char none[] = LDAP_NO_ATTRS;
	char *attributes[] = {none, NULL};
	LDAPMessage *found = NULL;
	int result = ldap_search_ext_s(connection, entry, LDAP_SCOPE_BASE, filter, attributes, 0,
		NULL, NULL, &limit, 1, &found);
	int count = result == LDAP_SUCCESS ? ldap_count_entries(connection, found) : 0;

	ldap_msgfree(found);
	if (result == LDAP_SUCCESS)
		return count > 0;
	return error_set(
		err, "asking for the groups of %.200s: %s", entry, ldap_err2string(result));
}

static int ask_for_all(LDAP *connection, const char *entry, const struct config_directory *config,
	const struct directory_groups *groups, uint64_t *found, struct error *err)
{
	struct timeval limit = {.tv_sec = config->answer_time_ms / 1000,
		.tv_usec = (suseconds_t)(config->answer_time_ms % 1000) * 1000};
	char filter[FILTER_SIZE];

	for (size_t i = 0; i < directory_groups_count(groups); i++) {
		const char *dn = directory_groups_dn(groups, i);
		int is_in;

		if (dn == NULL || (*found >> i & 1) != 0)
			continue;
		if (directory_group_filter(
			    config, config->group_nesting, dn, filter, sizeof(filter)) == -1)
			return error_set(err, "the name of the group %.200s is too long", dn);
		is_in = ask(connection, entry, filter, limit, err);
		if (is_in == -1)
			return -1;
		*found |= (uint64_t)is_in << i;
	}
	return 0;
}

int directory_ldap_groups(LDAP *connection, LDAPMessage *entry,
	const struct config_directory *config, const struct directory_groups *groups,
	uint64_t *found, struct error *err)
{
	const char *attribute = config->group_attribute;
	char *dn;
	int status;

	*found = 0;
	if (directory_groups_count(groups) == 0 || attribute[0] == '\0')
		return 0;
	*found = find_in_values(connection, entry, attribute, groups);
	if (!config->group_nesting && !has_more_values(connection, entry, attribute))
		return 0;
	dn = ldap_get_dn(connection, entry);
	if (dn == NULL)
		return error_set(err, "asking for groups: the entry has no DN");
	status = ask_for_all(connection, dn, config, groups, found, err);
	ldap_memfree(dn);
	return status;
}
