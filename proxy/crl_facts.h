/*
 * What is known of a CRL, as members of a JSON object: for all answers of the control process that tell of
 * one (crl-list, explain), and for easproxyctl ca lint.
 */
#ifndef PROXY_CRL_FACTS_H
#define PROXY_CRL_FACTS_H

#include <jansson.h>

#include "auth/revocation_index.h"
#include "auth/trust_store.h"

/* Its numbers (decimal, and as NAME_hex), dates, entries, sizes, who signed it (an issuer of the trust
 * store, else the key's hash), and its scope where that is not everything. */
void crl_facts_set(
	json_t *object, const struct trust_store *trust, const struct revocation_facts *facts);

/* A moment that is not there (0) is not shown. */
void crl_facts_set_moment(json_t *object, const char *name, int64_t moment);

/* As name and name_hex; a number of 0 or none is not shown. */
void crl_facts_set_number(json_t *object, const char *name, const uint8_t octets[20]);

#endif
