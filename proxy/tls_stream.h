/*
 * Reads from and writes to the socket of a channel that is only records (tls_records.h): in the usual
 * case one recv() or send() a call, no allocation and no copy beside what encrypts. For tls.c.
 */
#ifndef PROXY_TLS_STREAM_H
#define PROXY_TLS_STREAM_H

#include "proxy/tls.h"
#include "proxy/tls_records.h"

/* As tls_read() and so on, of a channel whose socket is fd. */
enum tls_result tls_stream_read(
	struct tls_records *records, int fd, void *data, size_t capacity, size_t *len);
enum tls_result tls_stream_write(
	struct tls_records *records, int fd, const void *data, size_t len, size_t *written);
bool tls_stream_has_pending(const struct tls_records *records);

/* Bytes that were received with the end of the handshake. 0 or -1. */
int tls_stream_give(struct tls_records *records, const void *wire, size_t len);

/* Says close_notify, if that is possible now, and frees what waits in either direction. */
void tls_stream_close(struct tls_records *records, int fd);

/* Why the last call of this process that returned TLS_ERROR did so; "": the socket failed. */
const char *tls_stream_failure(void);

#endif
