/*
 * The registry of devices, as the state store keeps it: who came with what, what is held against it, and what
 * became of a wipe. For the control process. A device is one id in one mailbox; ids and mailboxes are in
 * lower case.
 *
 * What an operator, a rule or an admission decides is on the disk once the function has returned; what phones
 * say of themselves may lose its last seconds when the power fails.
 */
#ifndef PROXY_STATE_DEVICES_H
#define PROXY_STATE_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/error.h"
#include "proxy/device_facts.h"
#include "proxy/device_grant.h"
#include "proxy/state_store.h"

enum {
	STATE_DEVICE_BY_MAX = 95,
	STATE_DEVICE_REASON_MAX = 255,
	/* Of one mailbox; beyond it that mailbox's own oldest ones go first, so that nobody pushes the phones
	 * of others out of the registry by making up ids. */
	STATE_DEVICES_OF_MAILBOX = 256,
	/* For how long a device that was forgotten is remembered as one to ask anew: no Ping sleeps longer. */
	STATE_DEVICE_ASK_S = 3600,
};

struct state_device {
	struct device_facts facts;
	int64_t first_seen, last_seen; /* UNIX seconds, as all times; 0: never */
	/* Of the last wipe that was ordered; DEVICE_ALLOWED: none. Times are 0 for what did not happen yet. */
	int64_t wipe_ordered_at, wipe_sent_at, wipe_acknowledged_at;
	enum device_state wipe;
	uint32_t wipe_status; /* of the acknowledgement: 1 done, 2 failed */
	int64_t state_at;     /* since when it has its state; 0: from the beginning */
	enum device_state state;
	bool is_pinned;     /* the certificate is the only one it may come with */
	bool is_registered; /* by "device add" */
	char state_by[STATE_DEVICE_BY_MAX + 1];         /* "user 1000", "rule NAME", "admission" */
	char state_reason[STATE_DEVICE_REASON_MAX + 1]; /* "": none was given */
};

/* An order: what is to become of a device, whoever says so. */
struct state_device_order {
	const char *mailbox, *id, *by, *reason;
	enum device_state state;
	/* Nobody who may allow something has given it: a state that lets the device do less is not changed, and
	 * none is made that is beyond STATE_DEVICES_OF_MAILBOX, or, where the registry is full, none at all. */
	bool only_tightens, is_full;
	int64_t at;
};

/* 1 with *device filled, 0 when it is not there, -1 with err filled. */
int state_devices_find(struct state_store *store, const char *mailbox, const char *id,
	struct state_device *device, struct error *err);

/* At most max that come after that one ("", "": from the first), by mailbox and id. How many, or -1 with err
 * filled. */
int state_devices_after(struct state_store *store, const char *mailbox, const char *id,
	struct state_device *devices, size_t max, struct error *err);

/* At most max with that id, whatever their mailbox. How many, or -1 with err filled. */
int state_devices_of_id(struct state_store *store, const char *id, struct state_device *devices,
	size_t max, struct error *err);

/* The device whose pinned certificate it is: 1, 0 where there is none, -1 with err filled. */
int state_devices_pinned_by(struct state_store *store, const uint8_t leaf_sha256[32],
	struct state_device *device, struct error *err);

/* How many devices a mailbox has; those that were blocked by an operator or a rule, or that were wiped, are
 * not counted. */
int state_devices_count_of(
	struct state_store *store, const char *mailbox, int64_t *count, struct error *err);

/* How many there are of it, whatever their state. */
int state_devices_count_rows(
	struct state_store *store, const char *mailbox, int64_t *count, struct error *err);

/* How many of them came with that certificate last. */
int state_devices_count_certificate(struct state_store *store, const char *mailbox,
	const uint8_t leaf_sha256[32], int64_t *count, struct error *err);

struct state_device_counts {
	int64_t all, states[DEVICE_STATE_COUNT];
};
int state_devices_count(
	struct state_store *store, struct state_device_counts *counts, struct error *err);

/* Several steps that are written together, and durably, or not at all: begin, find and put, commit. After
 * anything has failed, rollback. */
int state_devices_begin(struct state_store *store, struct error *err);
int state_devices_put(
	struct state_store *store, const struct state_device *device, struct error *err);
/* What the index holds has changed. */
int state_devices_changed(struct state_store *store, struct error *err);
/* Has every grant that was given so far asked for anew, and the device's Ping end. */
int state_devices_ask_anew(struct state_store *store, const char *mailbox, const char *id,
	int64_t now, struct error *err);
int state_devices_commit(struct state_store *store, struct error *err);
void state_devices_rollback(struct state_store *store);

/* Writes what a device says now over what is kept of it, in the struct alone. Of a new one, all zeros. */
void state_device_say(struct state_device *device, const struct device_facts *facts, int64_t now);

/* What phones said: with makes, devices that are not known yet become allowed ones; without, nothing is kept of
 * them. Texts that were said once are kept
 * until another is said; a certificate that is pinned stays. is_new[i]: the ith was not known. 0, or -1 with err
 * filled. */
int state_devices_report(struct state_store *store, const struct device_facts *facts, size_t count,
	int64_t now, bool makes, bool *is_new, struct error *err);

/* Carries an order out; a device that is not known is made. *before: as it was. 1 when something was changed, 0
 * when it was so already or may not be made, -1 with err filled. */
int state_devices_order(struct state_store *store, const struct state_device_order *order,
	struct state_device *before, struct error *err);

/* Forgets a device with all that was said of it. 1, 0 when it was not there, -1 with err filled. */
int state_devices_forget(struct state_store *store, const char *mailbox, const char *id,
	int64_t now, struct error *err);

/* Has it known before it comes; whatever is held against one that is known stays. 1 when it was not registered, 0,
 * or -1 with err filled. */
int state_devices_register(struct state_store *store, const char *mailbox, const char *id,
	const char *by, int64_t now, struct error *err);

/* The same as a step, between begin and commit, as are the next two. */
int state_devices_order_step(struct state_store *store, const struct state_device_order *order,
	struct state_device *before, struct error *err);
/* The wipe was sent to it. */
int state_devices_wipe_sent_step(struct state_store *store, const char *mailbox, const char *id,
	int64_t at, struct error *err);
/* It has acknowledged a wipe at that moment, with that status: it is wiped, or could not be, unless something
 * else was decided since. 1 when its state is another now, 0, or -1 with err filled. */
int state_devices_wiped_step(struct state_store *store, const char *mailbox, const char *id,
	uint32_t status, int64_t at, struct error *err);

/* Forgets of those beyond max the ones that were not seen for longest, a bounded number at a time, and none that
 * anything is held against or that was registered. How many, with those that are left in *left, or -1 with
 * err filled. */
int state_devices_prune(
	struct state_store *store, int64_t now, size_t max, size_t *left, struct error *err);

/* A number that grows with every change of what the index holds, also by another process; and one that grows
 * when grants that were given have to be asked for anew. */
int state_devices_version(struct state_store *store, int64_t *version, struct error *err);
int state_devices_grants(struct state_store *store, int64_t *grants, struct error *err);

/* All that anything is held against compiled (proxy/device_index.h), with the version and the count that they
 * had together. The caller closes the descriptor; -1 with err filled. */
int state_devices_index(
	struct state_store *store, int64_t *version, size_t *count, struct error *err);

#endif
