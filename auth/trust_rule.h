/*
 * Rules of an authority: from JSON and back. What they mean is in trust_store.h. For the files
 * auth/trust_*.c alone.
 */
#ifndef AUTH_TRUST_RULE_H
#define AUTH_TRUST_RULE_H

#include <stddef.h>

#include "auth/trust_store.h"

/* Frees rules and what they own. NULL is allowed. */
void trust_rules_free(struct authority_rule *rules, size_t count);

#endif
