/*
 * The files and directories that the supervisor holds for its children: state, spool, control
 * socket, log, pid file. Opened with the supervisor's rights, before any child is forked.
 */
#ifndef PROXY_SUPERVISOR_FILES_H
#define PROXY_SUPERVISOR_FILES_H

#include <sys/types.h>

#include "config/error.h"
#include "config/model.h"

/* Opens the state directory and its "spool", both made (0700, owned by uid and gid) where they are
 * missing. A directory that others can write to is refused. 0 or -1. */
int files_open_state(const struct config *config, uid_t uid, gid_t gid, int *state, int *spool,
	struct error *err);

/* A listening UNIX socket (0660, of the group), in a directory that is made where it is missing. A
 * socket that is left over from a dead process is replaced, one that somebody listens on is not.
 * The descriptor or -1. */
int files_open_control(const char *path, gid_t gid, struct error *err);

/* The descriptor that log lines go to; 2 where no file is configured. -1 with err filled. */
int files_open_log(const struct config_log *config, struct error *err);

/* Locks the file and writes our process id into it. The descriptor, held to the end of the process;
 * -1 with err filled when another process holds the lock. */
int files_lock_pid(const char *path, struct error *err);

#endif
