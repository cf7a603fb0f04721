/*
 * What a child of the supervisor is born with, and the main function of each kind. A child is
 * forked, closes every descriptor that is not named here, opens its log, takes on its user, enters
 * its sandbox, and runs until MESSAGE_DRAIN is done or the supervisor's channel ends. It ignores
 * SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGPIPE: its channel alone tells it what to do.
 * Of the configured files it has the descriptors of those that are its own (proxy/child_files.h).
 */
#ifndef PROXY_CHILD_H
#define PROXY_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/trust_store.h"
#include "config/model.h"
#include "proxy/folder_table.h"
#include "proxy/log.h"
#include "proxy/message.h"
#include "proxy/shared.h"

struct child_socket {
	int fd;          /* listening, non-blocking */
	size_t listener; /* which of config->listeners it belongs to */
};

/* The identity process has helper processes of its own, with sandboxes of their own. */
enum child_part {
	PART_MAIN,
	PART_DIRECTORY, /* asks the directory */
	PART_TICKET,    /* has the key tables, and gets tickets from KDCs */
	PART_TOKENS,    /* has users' tickets, and makes tokens of them; asks nobody */
	PART_MINTER,    /* has the issuing key, and makes certificates with it */
	PART_BEARER,    /* has the assertion key, and gets access tokens */
	PART_SIGNER,    /* has the key of the assertion header, and signs with it */
};

struct child {
	enum role role;
	enum child_part part;
	unsigned int slot; /* workers: shared->workers[slot] */
	const struct config *config;
	const struct trust_store *trust; /* workers, revocation, control (names only) */
	struct shared *shared;
	struct log_batch *log_batch;  /* workers: for log_gather(); may be NULL */
	struct folder_table *folders; /* workers: what classes the folders of phones are of */
	int supervisor;               /* SOCK_SEQPACKET, non-blocking */
	size_t socket_count;          /* workers */
	const struct child_socket *sockets;
	int state_directory; /* revocation: for its indexes; control: for its store; else -1 */
	int spool_directory; /* workers: where openat(O_TMPFILE) is allowed; else -1 */
	int control_socket;  /* control: listening UNIX socket; else -1 */
	bool is_spawner;     /* starts and ends the helpers that are the part */
	bool has_store; /* control: another one had the state store open in that directory before */
	bool has_sandbox; /* false with --no-sandbox */
};

/* Each returns the exit status of its process. Before entering its loop each calls
 * sandbox_enter(child), then sends MESSAGE_READY. */
int worker_main(const struct child *child);
int revocation_main(const struct child *child);
int identity_main(const struct child *child);
int control_main(const struct child *child);

#endif
