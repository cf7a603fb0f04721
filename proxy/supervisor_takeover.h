/*
 * From one configuration to the next: a generation of children is started beside the current one,
 * takes over when all of them are ready, and is abandoned when one of them ends before that; the
 * old one finishes. The first start is the same with nothing to take over from. For supervisor.c
 * alone.
 */
#ifndef PROXY_SUPERVISOR_TAKEOVER_H
#define PROXY_SUPERVISOR_TAKEOVER_H

#include <stdbool.h>

#include "proxy/message.h"
#include "proxy/supervisor.h"
#include "proxy/supervisor_children.h"
#include "proxy/supervisor_generation.h"
#include "proxy/supervisor_sockets.h"

struct supervisor {
	const struct supervisor_options *options;
	struct generation *current, *next; /* NULL: none */
	struct children children;
	struct sockets sockets;
	int signals;  /* signalfd */
	int pid_file; /* held for its lock; -1: none */
	char *pid_path;
	bool has_log;
	bool wants_reload;
	bool is_stopping, has_stopped;
	int status;                                         /* of the process */
	char faults[sizeof(((struct message *)0)->u.text)]; /* of the last load; "": none */
};

/* Loads the configuration and starts its children; the rest happens as they become ready. */
void takeover_load(struct supervisor *s);

/* The same for one who has asked for it: now, or when the one under way is done. */
void takeover_reload(struct supervisor *s);

/* A child of s->next became ready, perhaps the last that was waited for. */
void takeover_advance(struct supervisor *s);

/* s->next will not do. Before the first take-over this ends the process. */
void takeover_abandon(struct supervisor *s, const char *why);

/* A child of a generation that does not restart its children is gone and its record released. May
 * free the generation. */
void takeover_child_gone(struct supervisor *s, struct generation *generation);

/* Finishes all and ends the process; at once, when it is asked for a second time. */
void takeover_stop(struct supervisor *s);

/* Kills the children of a generation (NULL: of all), without waiting for their ends. */
void takeover_kill(struct supervisor *s, const struct generation *generation);

/* The control process of a generation has said who is out: its workers hear it, and those of all other
 * generations that go by the same state, or are older, whose own control has gone. */
void takeover_spread_list(
	struct supervisor *s, const struct generation *from, enum generation_list list);

void takeover_reopen_log(struct supervisor *s, const struct config *config);

#endif
