/*
 * The supervisor's children: their records, birth, channels and end. When to start, restart or end
 * one is decided in supervisor.c. For the supervisor alone.
 */
#ifndef PROXY_SUPERVISOR_CHILDREN_H
#define PROXY_SUPERVISOR_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/error.h"
#include "proxy/folder_table.h"
#include "proxy/message.h"
#include "proxy/shared.h"
#include "proxy/supervisor_generation.h"
#include "proxy/supervisor_sockets.h"

enum {
	CHILD_MAX = WORKER_MAX + 32,
	BACKOFF_MIN_MS = 100, /* before a restart: from here, twice as long each time, to there */
	BACKOFF_MAX_MS = 10 * 1000,
};

struct child_record {
	enum child_state {
		CHILD_FREE,    /* the record is not in use */
		CHILD_WAITING, /* for its restart */
		CHILD_STARTING,
		CHILD_READY,
		CHILD_DRAINING,
	} state;
	enum role role;
	unsigned int number; /* workers: 0 to config->workers - 1 */
	unsigned int slot;   /* workers: in shared->workers */
	struct generation *generation;
	pid_t pid;
	int channel;
	struct log_batch *log_batch; /* workers: lines that it has yet to write */
	bool was_ready;
	bool was_told_to_start; /* workers: MESSAGE_START was sent */
	int64_t started_at_ms, restart_at_ms;
	int64_t deadline_ms;            /* of starting or draining; 0: none */
	int64_t stalled_at_ms;          /* since when the channel is full; 0: it is not */
	unsigned int backoff_ms;        /* before the next restart */
	uint8_t pending[AUTHORITY_MAX]; /* of each authority the CRL locations, one bit each, whose
					    news the child has not been sent */
	bool has_pending_list[GENERATION_LIST_COUNT]; /* the same of control's lists */
};

struct children {
	struct child_record records[CHILD_MAX];
	struct shared *shared;
	struct folder_table *folders; /* of workers, of all generations */
	struct sockets *sockets;
	bool has_sandbox;
	int log_fd;
};

/* Forks a child of a new record, or restarts the one of a waiting record. Connects it with its
 * peers and queues all that it has to know: indexes, and control's lists. NULL or -1 with err filled. */
struct child_record *children_start(struct children *children, struct generation *generation,
	enum role role, unsigned int number, struct error *err);
int children_restart(struct children *children, struct child_record *record, struct error *err);

/* The process is gone (or was never there): closes its channel, takes back its gauges. The record
 * stays; see child_release(). */
void children_bury(struct children *children, struct child_record *record);
void child_release(struct child_record *record);

/* The record in use after this one (NULL: the first) of a generation (NULL: of any), in no
 * meaningful order; NULL at the end. */
struct child_record *children_next(struct children *children, const struct generation *generation,
	const struct child_record *record);

struct child_record *children_find(struct children *children, pid_t pid);
bool child_is_alive(const struct child_record *record);

/* How many living children of a generation have the role (ROLE_COUNT: any), in that state or a later one.
 * generation NULL: of any. */
size_t children_count(const struct children *children, const struct generation *generation,
	enum role role, enum child_state at_least);

/* Sends; a child that does not take it is killed, and its end will be seen. */
void child_send(struct child_record *record, const struct message *message, int passed_fd);

/* Whether it is to be sent that list of control's. */
bool child_wants_list(const struct child_record *record, enum generation_list list);

/* Sends what is pending as far as the channel takes it. */
void child_flush(struct child_record *record);
bool child_has_pending(const struct child_record *record);

/* After its end: writes what it had logged and not written yet. */
void child_rescue_log(struct child_record *record);

/* "exit status 1", "killed by SIGKILL". */
void child_describe_end(int status, char *text, size_t size);
void child_log_end(const struct child_record *record, bool is_wanted, const char *how);

void child_kill(struct child_record *record, const char *why);

#endif
