/* MIME messages: the same is seen at once and in pieces. The first byte says how large these are. */
#include <stdlib.h>

#include "proxy/mime_head.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* What was seen, as a number that depends on all of it and its order. */
struct seen {
	uint64_t hash;
	size_t events;
};

static void note(struct seen *seen, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		seen->hash = (seen->hash ^ bytes[i]) * 0x100000001B3u;
}

static void note_events(struct seen *seen, struct mime_head *mime)
{
	enum mime_event event;

	while ((event = mime_head_next(mime)) != MIME_MORE) {
		require(++seen->events < 100000);
		note(seen, &event, sizeof(event));
		if (event == MIME_ADDRESS) {
			require(mime->addresses.address.len > 0 &&
				mime->addresses.address.len <= MIME_ADDRESS_MAX);
			note(seen, &mime->role, sizeof(mime->role));
			note(seen, mime->addresses.address.data, mime->addresses.address.len);
			continue;
		}
		require(strlen(mime->part.type) <= MIME_TYPE_MAX &&
			strlen(mime->part.name) <= MIME_NAME_MAX);
		note(seen, mime->part.type, strlen(mime->part.type) + 1);
		note(seen, mime->part.name, strlen(mime->part.name) + 1);
		note(seen, &mime->part.size, sizeof(mime->part.size));
		note(seen, &mime->part.is_attachment, sizeof(mime->part.is_attachment));
	}
}

static struct seen read_message(const uint8_t *bytes, size_t len, size_t piece)
{
	static struct mime_head mime;
	struct seen seen = {.hash = 0xCBF29CE484222325u};

	mime_head_begin(&mime);
	for (size_t at = 0; at < len; at += piece) {
		mime_head_feed(&mime, span_of(bytes + at, len - at < piece ? len - at : piece));
		note_events(&seen, &mime);
	}
	mime_head_finish(&mime);
	note_events(&seen, &mime);
	require(mime_head_next(&mime) == MIME_MORE);
	note(&seen, &mime.is_beyond, sizeof(mime.is_beyond));
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct seen whole, pieces;

	if (len < 1 || len > 16000)
		return 0;
	whole = read_message(bytes + 1, len - 1, len);
	pieces = read_message(bytes + 1, len - 1, 1u + bytes[0] % 16);
	require(whole.hash == pieces.hash && whole.events == pieces.events);
	return 0;
}
