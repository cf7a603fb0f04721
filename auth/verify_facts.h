/*
 * What is worth remembering of a chain that holds: its links, where their revocation is published, its
 * validity, the rules that apply. For verify_path.c alone.
 */
#ifndef AUTH_VERIFY_FACTS_H
#define AUTH_VERIFY_FACTS_H

#include <openssl/x509_vfy.h>

#include "auth/verify.h"

/* chain: leaf first, root last; policies: for which the chain is valid (NULL: none). Fills links, points,
 * times, rules and ocsp_url of verdict, or refuses what cannot be read. */
enum refusal verify_facts_read(const struct trust_store *trust, const STACK_OF(X509) * chain,
	const X509_POLICY_TREE *policies, struct verdict *verdict);

#endif
