/*
 * A change of the trust store by easproxyctl, from the file to the running easproxyd: read, changed,
 * checked whole, shown, written, taken over; or left exactly as it was.
 */
#ifndef PROXY_EASPROXYCTL_CA_CHANGE_H
#define PROXY_EASPROXYCTL_CA_CHANGE_H

#include <jansson.h>
#include <stdbool.h>

#include "auth/trust_file.h"
#include "auth/trust_store.h"
#include "config/error.h"
#include "proxy/easproxyctl_ca_place.h"

struct ca_change {
	struct ca_place place;
	bool is_dry_run;
	bool is_lenient; /* new authorities may be expired, or without a path */
	struct trust_file file;
	struct trust_store *old; /* NULL where it has faults, or there is none */
	json_t *document;
	json_t *list; /* borrowed: the authorities in it, for the caller to change */
};

/* Opens the trust store for a change; place is filled from the command line. Other changes wait until
 * ca_change_end(). 0, or -1 with err filled. */
int ca_change_begin(struct ca_change *change, struct error *err);

/* The place in list of the authority that is meant. -1 with err filled. */
int ca_change_select(const struct ca_change *change, const char *name, struct error *err);

/* Checks what the list has become, says what that changes, and unless it is a dry run writes it and has a
 * running easproxyd take it over. Returns the exit status. */
int ca_change_finish(struct ca_change *change);

/* Due after ca_change_begin(), in whatever way that ended. */
void ca_change_end(struct ca_change *change);

#endif
