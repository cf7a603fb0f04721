#include "proxy/seen.h"

#include <string.h>

/* Parts of a SHA-256 are as good as random; the rest is mixed in by FNV-1a. */
static uint64_t tag_of(const uint8_t sha256[32], enum refusal refusal, const char *mailbox)
{
	uint64_t tag;

	memcpy(&tag, sha256, sizeof(tag));
	tag = (tag ^ (uint64_t)refusal) * UINT64_C(0x100000001b3);
	for (const char *p = mailbox; *p != '\0'; p++)
		tag = (tag ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	return tag != 0 ? tag : 1;
}

static bool has_room_for_refused(struct seen *seen, int64_t now)
{
	if (seen->refused_at != now) {
		seen->refused_at = now;
		seen->refused = 0;
	}
	return seen->refused++ < SEEN_REFUSED_MAX;
}

/* By the certificate alone, so that each has one place. */
static struct seen_slot *slot_of(struct seen *seen, const uint8_t sha256[32])
{
	return &seen->slots[(sha256[8] | sha256[9] << 8) % SEEN_SLOTS];
}

bool seen_is_due(struct seen *seen, const uint8_t sha256[32], enum refusal refusal,
	const char *mailbox, int64_t now)
{
	const struct seen_slot *slot = slot_of(seen, sha256);

	/* A clock that was set back does not silence anybody. */
	if (slot->tag == tag_of(sha256, refusal, mailbox) && now >= slot->at &&
		now - slot->at < SEEN_AGAIN_S)
		return false;
	return refusal == REFUSAL_NONE || has_room_for_refused(seen, now);
}

void seen_note(struct seen *seen, const uint8_t sha256[32], enum refusal refusal,
	const char *mailbox, int64_t now)
{
	*slot_of(seen, sha256) =
		(struct seen_slot){.tag = tag_of(sha256, refusal, mailbox), .at = now};
}
