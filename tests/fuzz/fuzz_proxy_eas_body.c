/* Bodies looked into: the same is seen at once and in pieces. The first byte says how large these
 * are. */
#include <stdlib.h>

#include "proxy/eas_body.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct eas_body *fed(const uint8_t *bytes, size_t len, size_t piece, enum refusal *refusal)
{
	static const struct eas_body_terms terms = {.limits = {.depth = 32, .elements = 2000},
		.kind = EAS_BODY_WBXML,
		.command = EAS_NO_COMMAND};
	struct eas_body *body = eas_body_new(&terms);

	require(body != NULL);
	*refusal = REFUSAL_NONE;
	for (size_t at = 0; at < len && *refusal == REFUSAL_NONE; at += piece)
		*refusal = eas_body_feed(
			body, span_of(bytes + at, len - at < piece ? len - at : piece));
	*refusal = eas_body_end(body);
	return body;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct eas_body *whole, *pieces;
	enum refusal refusal, other;

	if (len < 1 || len > 16000)
		return 0;
	whole = fed(bytes + 1, len - 1, len, &refusal);
	pieces = fed(bytes + 1, len - 1, 1u + bytes[0] % 16, &other);
	require(refusal == other);
	require(refusal == REFUSAL_NONE || refusal == REFUSAL_WBXML_MALFORMED ||
		refusal == REFUSAL_WBXML_LIMIT);
	require(whole->root == pieces->root && whole->status == pieces->status &&
		whole->heartbeat_s == pieces->heartbeat_s &&
		whole->collection_count == pieces->collection_count &&
		eas_body_items(whole) == eas_body_items(pieces) &&
		whole->has_more == pieces->has_more && whole->is_partial == pieces->is_partial &&
		whole->provision_policy_key == pieces->provision_policy_key);
	require(memcmp(whole->collections, pieces->collections, sizeof(whole->collections)) == 0);
	require(whole->texts_len == pieces->texts_len && whole->texts_len <= EAS_BODY_TEXTS_MAX);
	require(whole->texts_len == 0 ||
		memcmp(whole->texts, pieces->texts, whole->texts_len) == 0);
	require(eas_body_poll_time(EAS_PING, EAS_BODY_WBXML, whole) <= 3540);
	eas_body_free(whole);
	eas_body_free(pieces);
	return 0;
}
