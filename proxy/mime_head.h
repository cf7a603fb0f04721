/*
 * Reads a MIME message (RFC 5322, 2045 to 2047, 2183, 2231) while it passes in pieces of any size:
 * whom it is from and goes to, and the parts that it is made of, with their names, types and sizes.
 * A pull reader: nothing is allocated or recursed; the struct is all the memory there is. It judges
 * nothing: what is malformed is read as well as can be, since servers will do the same; what is
 * beyond a bound sets is_beyond.
 *
 *	mime_head_begin(&mime);
 *	for each piece:
 *		mime_head_feed(&mime, piece);
 *		while ((event = mime_head_next(&mime)) != MIME_MORE)
 *			…                 look at mime.role and mime.addresses.address, or mime.part
 *	mime_head_finish(&mime);
 *	while ((event = mime_head_next(&mime)) != MIME_MORE) …
 */
#ifndef PROXY_MIME_HEAD_H
#define PROXY_MIME_HEAD_H

#include "config/span.h"
#include "proxy/mime_addresses.h"

enum {
	MIME_DEPTH_MAX = 8,         /* nested multiparts; those within them count as one part */
	MIME_BOUNDARY_MAX = 70,     /* RFC 2046 5.1.1 */
	MIME_NAME_MAX = 255,        /* of a file */
	MIME_TYPE_MAX = 79,         /* "application/pdf"; RFC 6838 4.2 has up to 127 each */
	MIME_VALUE_MAX = 1024,      /* of a Content-Type or Content-Disposition */
	MIME_HEAD_MAX = 256 * 1024, /* of a head, in bytes */
};

enum mime_event {
	MIME_MORE,    /* the piece is used up */
	MIME_ADDRESS, /* role, addresses.address */
	MIME_PART     /* part: a part that holds no others has ended */
};

enum mime_role { MIME_TO, MIME_CC, MIME_BCC, MIME_FROM, MIME_REPLY_TO };

struct mime_part {
	char type[MIME_TYPE_MAX + 1]; /* lower case; "text/plain" where none is said */
	char name[MIME_NAME_MAX + 1]; /* UTF-8 where it could be decoded; "" without one */
	bool is_attachment; /* by its disposition, name or type, and neither a signature nor a report */
	uint64_t size;      /* of what it holds, without base64; in other encodings as it stands */
};

struct mime_head {
	enum mime_role role;
	struct mime_addresses addresses;
	struct mime_part part;
	bool is_beyond; /* a bound was met: there may be more than was seen */

	/* Private to mime_head.c. */
	const uint8_t *at, *end;
	const uint8_t *run_end; /* of the line, as far as the piece goes */
	uint8_t state, field, encoding;
	bool is_root; /* in the message's own head */
	bool is_finished;
	bool has_field, has_part, has_type, has_file_name, is_disposed;
	bool is_container; /* the head is that of a multipart whose boundary is known */
	bool begins_part;  /* a boundary has come: what follows is a head */
	uint32_t head_len;
	uint8_t name_len; /* of field_name; one more than there is room for: too long */
	uint16_t value_len;
	char field_name[28]; /* "content-transfer-encoding" is the longest that is looked for */
	char value[MIME_VALUE_MAX];
	/* Of a body's line as much as a boundary needs; its length; and its last bytes. */
	uint8_t line[MIME_BOUNDARY_MAX + 16];
	uint64_t line_len;
	uint8_t tail[4];
	uint64_t part_len;
	uint8_t eol_len; /* of the line before: it may belong to a boundary */
	/* The open multiparts, from the outermost. */
	uint8_t depth;
	uint8_t boundary_len[MIME_DEPTH_MAX];
	char boundary[MIME_DEPTH_MAX][MIME_BOUNDARY_MAX];
};

void mime_head_begin(struct mime_head *mime);
void mime_head_feed(struct mime_head *mime, struct span piece);
enum mime_event mime_head_next(struct mime_head *mime);

/* The message's end: next() hands out what it brings. */
void mime_head_finish(struct mime_head *mime);

#endif
