/*
 * The last requests that reached `eassim serve`, exactly as they came, so that a test can prove
 * what the proxy let through.
 */
#ifndef EASSIM_JOURNAL_H
#define EASSIM_JOURNAL_H

#include <jansson.h>
#include <stddef.h>

#include "http_server.h"

struct journal;

struct journal *journal_new(size_t capacity);
void journal_free(struct journal *journal);

/* Remembers the request; the oldest is forgotten when the journal is full. */
void journal_add(struct journal *journal, const struct server_request *request, const char *peer,
	const char *mailbox);
void journal_clear(struct journal *journal);

/* A JSON list, oldest first; the caller frees it. Of one mailbox alone unless that is NULL. */
json_t *journal_list(const struct journal *journal, const char *mailbox);

/* Bytes as a JSON string, whatever they are: what is not UTF-8 is taken for Latin-1. */
json_t *json_bytes(const char *bytes, size_t len);

#endif
