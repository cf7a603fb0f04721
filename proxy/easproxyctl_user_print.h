/*
 * How easproxyctl user and easproxyctl seen show what easproxyd has answered, for a person to read.
 */
#ifndef PROXY_EASPROXYCTL_USER_PRINT_H
#define PROXY_EASPROXYCTL_USER_PRINT_H

#include <jansson.h>

/* An answer's notes, to standard error. */
void ctl_print_notes(const json_t *answer);

enum { ACCOUNT_NAME_SIZE = 48 };

/* The account with that user id, by name where this host knows it, written into text, which is returned. */
const char *ctl_account_name(long long user_id, char text[ACCOUNT_NAME_SIZE]);

void ctl_print_user(const json_t *answer);
/* The titles of the columns, then page after page. */
void ctl_print_users_head(void);
void ctl_print_users(const json_t *users);
void ctl_print_seen(const json_t *certificates);

#endif
