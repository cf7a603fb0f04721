/*
 * The values of Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2183), with the names that
 * RFC 2231 and, against the rules but everywhere, RFC 2047 write. Pure functions. Used by
 * mime_head.c.
 */
#ifndef PROXY_MIME_VALUE_H
#define PROXY_MIME_VALUE_H

#include "config/span.h"
#include "proxy/mime_head.h"

struct mime_value {
	char type[MIME_TYPE_MAX + 1]; /* "multipart/mixed", "attachment"; lower case */
	char name[MIME_NAME_MAX + 1]; /* of name or filename; "" without one */
	bool has_name;                /* even an empty one */
	uint8_t boundary_len;         /* 0: none, or one that is too long */
	char boundary[MIME_BOUNDARY_MAX];
};

void mime_value_read(struct span text, struct mime_value *value);

#endif
