/*
 * What the supervisor does to its own process before anything else. For the supervisor alone.
 */
#ifndef PROXY_SUPERVISOR_PROCESS_H
#define PROXY_SUPERVISOR_PROCESS_H

#include "config/error.h"
#include "proxy/shared.h"

/* Standard input becomes /dev/null, and descriptors 0 to 2 are open from then on, so that none of
 * ours ever is one of them. */
void process_open_standard_descriptors(void);

/* One descriptor per phone and more: as many as the hard limit gives. */
void process_raise_descriptor_limit(void);

/* Blocks the signals that the supervisor knows; they are read from *fd instead. 0 or -1. */
int process_open_signals(int *fd, struct error *err);

/* The memory that all children will share. NULL with err filled. */
struct shared *process_map_shared(struct error *err);

#endif
