/*
 * The work of the revocation process: for every CRL location of every authority, keep a current
 * index. What the last run left is used at start when still good, so that a restart needs no
 * network. Locations (file:, http: and ldap:) are looked at ahead of nextUpdate, at least every
 * refresh, at once where a watched file changes, and after a failure with growing pauses
 * (revocation_schedule.h); base and delta CRL each by a schedule of its own; never the same twice at
 * once. CRLs are verified and compiled here, on this process's loop: a million entries keep it busy
 * for part of a second, in which other downloads wait and nobody else does.
 */
#ifndef AUTH_REVOCATION_H
#define AUTH_REVOCATION_H

#include <event2/event.h>

#include "auth/revocation_index.h"
#include "auth/trust_store.h"
#include "config/model.h"

struct revocation; /* opaque */

enum revocation_form { REVOCATION_FORM_NONE, REVOCATION_FORM_DER, REVOCATION_FORM_PEM };

/* How it went with one half, base or delta, of one CRL location. */
struct revocation_report {
	bool is_delta;
	bool is_unchanged;         /* the last look found what was there already */
	enum revocation_form form; /* of what came last */
	uint32_t failures;         /* in a row */
	int64_t looked_at;         /* UNIX seconds; 0: never */
	int64_t next_look;         /* UNIX seconds; 0: not by time */
	/* Nanoseconds of CLOCK_MONOTONIC at which the last look that is over began: who has asked for
	 * one knows by it whether this is the answer. */
	int64_t began_ns;
	uint32_t compile_ms; /* that verifying and compiling took; 0: nothing was */
	const char *url;
	const char *error; /* "": the last look went well */
};

struct revocation_callbacks {
	void *context;
	/* A new index of an authority's CRL location, also once for each found at start. fd is the
	 * callee's to close: a memory file, sealed against every change, that all who open it share. */
	void (*on_index)(void *context, int authority, int place, int fd,
		const struct revocation_facts *facts);
	/* A look is over. Where it failed, the index in use, if any, stays in use while current. */
	void (*on_report)(
		void *context, int authority, int place, const struct revocation_report *report);
	/* UNIX seconds; NULL: time(2). */
	int64_t (*now)(void *context);
};

/* directory: open for reading; holds what is kept (revocation_state.h); -1: nothing outlives the
 * process. Watches the directories of file: locations, so it has to be called before the sandbox is
 * entered. All pointers are borrowed and must live as long. Starts work on base; no callback is
 * called before its loop runs. NULL with err filled. */
struct revocation *revocation_new(struct event_base *base, const struct trust_store *store,
	const struct config_revocation *config, int directory,
	const struct revocation_callbacks *callbacks, struct error *err);
void revocation_free(struct revocation *revocation);

/* Looks at one authority's locations now (-1: at all). One that is being looked at already is looked
 * at again when that is over: it may have begun too early to see what the caller wants seen. */
void revocation_refresh(struct revocation *revocation, int authority);

/* Whether each location has been looked at, or was found current at start. */
bool revocation_is_settled(const struct revocation *revocation);

/* The paths of the store's file: locations, for the sandbox: borrowed from the store, at most max.
 * CAs replace their file by renaming a new one over it, so their directories must be readable.
 * Returns how many there are, which may be more than max. */
size_t revocation_file_paths(const struct trust_store *store, const char **paths, size_t max);

#endif
