/*
 * A request's login on its owner's behalf: got before a connection is made (token, assertion,
 * certificate) or when it is there (a ticket's token), written into the head, got anew once where the
 * endpoint does not take it; and the endpoint's own proof, for which its first answer waits. For
 * exchange*.c.
 */
#ifndef PROXY_EXCHANGE_LOGIN_H
#define PROXY_EXCHANGE_LOGIN_H

#include "proxy/exchange.h"

/* Whether requests need something of the identity process to be let in. */
bool login_is_needed(const struct config *config);

/* Before a link is opened. True: go on. False: exchange_connect_to() is called again when the login is
 * there, or the exchange is refused. */
bool exchange_login_before(struct exchange *exchange, struct endpoint *endpoint);

/* Whose connection the request needs; NULL: any does. */
struct login *exchange_login_of(const struct exchange *exchange);

/* The link is ready. True: the head may be written. False: exchange_link_ready() is called again, or the
 * exchange is refused. The one place where a link's login is held against the request's owner. */
bool exchange_login_at_link(struct exchange *exchange);

/* Writes the fields that let the request in. */
void exchange_login_write(struct exchange *exchange, struct http_writer *writer);

/* The head is sent: its secrets are wiped. */
void exchange_login_sent(struct exchange *exchange);

/* Whether the request must be kept, for another login. */
bool exchange_login_may_renew(const struct exchange *exchange);

/* An answer's head is there. True: it is not looked at now: the endpoint wants another login, or has to
 * prove itself first (exchange_answer_go_on() is called then), or the exchange is refused. */
bool exchange_login_holds_answer(struct exchange *exchange, const struct http_head *head);

/* The exchange is over. */
void exchange_login_leave(struct exchange *exchange);

#endif
