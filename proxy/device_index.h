/*
 * The devices that anything is held against, compiled for workers (auth/sealed_index.h), with a number that
 * says which grants still hold. Written by the control process, who owns the state store; looked up by
 * workers at every request, without heap or system call.
 */
#ifndef PROXY_DEVICE_INDEX_H
#define PROXY_DEVICE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/sealed_index.h"
#include "config/error.h"
#include "proxy/device_grant.h"

enum { DEVICE_INDEX_VERSION = 1, DEVICE_INDEX_WIDTH = SEALED_INDEX_KEY_SIZE + 16 };

/* What is to be compiled, in any order; begins all zero. */
struct device_index_list {
	size_t count, capacity;
	uint8_t *entries;
};

/* A device that has a state other than DEVICE_ALLOWED, or, with that state, one whose grants before that number
 * do not hold any more. wipe: for DEVICE_WIPE_FAILED, the state that was ordered. Mailbox and id are in
 * lower case. 0, or -1 when memory runs out. */
int device_index_list_add(struct device_index_list *list, const char *mailbox, const char *id,
	enum device_state state, enum device_state wipe, uint64_t grants);
void device_index_list_free(struct device_index_list *list);

/* A sealed memory file; -1 with err filled. The caller closes it. The list is sorted by it. grants: as
 * device_index_grants() will say. */
int device_index_write(struct device_index_list *list, uint64_t grants, struct error *err);

struct device_index; /* opaque */

/* Maps it; the descriptor is not kept and not closed. A file that is not sealed, not of this version, or with
 * states that there are not, is refused: NULL with err filled. */
struct device_index *device_index_open(int fd, struct error *err);
void device_index_close(struct device_index *index); /* NULL is allowed */
size_t device_index_count(const struct device_index *index);

/* A grant of a lower version has to be asked for anew. 0 for NULL. */
uint64_t device_index_grants(const struct device_index *index);

/* What device_index_find() wants to be given of a device. */
struct device_key {
	uint8_t octets[SEALED_INDEX_KEY_SIZE];
};

/* 0, or -1 when the digest fails. */
int device_index_key(const char *mailbox, const char *id, struct device_key *key);

struct device_finding {
	enum device_state state;
	enum device_state wipe; /* with DEVICE_WIPE_FAILED: what was ordered */
	uint64_t grants; /* with DEVICE_ALLOWED: the device's grants before that do not hold */
};

/* False: nothing is held against it. NULL index: never. */
bool device_index_find(const struct device_index *index, const struct device_key *key,
	struct device_finding *finding);

#endif
