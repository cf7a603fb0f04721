/*
 * The keys that the configuration names for logins, tried before anybody needs them. For the supervisor and
 * easproxyctl.
 */
#ifndef AUTH_LOGIN_CHECK_H
#define AUTH_LOGIN_CHECK_H

#include "config/model.h"

/* Whether the keys of bearer and assertion, where they are in use, are for their algorithms, and belong to their
 * certificates. Each fault is reported as "file:line: …". 0, or -1 where there is one. */
int login_config_check(const struct config *config, config_report *report, void *report_context);

#endif
