/*
 * The two forms of a query. Private to proxy/eas*.c.
 */
#ifndef PROXY_EAS_QUERY_H
#define PROXY_EAS_QUERY_H

#include "proxy/eas.h"

/* Both fill what they find, also where they refuse, so that the refusal can be put in the words of
 * the command. NONE, QUERY_MALFORMED, COMMAND_UNKNOWN or DEVICE_ID; base64 also PROTOCOL_VERSION.
 * What is missing is left empty, command EAS_NO_COMMAND: whether it may be is the caller's. */
enum refusal eas_query_read_plain(struct span query, struct eas_request *request);
enum refusal eas_query_read_base64(struct span query, struct eas_request *request);

/* Whether one of the plain form's own parameters is there by name; in base64 none can be. */
bool eas_query_is_plain(struct span query);

/* Puts a device type into the request; false when it is too long. */
bool eas_device_type_set(struct eas_request *request, struct span type);

/* Letters and digits, 1 to 32. */
bool eas_device_id_is_text(struct span id);

#endif
