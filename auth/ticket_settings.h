/*
 * What the Kerberos library of a process is told: a krb5.conf of ours in a memory file, named by
 * KRB5_CONFIG, and nothing of what the environment says else. No look-ups in DNS for realms, KDCs or
 * canonical names; datagrams are not tried (tickets with a PAC rarely fit one); and no excuse for a
 * clock that is wrong, because the mail server will not have one either. Called in a helper process,
 * before its sandbox and before the library's first call.
 */
#ifndef AUTH_TICKET_SETTINGS_H
#define AUTH_TICKET_SETTINGS_H

#include "config/error.h"
#include "config/model.h"

/* For a process that asks KDCs. A section without kdcs leaves its realm to the file that the library
 * would read otherwise (what KRB5_CONFIG says, or /etc/krb5.conf), which is then read behind ours. 0,
 * or -1 with err filled. */
int ticket_settings_ask(const struct config *config, struct error *err);

/* For a process that has tickets and asks nobody: there is no KDC, so that what would need one fails at
 * once. 0, or -1 with err filled. */
int ticket_settings_mute(struct error *err);

#endif
