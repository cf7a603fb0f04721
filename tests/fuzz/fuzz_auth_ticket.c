/*
 * A ticket's bytes: what is taken is written again as the same bytes, and all of its parts lie within.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_so)
{
	if (!is_so)
		abort();
}

static void require_within(struct span part, const uint8_t *data, size_t size)
{
	require(part.len >= 1 && part.data >= data && part.data + part.len <= data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ticket_parts parts;
	struct ticket again;

	if (ticket_read(span_of(data, size), &parts) == -1)
		return 0;
	require_within(parts.key, data, size);
	require_within(parts.user, data, size);
	require_within(parts.service, data, size);
	require_within(parts.encrypted, data, size);
	require(ticket_write(&parts, &again) == 0);
	require(again.len == size && memcmp(again.bytes, data, size) == 0);
	require(again.valid_until == parts.end_time);
	ticket_clear(&again);
	return 0;
}
