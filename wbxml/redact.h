/*
 * What of a document is not for every eye: one table of tags. Secrets are passwords and names of
 * logins that a phone sends in clear, and the IMEI but for its last four digits; content is what
 * people write to each other and what they know of each other. Who makes XML of a document
 * (wbxml/xml.h) asks here. Pure functions; for every process.
 */
#ifndef WBXML_REDACT_H
#define WBXML_REDACT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/span.h"
#include "wbxml/buffer.h"

/* What is to be masked; both may be asked for. */
enum { WBXML_REDACT_SECRETS = 1, WBXML_REDACT_CONTENT = 2 };

enum wbxml_mask {
	WBXML_MASK_NONE,
	WBXML_MASK_SECRET,  /* nothing of it is shown, not even its length */
	WBXML_MASK_LAST4,   /* a secret of which the last four characters tell devices apart */
	WBXML_MASK_CONTENT, /* its length is shown */
	WBXML_MASK_MIME /* a message: the fields of its header but for the subject, and its length */
};

enum {
	WBXML_MASK_TAIL = 4,
	WBXML_MASK_TAIL_OF = 8, /* of a shorter value, even the tail would be half of it */
	WBXML_MIME_HEAD_MAX = 4096
};

/* What to do with an element. It goes for all that is in it, whatever that is. */
enum wbxml_mask wbxml_mask_of(uint16_t tag, unsigned int redact);

/* Appends what may be shown of the beginning of a message (RFC 5322): its header, one LF a line,
 * without the values of fields that quote the text; bytes that are not printable ASCII become "?".
 * Nothing where it does not begin with a header, or where that does not end within
 * WBXML_MIME_HEAD_MAX. */
void wbxml_mime_head(struct span message, struct wbxml_buffer *out);

#endif
