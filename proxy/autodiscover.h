/*
 * Autodiscover as phones ask it (MS-ASCMD 2.2.1.1, the schema "mobilesync") and its second version in
 * JSON: what is asked, and what is answered. No I/O; documents are small and bounded. For workers.
 */
#ifndef PROXY_AUTODISCOVER_H
#define PROXY_AUTODISCOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/identity_names.h"
#include "config/error.h"
#include "config/span.h"
#include "wbxml/buffer.h"

enum {
	AUTODISCOVER_SIZE_MAX = 64 * 1024, /* of a request, or of an endpoint's answer */
	AUTODISCOVER_TEXT_MAX = IDENTITY_ADDRESS_MAX
};

/* What is wrong; the numbers are those of the schema. */
enum autodiscover_fault {
	AUTODISCOVER_NO_FAULT = 0,
	AUTODISCOVER_PROTOCOL = 2,   /* Action/Error/Status: the address is not the phone's */
	AUTODISCOVER_INVALID = 600,  /* Response/Error/ErrorCode: no request of the schema */
	AUTODISCOVER_PROVIDER = 601, /* the same: another answer is wanted than we have */
};

/* Reads a request. NO_FAULT with its EMailAddress, a sound address as address_fold() makes it;
 * INVALID or PROVIDER with err filled. */
enum autodiscover_fault autodiscover_read(
	struct span document, char address[IDENTITY_ADDRESS_MAX + 1], struct error *err);

/* An answer: one of url, redirect and fault, the others NULL and NO_FAULT. Texts are UTF-8 as XML can
 * hold it; address and display_name may be NULL. */
struct autodiscover_answer {
	const char *address, *display_name; /* User */
	const char *url;                    /* Settings/Server, of the type MobileSync */
	const char *redirect; /* an address, with whose domain the phone starts over */
	enum autodiscover_fault fault;
	uint64_t now_us; /* since 1970, for the Time of a fault */
	uint32_t id;     /* of a fault: something to find it by in the log */
};

/* Appends the document to out. 0, or -1 when memory runs out. */
int autodiscover_write(const struct autodiscover_answer *answer, struct wbxml_buffer *out);

/* What an endpoint has answered, as far as a phone may know it. */
struct autodiscover_forwarded {
	char address[AUTODISCOVER_TEXT_MAX + 1], display_name[AUTODISCOVER_TEXT_MAX + 1];
	char redirect[AUTODISCOVER_TEXT_MAX + 1];
	bool has_server;               /* of the type MobileSync */
	enum autodiscover_fault fault; /* NO_FAULT unless it is an error */
};

/* Reads an endpoint's answer. 0, or -1 with err filled: it is none of the schema, or says nothing that
 * a phone could be told. */
int autodiscover_read_answer(
	struct span document, struct autodiscover_forwarded *forwarded, struct error *err);

/* The second version. */

enum { AUTODISCOVER_JSON_MAX = 1024 };

/* Whether a path is its: "/autodiscover/autodiscover.json", without case, perhaps with one version and
 * an address behind it. */
bool autodiscover_is_json_path(struct span path);

/* Answers a query (without "?") with the same for every address, so that nobody learns from it which
 * ones there are. base is "https://mail.example.com". Fills json and returns the HTTP status, 200 or
 * 400; 500 where it does not fit. */
unsigned int autodiscover_write_json(
	struct span query, const char *base, char json[AUTODISCOVER_JSON_MAX]);

/* Where things are, behind base. */
extern const char autodiscover_sync_path[], autodiscover_xml_path[];

#endif
