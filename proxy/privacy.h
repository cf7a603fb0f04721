/*
 * That nobody reads a secret out of a process of easproxyd, alive or dead: no core files, no look
 * into its memory or at its descriptors by others of the same user (prctl(2), PR_SET_DUMPABLE), and
 * no private key left behind in memory that OpenSSL has given back. With and without a sandbox.
 */
#ifndef PROXY_PRIVACY_H
#define PROXY_PRIVACY_H

#include <stdbool.h>

#include "config/error.h"

/* For main(), before a secret is read and before OpenSSL is first used: all of the above, for this
 * process and those that it forks. 0, or -1 with err filled. */
int privacy_begin(struct error *err);

/* Closes /proc/PID to others once more, after a change of user, for which the kernel may have opened it.
 * 0 or -1. */
int privacy_renew(struct error *err);

/* Whether OpenSSL's memory is wiped when it is given back; at first it is. That costs some 2 % of a
 * handshake, so a worker does without while it handles no keys as files. */
void privacy_wipe(bool is_wanted);

#endif
