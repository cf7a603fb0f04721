/* Multipart bodies: what is handed out is where the table says, and the same at once and in pieces.
 * The first byte says how large these are. */
#include <stdlib.h>

#include "proxy/eas_multipart.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint32_t number_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

/* 0, or -1; the document's length. */
static int read_body(const uint8_t *bytes, size_t len, size_t piece, size_t *document_len)
{
	struct eas_multipart multipart;
	enum eas_multipart_result result = EAS_MULTIPART_MORE;

	*document_len = 0;
	eas_multipart_begin(&multipart);
	for (size_t at = 0; at < len; at += piece) {
		eas_multipart_feed(
			&multipart, span_of(bytes + at, len - at < piece ? len - at : piece));
		while ((result = eas_multipart_next(&multipart)) == EAS_MULTIPART_DOCUMENT) {
			size_t place = number_at(bytes + 4) + *document_len;

			require(place + multipart.document.len <= len);
			require(multipart.document.data == bytes + place);
			*document_len += multipart.document.len;
		}
	}
	if (eas_multipart_finish(&multipart) != 0)
		return -1;
	require(result == EAS_MULTIPART_MORE);
	require(multipart.part_count >= 1 && multipart.part_count <= EAS_MULTIPART_PARTS_MAX);
	require(*document_len == number_at(bytes + 8));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	size_t whole_len, pieces_len;
	int whole;

	if (len < 1 || len > 16000)
		return 0;
	whole = read_body(bytes + 1, len - 1, len, &whole_len);
	require(whole == read_body(bytes + 1, len - 1, 1u + bytes[0] % 16, &pieces_len));
	require(whole != 0 || whole_len == pieces_len);
	return 0;
}
