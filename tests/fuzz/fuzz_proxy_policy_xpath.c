/* A document that rules look into by XPath: what our reader takes is made into a tree, and every expression
 * has a value of it, or takes too many steps. */
#include <stdlib.h>

#include "proxy/policy_xpath.h"
#include "wbxml/xml.h"

static const char *const expressions[] = {
	"//email:Subject[contains(., 'secret')]",
	"number(//airsync:WindowSize) > 100",
	"//*[not(*)][string-length(.) > 20]",
	"count(//airsync:Collection[airsync:CollectionId = preceding::airsync:CollectionId])",
	"translate(normalize-space(string(//text())), 'abc', 'xyz')",
};

enum { COUNT = sizeof(expressions) / sizeof(expressions[0]) };

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct wbxml_limits limits = {.depth = 32, .elements = 2000};
	static struct policy_xpath *compiled[COUNT];
	struct policy_document *document;
	struct error err;

	for (size_t i = 0; i < COUNT && compiled[COUNT - 1] == NULL; i++) {
		compiled[i] = policy_xpath_new(expressions[i], &err);
		require(compiled[i] != NULL);
	}
	document = policy_document_new(span_of(data, size), &limits, &err);
	for (size_t i = 0; document != NULL && i < COUNT; i++) {
		int holds = policy_xpath_holds(compiled[i], document, &err);

		require(holds >= -1 && holds <= 1);
	}
	policy_document_free(document);
	return 0;
}
