/* Autodiscover: requests of phones, answers of endpoints, and queries of the second version. The first
 * byte says which. */
#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "proxy/autodiscover.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void fuzz_request(struct span document)
{
	char address[IDENTITY_ADDRESS_MAX + 1];
	struct error err;
	enum autodiscover_fault fault = autodiscover_read(document, address, &err);

	require((fault == AUTODISCOVER_NO_FAULT) == (address[0] != '\0'));
	require(fault != AUTODISCOVER_NO_FAULT ||
		address_is_sound(span_of_string(address), ADDRESS_UTF8));
}

/* What was read can be written, and says the same when it is read again. */
static void fuzz_answer(struct span document)
{
	struct autodiscover_forwarded first, second;
	struct wbxml_buffer out = {.limit = 16 * 1024};
	struct autodiscover_answer answer = {.url = "https://a.test/"};
	struct error err;

	if (autodiscover_read_answer(document, &first, &err) != 0)
		return;
	answer.address = first.address[0] != '\0' ? first.address : NULL;
	answer.display_name = first.display_name[0] != '\0' ? first.display_name : NULL;
	answer.redirect = first.redirect[0] != '\0' ? first.redirect : NULL;
	answer.fault = first.fault;
	require(autodiscover_write(&answer, &out) == 0);
	require(autodiscover_read_answer(span_of(out.data, out.len), &second, &err) == 0);
	require(first.fault == second.fault);
	require(first.fault == AUTODISCOVER_INVALID || first.fault == AUTODISCOVER_PROVIDER ||
		strcmp(first.address, second.address) == 0);
	wbxml_buffer_free(&out);
}

static void fuzz_json(struct span query)
{
	char json[AUTODISCOVER_JSON_MAX];
	unsigned int status = autodiscover_write_json(query, "https://a.test", json);

	require(status == 200 || status == 400);
	require(strlen(json) < sizeof(json) && json[0] == '{');
	autodiscover_is_json_path(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len == 0)
		return 0;
	switch (bytes[0]) {
	case 'a': fuzz_answer(span_of(bytes + 1, len - 1)); break;
	case 'j': fuzz_json(span_of(bytes + 1, len - 1)); break;
	default: fuzz_request(span_of(bytes + 1, len - 1)); break;
	}
	return 0;
}
