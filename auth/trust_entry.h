/*
 * One authority of a trust store: from its JSON object to a struct authority. For trust_store.c alone.
 */
#ifndef AUTH_TRUST_ENTRY_H
#define AUTH_TRUST_ENTRY_H

#include <jansson.h>

#include "auth/trust_reader.h"

/* Reads the object and adds it to reader->store, which has room for it, or reports its faults. */
void trust_entry_read(struct trust_reader *reader, json_t *object);

/* Frees what an authority owns. */
void trust_entry_clear(struct authority *authority);

#endif
