/*
 * What easproxyctl decode is given: a body, or a whole HTTP message around one, and what can be said
 * of it beside its document. Notes go to standard error, so that the document alone is on standard
 * output. For easproxyctl_decode*.c.
 */
#ifndef PROXY_EASPROXYCTL_DECODE_H
#define PROXY_EASPROXYCTL_DECODE_H

#include <stdbool.h>

#include "config/error.h"
#include "proxy/body_show.h"
#include "proxy/eas.h"

struct decode_message {
	bool is_http;             /* there was a head */
	enum eas_command command; /* of its query; EAS_NO_COMMAND: not said */
	char text[256];           /* of the head: "POST Sync 14.1 of device X", "HTTP 503" */
};

/* Where input is an HTTP request or answer, replaces it by the body, without chunks, and fills
 * *message. 0, or -1 with err: a head, or framing, that easproxyd refuses. */
int decode_unwrap_http(
	struct wbxml_buffer *input, struct decode_message *message, struct error *err);

/* Whose body a document with that root (enum wbxml_tag_id) is: "Sync", "SendMail"; NULL: nobody's. */
const char *decode_command_of(uint16_t root);

#endif
