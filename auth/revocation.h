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
	/* A new index of an authority's CRL location number place, also once for each found at
	 * start. fd is the callee's to close:
	 * a memory file, sealed against every change, that all who open it share. */
	void (*on_index)(void *context, int authority, int place, int fd,
		const struct revocation_facts *facts);
	/* A try failed; the index in use, if any, stays in use while current. Also once per authority
	 * with a delta location, which is not used yet. */
	void (*on_failure)(void *context, int authority, int place, const char *text);
};

/* directory: open for reading; holds index files (KEYID.index), each written under another name and
 * renamed; -1: indexes do not outlive the process. All pointers are borrowed and must live as long.
 * Starts work on base; no callback is called before its loop runs. NULL with err filled. */
struct revocation *revocation_new(struct event_base *base, const struct trust_store *store,
	const struct config_revocation *config, int directory,
	const struct revocation_callbacks *callbacks, struct error *err);
void revocation_free(struct revocation *revocation);

/* Looks at one authority's location now (-1: at all). One that is being looked at already is not
 * looked at twice. */
void revocation_refresh(struct revocation *revocation, int authority);

/* The paths of the store's file: locations, for the sandbox: borrowed from the store, at most max.
 * CAs replace their file by renaming a new one over it, so their directories must be readable.
 * Returns how many there are, which may be more than max. */
size_t revocation_file_paths(const struct trust_store *store, const char **paths, size_t max);

#endif
