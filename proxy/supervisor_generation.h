/*
 * A generation: one configuration that was taken over, or is about to be, with all that its
 * children share. For the supervisor alone.
 */
#ifndef PROXY_SUPERVISOR_GENERATION_H
#define PROXY_SUPERVISOR_GENERATION_H

#include <stdbool.h>

#include "auth/trust_store.h"
#include "config/error.h"
#include "config/model.h"
#include "proxy/message.h"

/* The latest that the revocation process has said of a CRL location of an authority. */
struct generation_index {
	int fd; /* -1: none yet */
	struct message_index index;
	bool has_report[2]; /* of the base CRL, of the delta CRL */
	struct message_crl reports[2];
};

/* What control compiles for workers: sealed memory files. */
enum generation_list {
	GENERATION_LIST_USERS,   /* who is out, auth/user_index.h */
	GENERATION_LIST_DEVICES, /* what is held against devices, proxy/device_index.h */
	GENERATION_LIST_COUNT
};

struct generation {
	enum generation_state {
		GENERATION_HELPERS, /* waiting for revocation, identity and control */
		GENERATION_WORKERS, /* waiting for the workers */
		GENERATION_CURRENT,
		GENERATION_OLD, /* its workers finish */
	} state;
	unsigned int number;
	struct config *config;     /* owned */
	struct trust_store *trust; /* owned */
	int state_directory, spool_directory, control_socket;
	bool has_store; /* the generation before has its state store in the same directory */
	bool owns_control_path; /* the socket was made for us, and goes with us if we do not take over */
	struct generation_index indexes[AUTHORITY_MAX][CRL_LOCATION_MAX];
	int lists[GENERATION_LIST_COUNT]; /* -1: control has not said yet */
};

/* Reads and checks the configuration and opens what the children need. The control socket is that
 * of previous (may be NULL) where the path is the same. Every fault is reported. NULL when anything
 * was wrong. */
struct generation *generation_new(const char *config_path, const struct generation *previous,
	config_report *report, void *report_context);

/* NULL is allowed. */
void generation_free(struct generation *generation);

/* Keeps what the revocation process sent, unless it is older than what is kept; takes passed_fd over. False
 * when the message names no CRL location of ours. */
bool generation_keep_index(
	struct generation *generation, const struct message *message, int passed_fd);
bool generation_keep_report(struct generation *generation, const struct message *message);

/* Keeps a list of control's; takes passed_fd over. */
void generation_keep_list(struct generation *generation, enum generation_list list, int passed_fd);
/* The same as another generation, who has heard of it later. 0, or -1 when descriptors run out. */
int generation_copy_list(
	struct generation *generation, enum generation_list list, const struct generation *from);

/* MESSAGE_USERS, MESSAGE_DEVICES. */
enum message_type generation_list_message(enum generation_list list);

/* Which authorities of old, by number, are not trusted any more in now, or on other terms: all of them
 * where the settings of who may come in are others. False: none. */
bool generation_withdraws(const struct generation *old, const struct generation *now,
	uint64_t withdrawn[AUTHORITY_MAX / 64]);

#endif
