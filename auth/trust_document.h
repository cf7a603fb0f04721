/*
 * A trust store as the JSON document that it is on disk, to be changed: what is not changed stays as it
 * was written, members unknown to us and certificateFile entries among it. For trust_store.c, which reads
 * it into what the processes use, and for easproxyctl, which changes it.
 */
#ifndef AUTH_TRUST_DOCUMENT_H
#define AUTH_TRUST_DOCUMENT_H

#include <jansson.h>
#include <openssl/x509.h>

#include "auth/trust_member.h"
#include "auth/trust_store.h"
#include "config/error.h"
#include "config/span.h"

/* The document, for the caller to let go; NULL with err filled. */
json_t *trust_document_parse(struct span json, struct error *err);

/* The object whose certificateAuthorities are the authorities: the document, or what is in Graph's
 * envelope. Borrowed; NULL where the document is a list or none of these. */
json_t *trust_document_configuration(json_t *document);

/* The authorities, borrowed. NULL where there are none; not always a list. */
json_t *trust_document_list(json_t *document);

/* The certificate of an authority's object, for the caller to free; NULL with err filled. base_dir:
 * where certificateFile paths start. */
X509 *trust_document_certificate(json_t *entry, const char *base_dir, struct error *err);

/* Gives a member of an authority's object a value (taken over; NULL takes the member out) under the name
 * that the object has for it already, or Graph's or our own. 0, or -1 when memory runs out. */
int trust_document_set(json_t *entry, enum trust_member member, json_t *value);

/* The value of a member, under whichever name, borrowed; NULL where there is none, or null. */
json_t *trust_document_get(json_t *entry, enum trust_member member);

/* Lays the authorities of another document (from import_name, whose certificateFile paths start at
 * import_dir) over those of this list, whose own start at base_dir: an authority with the same certificate
 * gets the members that the other one has (empty ones take the member out only with replaces); one that is new is added under Graph's
 * names with its certificate inside; with replaces, those that the other one does not have are removed.
 * Faults of the imported entries are reported; their meaning is left to trust_store_read(). 0, or -1
 * where there were some, and the list is half done then. */
int trust_document_import(json_t *list, const char *base_dir, json_t *imported,
	const char *import_name, const char *import_dir, bool replaces, trust_store_report *report,
	void *context);

#endif
