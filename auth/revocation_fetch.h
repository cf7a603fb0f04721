/*
 * From a location (http: or ldap:) to its bytes, bounded in size and time: libcurl on an event
 * loop. For the revocation process, and for easproxyctl where it looks at locations itself.
 *
 * What a server says of itself is not believed: Content-Length is checked against the bound and
 * against what comes, redirects are counted and stay within http:, and a body is handed on only
 * when it is whole. The environment (http_proxy and its kin) is not asked. With ldap: the limit of
 * size is looked at when libldap has read the whole answer, so that of time is what bounds memory.
 */
#ifndef AUTH_REVOCATION_FETCH_H
#define AUTH_REVOCATION_FETCH_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

/* Longer ones are taken as not given: then the whole CRL comes each time. */
enum { REVOCATION_VALIDATOR_SIZE = 256 };

struct revocation_fetcher; /* opaque */

struct revocation_request {
	const char *url;
	uint64_t size_limit;    /* bytes */
	uint32_t time_limit_ms; /* from the start to the last byte, redirects included */
	/* What the server said of the copy at hand (RFC 9110 13.1); "" or NULL: nothing, or no copy. */
	const char *etag, *last_modified;
	/* A question to POST, and its media type; NULL: GET. A POST follows no redirect. */
	const char *media_type;
	struct span question;
};

/* Everything is borrowed and ends with the call. */
struct revocation_response {
	const char *failure; /* NULL, or why there is nothing */
	bool is_unchanged;   /* 304: the copy at hand is still the newest; body is empty */
	struct span body;    /* otherwise: whole */
	const char *etag,
		*last_modified; /* "" where not given, or too young to tell two CRLs apart */
};

typedef void revocation_fetch_done(void *context, const struct revocation_response *response);

/* proxy: "HOST" or "HOST:PORT" (3128 where there is none) of an HTTP proxy through which http: is
 * fetched; "" none. It is borrowed. NULL with err filled. */
struct revocation_fetcher *revocation_fetcher_new(
	struct event_base *base, const char *proxy, revocation_fetch_done *done, struct error *err);

/* Ends what is under way without calling done. NULL is allowed. */
void revocation_fetcher_free(struct revocation_fetcher *fetcher);

/* Starts a download; nothing of request is borrowed longer than the call. done is called with
 * context from the loop, never from here. 0, or -1 with err filled (done is not called then). */
int revocation_fetcher_start(struct revocation_fetcher *fetcher,
	const struct revocation_request *request, void *context, struct error *err);

#endif
