/*
 * Reads application/vnd.ms-sync.multipart (MS-ASCMD 2.2.1.10.1) while it passes in pieces of any
 * size: how many parts, where each begins and how long it is, all 32 bit little endian; the first
 * part is the WBXML document, the others are what its Part elements point to. Only the document is
 * handed out. Parts must stand in the order of their numbers and not overlap, as every server
 * writes them: so nothing of the table has to be kept. No allocation. Used by eas_body.c.
 *
 *	eas_multipart_begin(&multipart);
 *	for each piece:
 *		eas_multipart_feed(&multipart, piece);
 *		while ((result = eas_multipart_next(&multipart)) == EAS_MULTIPART_DOCUMENT)
 *			…                 look at multipart.document
 *	if (eas_multipart_finish(&multipart) != 0) …
 */
#ifndef PROXY_EAS_MULTIPART_H
#define PROXY_EAS_MULTIPART_H

#include "config/span.h"

enum { EAS_MULTIPART_PARTS_MAX = 1024 };

enum eas_multipart_result {
	EAS_MULTIPART_ERROR = -1, /* stays so */
	EAS_MULTIPART_MORE,
	EAS_MULTIPART_DOCUMENT
};

struct eas_multipart {
	struct span document;  /* a piece of the first part; borrowed from what was fed */
	uint32_t part_count;   /* the document included; 0: not known yet */
	uint32_t largest_part; /* of the others, in bytes */

	/* Private to eas_multipart.c. */
	const uint8_t *at, *end;
	uint64_t offset;   /* of the byte at `at` in the body */
	uint64_t last_end; /* of the parts in the table so far */
	uint64_t document_begin, document_end;
	uint32_t parts_read;
	uint8_t number_len; /* bytes of the entry so far */
	bool has_failed;
	uint8_t number[8];
};

void eas_multipart_begin(struct eas_multipart *multipart);
void eas_multipart_feed(struct eas_multipart *multipart, struct span piece);
enum eas_multipart_result eas_multipart_next(struct eas_multipart *multipart);

/* The body's end: 0, or -1 where parts are missing. */
int eas_multipart_finish(const struct eas_multipart *multipart);

#endif
