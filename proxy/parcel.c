#include "proxy/parcel.h"

#include <string.h>

#include "proxy/http.h"
#include "proxy/session.h"
#include "proxy/worker.h"

/* Content that is at least so long makes a write of its own rather than being copied. */
enum { LONG = WORKER_BUFFER / 2 };

static const char chunk_end[] = "\r\n";

_Static_assert(sizeof(chunk_end) - 1 == PARCEL_TAIL, "behind what was read there is room for one");

void parcel_begin(struct parcel *parcel, struct session *session)
{
	struct worker *worker = session->worker;

	parcel->session = session;
	parcel->data = (char *)worker->scratch;
	parcel->capacity = sizeof(worker->scratch);
	parcel->len = parcel->gathered_len = 0;
	parcel->has_head = false;
}

void parcel_send(struct parcel *parcel)
{
	if (parcel->len > 0)
		session_write(parcel->session, parcel->data, parcel->len);
	parcel->len = 0;
	parcel->has_head = false;
}

void parcel_add(struct parcel *parcel, const void *data, size_t len)
{
	if (len > parcel->capacity - parcel->len)
		parcel_send(parcel);
	if (len > parcel->capacity) {
		session_write(parcel->session, data, len);
		return;
	}
	memcpy(parcel->data + parcel->len, data, len);
	parcel->len += len;
}

/* Where content begins in the worker's buffer if it can be sent from there, with what goes around it; else
 * NULL. */
static uint8_t *place_of(const struct parcel *parcel, struct span content, size_t head_len)
{
	uint8_t *buffer = parcel->session->worker->buffer;
	uintptr_t at = (uintptr_t)content.data - (uintptr_t)buffer;

	if (content.len < LONG || at >= WORKER_BUFFER || at < parcel->len + head_len ||
		content.len + PARCEL_TAIL > WORKER_BUFFER - at)
		return NULL;
	return buffer + at;
}

/* What has been added so far, the content, and the end of its chunk. What comes behind the content in the buffer
 * may not have been looked at yet. */
static void send_from(struct parcel *parcel, uint8_t *place, size_t len, bool is_chunked)
{
	uint8_t *begin = place - parcel->len;
	size_t whole = parcel->len + len;
	uint8_t behind[PARCEL_TAIL];

	memcpy(behind, place + len, sizeof(behind));
	memcpy(begin, parcel->data, parcel->len);
	if (is_chunked) {
		memcpy(place + len, chunk_end, PARCEL_TAIL);
		whole += PARCEL_TAIL;
	}
	session_write(parcel->session, begin, whole);
	memcpy(place + len, behind, sizeof(behind));
	parcel->len = 0;
	parcel->has_head = false;
}

void parcel_add_content(struct parcel *parcel, struct span content, bool is_chunked)
{
	char head[20];

	if (is_chunked)
		parcel_add(parcel, head, http_chunk_head(head, content.len));
	parcel_add(parcel, content.data, content.len);
	if (is_chunked)
		parcel_add(parcel, chunk_end, PARCEL_TAIL);
}

void parcel_pass_content(struct parcel *parcel, struct span content, bool is_chunked)
{
	char head[20];
	size_t head_len = is_chunked ? http_chunk_head(head, content.len) : 0;
	uint8_t *place = place_of(parcel, content, head_len);

	if (place == NULL) {
		parcel_add_content(parcel, content, is_chunked);
		return;
	}
	parcel_add(parcel, head, head_len);
	send_from(parcel, place, content.len, is_chunked);
}
