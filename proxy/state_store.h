/*
 * What must survive a restart: one SQLite file, state.db, in the state directory. Opened by the
 * control process before it enters its sandbox, in which it can open no file any more; all that SQLite needs
 * later are the descriptors that it has by then. Two control processes have it open at once while a
 * reload is under way. What is in it: proxy/state_users.h, proxy/state_seen.h.
 *
 * Nothing here waits for another process for longer than STATE_BUSY_MS.
 */
#ifndef PROXY_STATE_STORE_H
#define PROXY_STATE_STORE_H

#include <stdbool.h>

#include "config/error.h"

enum { STATE_BUSY_MS = 2000 };

struct state_store; /* opaque; proxy/state_sql.h */

/* Opens state.db below the directory, which becomes the working directory of the process, and makes
 * it where there is none. path names the directory in messages and must live as long. An older layout is
 * brought up to date. A file that is damaged, of another program or of a later version is left as it is:
 * NULL with err filled, which says what to do. */
struct state_store *state_store_open(int directory, const char *path, struct error *err);
/* Whether there is something of its name to be opened below the directory. */
bool state_store_exists(int directory);

/* Leaves all in the one file where nobody else has it open. NULL is allowed. */
void state_store_close(struct state_store *store);

/* Whether the file is still where it was: one that was removed or replaced under us takes what we
 * write to its grave. 0, or -1 with err filled. */
int state_store_check(const struct state_store *store, struct error *err);

/* Whether state_store_open() had to make the file. */
bool state_store_is_new(const struct state_store *store);

#endif
