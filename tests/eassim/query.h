/*
 * What a request asks of `eassim serve`: MS-ASHTTP's plain and base64 query and the header beside
 * it. Read on its own, not by proxy/eas.h, so that the two check each other.
 */
#ifndef EASSIM_QUERY_H
#define EASSIM_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"
#include "http_server.h"

struct query {
	char command[24];
	char user[321], device_id[65], device_type[65];
	char attachment[129]; /* GetAttachment */
	unsigned int version; /* 25 to 161 */
	bool is_base64, has_policy_key, accepts_multipart, saves_copy;
	uint32_t policy_key;
};

/* 0, or -1 with err: a 400. */
int query_read(const struct server_request *request, struct query *query, struct error *err);

/* Standard base64 with or without padding; returns the length, or -1. */
int query_base64_decode(const char *text, size_t len, uint8_t *data, size_t size);

/* %XX and nothing else; false where it is malformed, hides a NUL or does not fit. */
bool query_percent_decode(const char *text, size_t len, char *out, size_t size);

#endif
