/*
 * Getting users' tickets from KDCs: constrained delegation with protocol transition, which is S4U2Self and
 * S4U2Proxy of MS-SFU, with no password of anybody's. Blocks for as long as the Kerberos library likes (18
 * to 27 seconds for a KDC that is mute, which no setting shortens): for helper processes that are ended
 * when they overrun. These alone have the key tables.
 */
#ifndef AUTH_TICKET_DESK_H
#define AUTH_TICKET_DESK_H

#include "auth/login.h"
#include "auth/ticket.h"
#include "config/error.h"
#include "config/model.h"

struct ticket_desk; /* opaque */

/* Reads the key tables of all sections `kerberos` and tells the library its settings (ticket_settings.h).
 * Asks nobody yet. config is borrowed. NULL with err filled. */
struct ticket_desk *ticket_desk_new(const struct config *config, struct error *err);
void ticket_desk_free(struct ticket_desk *desk); /* NULL is allowed */

/* For `easproxyd -t`, which ends afterwards: whether the key tables are some, and have the accounts' keys.
 * Asks nobody. 0, also where no login is by Kerberos; or -1, each fault as "file:line: …". */
int ticket_desk_check(const struct config *config, config_report *report, void *report_context);

/* The ticket of the subject's account for the service ("HTTP/mail.example.com", in the realm where we log in
 * unless "@REALM" follows). Which section: the one of the account's realm, or the only one. LOGIN_GIVEN with
 * *ticket, which the caller clears; else fault is filled and there is nothing to clear. */
enum login_status ticket_desk_fetch(struct ticket_desk *desk, const struct login_subject *subject,
	const char *service, struct ticket *ticket, struct login_fault *fault);

#endif
