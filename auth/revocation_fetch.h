/*
 * From a location (file: or http:) to its bytes, bounded in size and time. For the revocation
 * process alone: libcurl on its event loop, and plain reads of files.
 */
#ifndef AUTH_REVOCATION_FETCH_H
#define AUTH_REVOCATION_FETCH_H

#include <event2/event.h>
#include <stdint.h>

#include "config/error.h"
#include "config/span.h"

struct revocation_fetcher; /* opaque */

/* One download is over: failure is NULL and body whole, or failure says why not. body is borrowed
 * and ends with the call. context is revocation_fetcher_start()'s. */
typedef void revocation_fetch_done(void *context, struct span body, const char *failure);

/* NULL with err filled. */
struct revocation_fetcher *revocation_fetcher_new(struct event_base *base, uint64_t size_limit,
	uint32_t time_limit_ms, revocation_fetch_done *done, struct error *err);

/* Ends what is under way without calling done. */
void revocation_fetcher_free(struct revocation_fetcher *fetcher);

/* Starts a download of an http: URL. done is called from the loop, never from here. 0, or -1 with
 * err filled (done is not called then). */
int revocation_fetcher_start(
	struct revocation_fetcher *fetcher, const char *url, void *context, struct error *err);

/* The path in a file: URL ("file:/path", "file:///path", "file://localhost/path"; taken as it
 * stands, nothing is decoded), or NULL for what is none. Borrowed from the URL. */
const char *revocation_file_path(const char *url);

/* The content of a regular file; the caller frees *data. 0, or -1 with err filled. */
int revocation_file_read(
	const char *path, uint64_t size_limit, uint8_t **data, size_t *len, struct error *err);

#endif
