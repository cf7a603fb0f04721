#include "auth/verdict_packed.h"

#include <stdlib.h>
#include <string.h>

/* In the order of struct verdict. What stands between them is kept whole. */
enum array {
	ARRAY_LINKS,
	ARRAY_POINTS,
	ARRAY_OCSP_URL,
	ARRAY_NAMES,
	ARRAY_NAMES_TEXT,
	ARRAY_SUBJECT,
	ARRAY_ISSUER,
	ARRAY_REASON,
	ARRAY_COUNT
};

#define ARRAY_OF(member)                                                                           \
	{                                                                                          \
		offsetof(struct verdict, member), sizeof(((struct verdict *)0)->member)            \
	}

static const struct {
	size_t at, size;
} arrays[ARRAY_COUNT] = {
	[ARRAY_LINKS] = ARRAY_OF(links),
	[ARRAY_POINTS] = ARRAY_OF(points),
	[ARRAY_OCSP_URL] = ARRAY_OF(ocsp_url),
	[ARRAY_NAMES] = ARRAY_OF(names.names),
	[ARRAY_NAMES_TEXT] = ARRAY_OF(names.text),
	[ARRAY_SUBJECT] = ARRAY_OF(subject),
	[ARRAY_ISSUER] = ARRAY_OF(issuer),
	[ARRAY_REASON] = ARRAY_OF(reason),
};

_Static_assert(
	offsetof(struct verdict, leaf_sha256) == 0 &&
		offsetof(struct verdict, links) >= sizeof(((struct verdict *)0)->leaf_sha256),
	"the SHA-256 is the first of what is packed");
_Static_assert(
	offsetof(struct verdict, links) < offsetof(struct verdict, points) &&
		offsetof(struct verdict, points) < offsetof(struct verdict, ocsp_url) &&
		offsetof(struct verdict, ocsp_url) < offsetof(struct verdict, names.names) &&
		offsetof(struct verdict, names.names) < offsetof(struct verdict, names.text) &&
		offsetof(struct verdict, names.text) < offsetof(struct verdict, subject) &&
		offsetof(struct verdict, subject) < offsetof(struct verdict, issuer) &&
		offsetof(struct verdict, issuer) < offsetof(struct verdict, reason),
	"the arrays are in their order");

struct verdict_packed {
	uint16_t used[ARRAY_COUNT]; /* bytes of each */
	uint8_t bytes[];
};

static void measure(const struct verdict *verdict, uint16_t used[ARRAY_COUNT])
{
	used[ARRAY_LINKS] = (uint16_t)(verdict->link_count * sizeof(verdict->links[0]));
	used[ARRAY_POINTS] = (uint16_t)(verdict->point_count * sizeof(verdict->points[0]));
	used[ARRAY_OCSP_URL] = (uint16_t)strlen(verdict->ocsp_url);
	used[ARRAY_NAMES] = (uint16_t)(verdict->names.count * sizeof(verdict->names.names[0]));
	used[ARRAY_NAMES_TEXT] = verdict->names.used;
	used[ARRAY_SUBJECT] = (uint16_t)strlen(verdict->subject);
	used[ARRAY_ISSUER] = (uint16_t)strlen(verdict->issuer);
	used[ARRAY_REASON] = (uint16_t)strlen(verdict->reason);
}

struct verdict_packed *verdict_pack(const struct verdict *verdict)
{
	const uint8_t *from = (const uint8_t *)verdict;
	size_t size = sizeof(*verdict);
	uint16_t used[ARRAY_COUNT];
	struct verdict_packed *packed;
	uint8_t *to;
	size_t at = 0;

	measure(verdict, used);
	for (size_t i = 0; i < ARRAY_COUNT; i++)
		size -= arrays[i].size - used[i];
	packed = malloc(sizeof(*packed) + size);
	if (packed == NULL)
		return NULL;
	memcpy(packed->used, used, sizeof(used));
	to = packed->bytes;
	for (size_t i = 0; i < ARRAY_COUNT; i++) {
		size_t len = arrays[i].at + used[i] - at;

		memcpy(to, from + at, len);
		to += len;
		at = arrays[i].at + arrays[i].size;
	}
	memcpy(to, from + at, sizeof(*verdict) - at);
	return packed;
}

void verdict_unpack(const struct verdict_packed *packed, struct verdict *verdict)
{
	uint8_t *to = (uint8_t *)verdict;
	const uint8_t *from = packed->bytes;
	size_t at = 0;

	memset(verdict, 0, sizeof(*verdict));
	for (size_t i = 0; i < ARRAY_COUNT; i++) {
		size_t len = arrays[i].at + packed->used[i] - at;

		memcpy(to + at, from, len);
		from += len;
		at = arrays[i].at + arrays[i].size;
	}
	memcpy(to + at, from, sizeof(*verdict) - at);
}

const uint8_t *verdict_packed_sha256(const struct verdict_packed *packed)
{
	return packed->bytes;
}
