/*
 * The chains that workers report: whatever is taken for certificates lies within the bytes, one after
 * the other, without a gap.
 */
#include <stdint.h>
#include <stdlib.h>

#include "proxy/state_seen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t no_digest[32];
	struct span rest = span_of(data, size), certificate;
	size_t at = 0;

	while (state_seen_next(&rest, &certificate)) {
		if (certificate.data != data + at || certificate.len < 3 ||
			certificate.len > size - at)
			abort();
		at += certificate.len;
		if (rest.len != size - at)
			abort();
	}
	if (state_seen_is_sound(span_of(data, size), no_digest))
		abort();
	return 0;
}
