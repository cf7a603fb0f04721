/*
 * Arguments that several requests at the control socket have. For proxy/control*.c alone.
 */
#ifndef PROXY_CONTROL_ARGUMENTS_H
#define PROXY_CONTROL_ARGUMENTS_H

#include <stdbool.h>

#include "auth/mailbox.h"
#include "proxy/control_request.h"
#include "proxy/state_users.h"

/* "mailbox", in the form in which mailboxes are compared. False when the client has been told what is wrong with
 * it. */
bool control_read_mailbox(const struct control *control, struct control_client *client,
	const struct control_request *request, char mailbox[MAILBOX_MAX + 1]);

/* "reason": "" where none was given. False when the client has been told what is wrong with it. */
bool control_read_reason(struct control_client *client, const struct control_request *request,
	char reason[STATE_REASON_MAX + 1]);

/* Adds to the answer's "notes", which easproxyctl shows beside it. */
void control_add_note(json_t *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
