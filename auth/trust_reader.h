/*
 * A trust store being read: where it comes from, what has been read of it, and whom to tell what is
 * wrong with it. For trust_store.c and trust_entry.c alone.
 */
#ifndef AUTH_TRUST_READER_H
#define AUTH_TRUST_READER_H

#include <stddef.h>

#include "auth/trust_store.h"

struct trust_reader {
	const char *name; /* of the file, for messages */
	const char *base_dir;
	trust_store_report *report;
	void *context;
	struct trust_store *store;
	size_t number; /* of the authority being read, from 1 as people count; 0: none */
	size_t numbers[AUTHORITY_MAX]; /* of those in store: one that is faulty is not among them */
	size_t fault_count;
};

/* Reports what makes the store unusable. */
void trust_reader_fault(struct trust_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Reports what may be meant so. */
void trust_reader_warn(const struct trust_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Warns of a member that has no meaning to us, unless it is an annotation of OData ("@odata.type"). */
void trust_reader_warn_unknown(const struct trust_reader *reader, const char *name);

#endif
