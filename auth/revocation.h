/*
 * The work of the revocation process: for every authority with a CRL location, keep a current
 * index. Indexes of the last run are used at start when still good; downloads (libcurl, file: and
 * http:) are bounded in size and time, one at a time per authority, repeated before nextUpdate, at
 * least every refresh, and after a failure every retry, with jitter.
 */
#ifndef AUTH_REVOCATION_H
#define AUTH_REVOCATION_H

#include <event2/event.h>

#include "auth/revocation_index.h"
#include "auth/trust_store.h"
#include "config/model.h"

struct revocation; /* opaque */

struct revocation_callbacks {
	void *context;
	/* A new index of an authority, also once for each found at start. fd is open for reading and
	 * the callee's to close. */
	void (*on_index)(void *context, int authority, int fd, const struct revocation_facts *facts);
	/* A try failed; the index in use, if any, stays in use while current. */
	void (*on_failure)(void *context, int authority, const char *text);
};

/* directory: an open descriptor of the directory for index files (KEYID.index), written as a
 * temporary name and renamed. All pointers are borrowed and must live as long. Starts work at once
 * on base. NULL with err filled. */
struct revocation *revocation_new(struct event_base *base, const struct trust_store *store,
	const struct config_revocation *config, int directory,
	const struct revocation_callbacks *callbacks, struct error *err);
void revocation_free(struct revocation *revocation);

/* Looks at one authority's location now (-1: at all). */
void revocation_refresh(struct revocation *revocation, int authority);

#endif
