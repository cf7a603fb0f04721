/*
 * What the peer says after the handshake that is not content: alerts, KeyUpdate, tickets, and wishes
 * for another handshake. For tls_records.c.
 */
#ifndef PROXY_TLS_MESSAGES_H
#define PROXY_TLS_MESSAGES_H

#include "config/span.h"
#include "proxy/tls_records.h"

/* The content of one record that is not application data. NOTHING, END or FAULT. */
enum tls_step tls_messages_take(
	struct tls_records *records, uint8_t type, struct span content, struct tls_fault *fault);

/* Whether a handshake message has begun and not ended. */
bool tls_messages_are_incomplete(const struct tls_records *records);

/* Frees what has come of such a message. */
void tls_messages_drop(struct tls_records *records);

/* One more record that has brought no content: NOTHING, or FAULT where they are too many. */
enum tls_step tls_messages_count_idle(struct tls_records *records, struct tls_fault *fault);

/* In tls_records.c: the direction's next generation of keys, RFC 8446 7.2. 0 or -1. */
int tls_records_update_key(struct tls_records *records, enum tls_direction direction);

#endif
