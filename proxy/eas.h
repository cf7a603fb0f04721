/*
 * What a request asks, in the terms of MS-ASHTTP 2.2.1.1: the command, device, user and protocol
 * version, from a plain or a base64 query and the header. No I/O, no allocation. For workers.
 */
#ifndef PROXY_EAS_H
#define PROXY_EAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/refusal.h"
#include "config/span.h"
#include "proxy/http.h"

/* MS-ASHTTP 2.2.1.1.1.1.2; the values are those of the base64 query. */
enum eas_command {
	EAS_SYNC = 0,
	EAS_SEND_MAIL = 1,
	EAS_SMART_FORWARD = 2,
	EAS_SMART_REPLY = 3,
	EAS_GET_ATTACHMENT = 4,
	EAS_GET_HIERARCHY = 5,
	EAS_CREATE_COLLECTION = 6,
	EAS_DELETE_COLLECTION = 7,
	EAS_MOVE_COLLECTION = 8,
	EAS_FOLDER_SYNC = 9,
	EAS_FOLDER_CREATE = 10,
	EAS_FOLDER_DELETE = 11,
	EAS_FOLDER_UPDATE = 12,
	EAS_MOVE_ITEMS = 13,
	EAS_GET_ITEM_ESTIMATE = 14,
	EAS_MEETING_RESPONSE = 15,
	EAS_SEARCH = 16,
	EAS_SETTINGS = 17,
	EAS_PING = 18,
	EAS_ITEM_OPERATIONS = 19,
	EAS_PROVISION = 20,
	EAS_RESOLVE_RECIPIENTS = 21,
	EAS_VALIDATE_CERT = 22,
	EAS_FIND = 23,
	EAS_COMMAND_COUNT,
	EAS_NO_COMMAND = EAS_COMMAND_COUNT /* OPTIONS, Autodiscover */
};

enum eas_path {
	EAS_PATH_SYNC,              /* /Microsoft-Server-ActiveSync, any case */
	EAS_PATH_AUTODISCOVER,      /* /autodiscover/autodiscover.xml, any case */
	EAS_PATH_AUTODISCOVER_JSON, /* /autodiscover/autodiscover.json and below; never passed on */
	EAS_PATH_OTHER
};

enum {
	EAS_DEVICE_ID_MAX = 64, /* 32 characters, or 32 raw bytes shown in hex */
	EAS_DEVICE_TYPE_MAX = 64,
	EAS_USER_MAX = 320,
};

struct eas_request {
	enum eas_path path;
	enum eas_command command;
	unsigned int version; /* 25, 120, 121, 140, 141, 160, 161; 0: not said (OPTIONS) */
	bool is_base64;       /* the query's form */
	bool has_policy_key;
	uint32_t policy_key;
	bool accepts_multipart;
	/* "" where none is said; raw ids in lower-case hex */
	char device_id[EAS_DEVICE_ID_MAX + 1];
	char device_type[EAS_DEVICE_TYPE_MAX + 1]; /* printable ASCII; other bytes became "?" */
	char user[EAS_USER_MAX + 1];               /* percent-decoded; "" where none is said */
};

/* "Sync"; "-" for EAS_NO_COMMAND. */
const char *eas_command_name(enum eas_command command);

/* The path, percent-decoded where that is harmless, compared without case. */
enum eas_path eas_path_of(const struct http_head *head);

/* Reads path, query and header of a POST or OPTIONS. REFUSAL_NONE, or PATH_NOT_FOUND,
 * QUERY_MALFORMED, COMMAND_UNKNOWN, PROTOCOL_VERSION, DEVICE_ID; METHOD_NOT_ALLOWED for a GET. All
 * that could be read is filled in even then, for eas_refusal_write().
 *
 * QUERY_MALFORMED is also: one of our names twice in a plain query (without case, decoded), names
 * with other characters than letters, digits, "-", "_", ".", a ";", control characters, a user or
 * device type too long, a malformed X-MS-PolicyKey or MS-ASAcceptMultiPart or one that contradicts
 * a base64 query, and any query to Autodiscover. PROTOCOL_VERSION is also: MS-ASProtocolVersion
 * twice, beside a lookalike, or contradicting a base64 query. OPTIONS needs neither query nor
 * version, its command is always EAS_NO_COMMAND; the names of commands have the case of the
 * specification. The JSON path is PATH_NOT_FOUND here: only a GET of it is answered, before. */
enum refusal eas_request_read(const struct http_head *head, struct eas_request *request);

/* Changes a base64 query in place, and not its meaning but that no multipart answer is asked for. A plain
 * query has no word for that, and stays. */
void eas_query_refuse_multipart(char *query);

/* What kind of body a request of this command and version has. */
enum eas_body_kind {
	EAS_BODY_NONE,
	EAS_BODY_WBXML,
	EAS_BODY_MIME,
	EAS_BODY_XML,
	EAS_BODY_MULTIPART /* of answers alone: application/vnd.ms-sync.multipart */
};

/* From command, version, Content-Type and framing: REFUSAL_NONE with *kind, or MEDIA_TYPE. An
 * empty body where the command allows one is EAS_BODY_NONE; Content-Encoding but identity is
 * refused, and so is a body without Content-Type. A chunked body counts as one that is not empty.
 */
enum refusal eas_request_body_kind(
	const struct eas_request *request, const struct http_head *head, enum eas_body_kind *kind);

/*
 * The answer to a refused request, in the words that the phone understands: for 14.0 and later an
 * EAS status inside a 200 where the refusal has one and the command has a place for it, else the
 * HTTP status (403 for a refusal that has none); Retry-After with 503. Writes a whole answer (head
 * and body) into writer. request may be NULL. Returns the HTTP status written.
 */
struct eas_refusal_terms {
	unsigned int retry_after_s;
	bool close; /* adds Connection: close */
	/* Instead of the row's; 0: the row's own. */
	unsigned int http_status, eas_status;
};

unsigned int eas_refusal_write(struct http_writer *writer, enum refusal refusal,
	const struct eas_request *request, const struct eas_refusal_terms *terms);

#endif
