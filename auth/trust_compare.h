/*
 * The terms on which two entries of trust stores hold. For the files auth/trust_*.c alone; others have
 * trust_store_compare().
 */
#ifndef AUTH_TRUST_COMPARE_H
#define AUTH_TRUST_COMPARE_H

#include "auth/trust_store.h"

/* The member of the JSON in which two entries differ as to what is checked and allowed, whatever their
 * certificates are; NULL where they agree. */
const char *trust_terms_difference(const struct authority *a, const struct authority *b);

#endif
