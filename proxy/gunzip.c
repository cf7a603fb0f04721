#include "proxy/gunzip.h"

#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, /* the largest window, and the gzip format */ PIECE = 8 * 1024 };

struct gunzip {
	z_stream stream;
	uint64_t output_left;
	bool is_done;
};

struct gunzip *gunzip_new(uint64_t output_max)
{
	struct gunzip *gunzip = calloc(1, sizeof(*gunzip));

	if (gunzip == NULL)
		return NULL;
	gunzip->output_left = output_max;
	if (inflateInit2(&gunzip->stream, GZIP_WINDOW) != Z_OK) {
		free(gunzip);
		return NULL;
	}
	return gunzip;
}

void gunzip_free(struct gunzip *gunzip)
{
	if (gunzip == NULL)
		return;
	inflateEnd(&gunzip->stream);
	free(gunzip);
}

int gunzip_feed(struct gunzip *gunzip, struct span bytes,
	int (*out)(void *context, struct span piece), void *context)
{
	uint8_t piece[PIECE];

	if (bytes.len > UINT32_MAX || (bytes.len > 0 && gunzip->is_done))
		return -1;
	gunzip->stream.next_in = bytes.data;
	gunzip->stream.avail_in = (uInt)bytes.len;
	while (!gunzip->is_done) {
		size_t made;
		int result;

		gunzip->stream.next_out = piece;
		gunzip->stream.avail_out = sizeof(piece);
		result = inflate(&gunzip->stream, Z_NO_FLUSH);
		made = sizeof(piece) - gunzip->stream.avail_out;
		if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
			return -1;
		if (made > gunzip->output_left)
			return -1;
		gunzip->output_left -= made;
		if (made > 0 && out(context, span_of(piece, made)) != 0)
			return -1;
		gunzip->is_done = result == Z_STREAM_END;
		if (made == 0)
			break;
	}
	return gunzip->stream.avail_in == 0 ? 0 : -1;
}
