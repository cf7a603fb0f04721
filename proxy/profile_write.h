/*
 * Writes a configuration profile for an ActiveSync account with its certificate. For easproxyctl.
 */
#ifndef PROXY_PROFILE_WRITE_H
#define PROXY_PROFILE_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/error.h"
#include "config/span.h"
#include "wbxml/buffer.h"

struct profile_content {
	const char *mailbox, *host; /* host with a port if need be */
	const char *organization;   /* NULL: none is said */
	struct span pkcs12;
	const char
		*password; /* of the PKCS#12 file, to be put into the profile; NULL: phones ask */
	size_t authority_count;
	const struct span *authorities; /* in DER */
	const bool *authority_is_root;
};

/* Appends it to out. The same content gives the same bytes, UUIDs included, so that a profile made again
 * takes the place of the first one on a phone. 0, or -1 with err filled. */
int profile_write(
	const struct profile_content *content, struct wbxml_buffer *out, struct error *err);

#endif
