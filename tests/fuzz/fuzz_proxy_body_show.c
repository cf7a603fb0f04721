/* Any bytes as a body that is shown: what comes out is text, and within its bounds; and with all masks on,
 * nothing of a value that the masks know. */
#include <assert.h>

#include "proxy/body_show.h"
#include "wbxml/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTPUT_MAX = 1 << 18 };

static void check(struct span body, unsigned int redact, bool is_cut)
{
	const struct body_show_options options = {.redact = redact,
		.is_cut = is_cut,
		.may_be_text = is_cut,
		.output_max = OUTPUT_MAX};
	struct body_shown shown;
	struct span part;
	int result = body_show(body, &options, &shown);

	assert(shown.text.len <= OUTPUT_MAX);
	assert((result == 0) == (shown.fault.text[0] == '\0'));
	for (size_t i = 0; i < shown.text.len; i++)
		assert(shown.text.data[i] >= ' ' || shown.text.data[i] == '\t' ||
			shown.text.data[i] == '\n');
	for (uint32_t n = 0; body_part(body, n, &part) == 0 && n < 100; n++)
		assert(part.len == 0 ||
			(part.data >= body.data && part.data + part.len <= body.data + body.len));
	body_shown_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body = span_of(data, size);

	if (size > 1 << 14)
		return 0;
	check(body, 0, false);
	check(body, WBXML_REDACT_SECRETS | WBXML_REDACT_CONTENT, false);
	check(body, WBXML_REDACT_SECRETS | WBXML_REDACT_CONTENT, true);
	return 0;
}
