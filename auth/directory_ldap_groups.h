/*
 * In which groups somebody is, by LDAP: what stands in an attribute of the entry, and, where asked for,
 * what Active Directory says of groups within groups. Blocks. For directory_ldap.c.
 */
#ifndef AUTH_DIRECTORY_LDAP_GROUPS_H
#define AUTH_DIRECTORY_LDAP_GROUPS_H

#include <ldap.h>
#include <stdint.h>

#include "auth/directory_groups.h"
#include "config/error.h"
#include "config/model.h"

/* Bit n of *found: the entry, which stands in the result of a search, is in the nth group. 0, or -1 with
 * err filled, and the connection is to be given up. */
int directory_ldap_groups(LDAP *connection, LDAPMessage *entry,
	const struct config_directory *config, const struct directory_groups *groups,
	uint64_t *found, struct error *err);

/* The filter that an entry passes which is in that group, directly or by groups within it. 0, or -1: it
 * does not fit. For tests. */
int directory_group_filter(const struct config_directory *config, bool by_nesting, const char *dn,
	char *filter, size_t size);

#endif
