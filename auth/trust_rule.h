/*
 * Rules of an authority: from JSON and back. What they mean is in trust_store.h. For the files
 * auth/trust_*.c alone.
 */
#ifndef AUTH_TRUST_RULE_H
#define AUTH_TRUST_RULE_H

#include <jansson.h>
#include <stddef.h>

#include "auth/trust_reader.h"

/* Reads the list (NULL: there are no rules) into the authority, which owns what was read in any case. 0, or
 * -1 where a fault was reported. */
int trust_rules_read(struct trust_reader *reader, json_t *list, struct authority *authority);

/* The list as it is read. NULL when memory runs out. */
json_t *trust_rules_write(const struct authority_rule *rules, size_t count);

/* Frees rules and what they own. NULL is allowed. */
void trust_rules_free(struct authority_rule *rules, size_t count);

#endif
