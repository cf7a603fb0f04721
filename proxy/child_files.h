/*
 * Which process may have which of the files that the configuration names: one table, for every file
 * whose content is in a memory file (struct config_file). The supervisor has all of them, to give them
 * to who is started again. Others close what is not theirs when they are forked, and cannot get at
 * another's, whose /proc/PID is closed to them (proxy/privacy.h).
 */
#ifndef PROXY_CHILD_FILES_H
#define PROXY_CHILD_FILES_H

#include "proxy/child.h"

/* Writes the descriptors of those files that this part of this role is to have, and returns how many
 * they are. PART_MAIN: those that the role is born with; the identity process hands its own on to its
 * parts, and keeps none. More than max of them end the process, of which nothing has begun yet. */
size_t child_files(
	const struct config *config, enum role role, enum child_part part, int *fds, size_t max);

#endif
