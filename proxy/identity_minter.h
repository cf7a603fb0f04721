/*
 * The work of the helpers "eas-minter": client certificates for users, signed with the authority's key,
 * which no other process has. A question is MESSAGE_LOGIN_JOB, its answer MESSAGE_LOGIN_DONE with
 * PEM in it. For the identity process, with login = minted-certificate: minter_work() of
 * proxy/identity_work.h.
 */
#ifndef PROXY_IDENTITY_MINTER_H
#define PROXY_IDENTITY_MINTER_H

#include <stdbool.h>

#include "config/model.h"

/* For `easproxyd -t`: does in a child of its own what a helper will do (loads the token's module as the
 * configured user, with has_sandbox among the files that it may read, logs in, has the key sign), for ten
 * seconds at most. 0, also where no key is in a token; or -1 after a report with the place in the
 * file. */
int identity_minter_check(
	const struct config *config, bool has_sandbox, config_report *report, void *report_context);

#endif
