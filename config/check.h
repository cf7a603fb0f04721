/*
 * What contradicts each other in a configuration whose options are all read. For config/ alone.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/fault.h"
#include "config/model.h"

struct check {
	struct config *config;
	struct faults *faults;
	int user_line, group_line; /* where they stand; 0: nowhere */
};

void check_config(const struct check *check);

/* check_login.c: the sections of the logins, against upstream/login. */
void check_login(const struct check *check);
/* Whether the login is a field Authorization. */
bool check_login_writes_authorization(const struct config_upstream *upstream);
/* check_minted.c: the authority of login = minted-certificate, and its key. */
void check_minted(const struct check *check);

#endif
