/*
 * Tells the service manager how we are: the protocol of sd_notify(3), by hand, since it is one
 * datagram. Without NOTIFY_SOCKET these do nothing. For the supervisor.
 */
#ifndef PROXY_NOTIFY_H
#define PROXY_NOTIFY_H

void notify_ready(void);
void notify_reloading(void); /* ended by notify_ready(), whether it went well or not */
void notify_stopping(void);

#endif
