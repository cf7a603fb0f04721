/*
 * One authority of a trust store: from its JSON object to a struct authority. For the files
 * auth/trust_*.c alone.
 */
#ifndef AUTH_TRUST_ENTRY_H
#define AUTH_TRUST_ENTRY_H

#include <jansson.h>

#include "auth/trust_member.h"
#include "auth/trust_reader.h"

/* Reads the object and adds it to reader->store, which has room for it, or reports its faults. */
void trust_entry_read(struct trust_reader *reader, json_t *object);

/* Single members of it: whether it is a root (0, or -1 where a fault was reported), and the certificate, for
 * the caller to free (NULL where a fault was reported). */
int trust_entry_type(
	struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT], bool *is_root);
X509 *trust_entry_certificate(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT]);

/* Frees what an authority owns. */
void trust_entry_clear(struct authority *authority);

#endif
