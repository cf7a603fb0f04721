/* Bodies looked into: the same is seen at once and in pieces. The first byte says how large these
 * are. */
#include <stdlib.h>

#include "proxy/eas_body.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static enum refusal feed(struct eas_body *body, const uint8_t *bytes, size_t len, size_t piece)
{
	static const struct wbxml_limits limits = {.depth = 32, .elements = 2000, .opaque = 0};
	enum refusal refusal = REFUSAL_NONE;

	eas_body_begin(body, &limits);
	for (size_t at = 0; at < len && refusal == REFUSAL_NONE; at += piece)
		refusal = eas_body_feed(
			body, span_of(bytes + at, len - at < piece ? len - at : piece));
	return refusal != REFUSAL_NONE ? refusal : eas_body_end(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct eas_body whole, pieces;
	enum refusal refusal;

	if (len < 1 || len > 16000)
		return 0;
	refusal = feed(&whole, bytes + 1, len - 1, len);
	require(refusal == feed(&pieces, bytes + 1, len - 1, 1u + bytes[0] % 16));
	require(refusal == REFUSAL_NONE || refusal == REFUSAL_WBXML_MALFORMED ||
		refusal == REFUSAL_WBXML_LIMIT);
	require(whole.root == pieces.root && whole.status == pieces.status &&
		whole.heartbeat_s == pieces.heartbeat_s &&
		whole.collection_count == pieces.collection_count &&
		whole.item_count == pieces.item_count && whole.has_more == pieces.has_more &&
		whole.is_partial == pieces.is_partial &&
		whole.provision_policy_key == pieces.provision_policy_key);
	require(memcmp(whole.collections, pieces.collections, sizeof(whole.collections)) == 0);
	for (size_t i = 0; i < EAS_COLLECTIONS_NAMED; i++)
		for (const char *at = whole.collections[i]; *at != '\0'; at++)
			require(*at >= ' ' && *at <= '~');
	require(eas_body_poll_time(EAS_PING, EAS_BODY_WBXML, &whole) <= 3540);
	return 0;
}
