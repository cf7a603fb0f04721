/* Bodies looked into: the same is seen at once and in pieces, and its texts stay within their bounds.
 * The first three bytes say how large the pieces are, what is known beforehand, and the command. */
#include <stdlib.h>

#include "proxy/eas_body.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct eas_body *fed(
	const struct eas_body_terms *terms, const uint8_t *bytes, size_t len, size_t piece)
{
	struct eas_body *body = eas_body_new(terms);
	enum refusal refusal = REFUSAL_NONE;

	require(body != NULL);
	for (size_t at = 0; at < len && refusal == REFUSAL_NONE; at += piece)
		refusal = eas_body_feed(
			body, span_of(bytes + at, len - at < piece ? len - at : piece));
	require(refusal == REFUSAL_NONE || eas_body_end(body) == refusal);
	eas_body_end(body);
	return body;
}

static void require_text(const struct eas_body *body, uint16_t place)
{
	const char *text = eas_body_text(body, place);

	require(place == 0 || (place < body->texts_len && body->texts[place - 1] == '\0'));
	for (; *text != '\0'; text++)
		require((uint8_t)*text >= ' ' && *text != 0x7F);
}

static void require_sound(const struct eas_body *body)
{
	require(body->texts_len <= EAS_BODY_TEXTS_MAX && body->work == NULL);
	require(eas_body_memory(body) <= sizeof(*body) + body->texts_len);
	for (size_t i = 0; i < EAS_COLLECTIONS_NAMED; i++) {
		require_text(body, body->collections[i].id);
		require_text(body, body->collections[i].sync_key);
		require(body->collections[i].class <= EAS_CLASS_OTHER);
	}
	for (size_t i = 0; i < EAS_RECIPIENTS_NAMED; i++)
		require_text(body, body->recipients[i]);
	require(body->attachments_named <= EAS_ATTACHMENTS_NAMED);
	for (size_t i = 0; i < EAS_ATTACHMENTS_NAMED; i++) {
		require_text(body, body->attachments[i].name);
		require_text(body, body->attachments[i].type);
		require_text(body, body->attachments[i].reference);
		require(body->attachments[i].size <= body->largest_attachment);
	}
	for (size_t i = 0; i < EAS_INFO_COUNT; i++)
		require_text(body, body->device_info[i]);
	require((body->refusal == REFUSAL_NONE) == body->is_whole);
	require((body->refusal == REFUSAL_NONE) == (eas_body_fault_text(body) == NULL));
	require(eas_body_poll_time(EAS_PING, EAS_BODY_WBXML, body) <= 3540);
}

/* All facts; and where the texts lie, what they are. */
static void require_same(struct eas_body *a, struct eas_body *b)
{
	require(a->texts_len == b->texts_len);
	require(a->texts_len == 0 || memcmp(a->texts, b->texts, a->texts_len) == 0);
	free(a->texts);
	free(b->texts);
	a->texts = b->texts = NULL;
	a->texts_len = b->texts_len = a->texts_capacity = b->texts_capacity = 0;
	require(memcmp(a, b, sizeof(*a)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const unsigned int versions[] = {0, 25, 120, 121, 140, 141, 160, 161};
	static const enum eas_body_kind kinds[] = {
		EAS_BODY_WBXML, EAS_BODY_MIME, EAS_BODY_MULTIPART, EAS_BODY_WBXML};
	struct eas_body_terms terms = {.limits = {.depth = 32, .elements = 2000}};
	struct eas_body *whole, *pieces;

	if (len < 3 || len > 16000)
		return 0;
	terms.is_answer = (bytes[1] & 1) != 0;
	terms.is_strict = (bytes[1] & 2) != 0;
	terms.judges_nothing = (bytes[1] & 4) != 0;
	terms.kind = kinds[bytes[1] >> 3 & 3];
	terms.version = versions[bytes[1] >> 5];
	terms.command = (enum eas_command)(bytes[2] % (EAS_COMMAND_COUNT + 1));
	whole = fed(&terms, bytes + 3, len - 3, len);
	pieces = fed(&terms, bytes + 3, len - 3, 1u + bytes[0] % 16);
	require_sound(whole);
	require_sound(pieces);
	require_same(whole, pieces);
	eas_body_free(whole);
	eas_body_free(pieces);
	return 0;
}
