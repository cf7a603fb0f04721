#include "proxy/policy_xpath.h"

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <stdlib.h>
#include <string.h>

#include "wbxml/buffer.h"
#include "wbxml/xml.h"

enum {
	STEPS_MAX = 2000000, /* of libxml2's counting, for all expressions of one request */
	EXPANSION_MAX = 16,  /* XML is larger than its WBXML, but no more than that */
	TREE_ROOM = 64 * 1024
};

struct policy_xpath {
	xmlXPathCompExprPtr compiled;
};

struct policy_document {
	xmlDocPtr tree;
	xmlXPathContextPtr context;
	unsigned long steps; /* that are used up */
};

/* In the place of libxml2's own, which write to standard error. Its errors of XPath have a code alone. */
static void keep_error(void *user_data, xmlErrorPtr error)
{
	static const struct {
		int code;
		const char *text;
	} texts[] = {
		{XML_XPATH_UNDEF_PREFIX_ERROR, "a prefix that is none of the code pages, such as "
					       "airsync, email or calendar"},
		{XML_XPATH_UNKNOWN_FUNC_ERROR, "a function that XPath 1.0 does not have"},
		{XML_XPATH_UNDEF_VARIABLE_ERROR, "a variable; there are none"},
		{XML_XPATH_INVALID_ARITY, "a function with too many or too few arguments"},
		{XML_XPATH_INVALID_TYPE, "a value of the wrong type"},
		{XML_XPATH_UNFINISHED_LITERAL_ERROR, "a text whose quotes are not closed"},
		{XML_XPATH_UNCLOSED_ERROR, "a bracket that is not closed"},
		{XML_XPATH_EXPRESSION_OK + XPATH_OP_LIMIT_EXCEEDED, "it takes too many steps"},
		{XML_XPATH_MEMORY_ERROR, "out of memory"},
	};
	struct error *err = user_data;

	if (error == NULL || err == NULL)
		return;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (error->code == texts[i].code) {
			error_set(err, "%s", texts[i].text);
			return;
		}
	}
	error_set(err, "its grammar is broken");
}

static void ignore_message(void *context, const char *format, ...)
{
	(void)context;
	(void)format;
}

static int register_pages(xmlXPathContextPtr context)
{
	for (unsigned int page = 0; page < WBXML_PAGE_COUNT; page++) {
		const char *name = wbxml_page_name(page);
		char prefix[32];
		size_t i = 0;

		for (; name != NULL && name[i] != '\0' && i < sizeof(prefix) - 1; i++)
			prefix[i] =
				(char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
		prefix[i] = '\0';
		if (i > 0 && xmlXPathRegisterNs(context, BAD_CAST prefix, BAD_CAST name) != 0)
			return -1;
	}
	return 0;
}

static struct policy_document *document_of_tree(xmlDocPtr tree, struct error *err)
{
	struct policy_document *document = calloc(1, sizeof(*document));

	if (tree == NULL || document == NULL)
		goto fail;
	document->context = xmlXPathNewContext(tree);
	if (document->context == NULL || register_pages(document->context) != 0)
		goto fail;
	document->tree = tree;
	document->context->error = keep_error;
	return document;
fail:
	error_set(err, "making a tree of the document: out of memory");
	if (document != NULL && document->context != NULL)
		xmlXPathFreeContext(document->context);
	xmlFreeDoc(tree);
	free(document);
	return NULL;
}

struct policy_document *policy_document_new(
	struct span document, const struct wbxml_limits *limits, struct error *err)
{
	const struct wbxml_xml_options options = {.limits = *limits};
	struct wbxml_buffer xml = {.limit = EXPANSION_MAX * document.len + TREE_ROOM};
	xmlDocPtr tree = NULL;

	if (wbxml_to_xml(document, &options, &xml, err) == 0 && xml.len <= INT32_MAX) {
		tree = xmlReadMemory((const char *)xml.data, (int)xml.len, NULL, NULL,
			XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
		if (tree == NULL)
			error_set(err, "libxml2 does not take the document");
	}
	wbxml_buffer_free(&xml);
	return tree == NULL ? NULL : document_of_tree(tree, err);
}

void policy_document_free(struct policy_document *document)
{
	if (document == NULL)
		return;
	xmlXPathFreeContext(document->context);
	xmlFreeDoc(document->tree);
	free(document);
}

static bool is_true(const xmlXPathObject *value)
{
	switch (value->type) {
	case XPATH_NODESET: return value->nodesetval != NULL && value->nodesetval->nodeNr > 0;
	case XPATH_BOOLEAN: return value->boolval != 0;
	case XPATH_NUMBER: return value->floatval < 0 || value->floatval > 0; /* NaN is neither */
	case XPATH_STRING: return value->stringval != NULL && value->stringval[0] != '\0';
	default: return false;
	}
}

int policy_xpath_holds(
	const struct policy_xpath *xpath, struct policy_document *document, struct error *err)
{
	xmlXPathContextPtr context = document->context;
	xmlXPathObjectPtr value;
	int result;

	if (document->steps >= STEPS_MAX)
		return error_set(err, "XPath: too many steps");
	error_set(err, "XPath: out of memory");
	context->userData = err;
	context->opLimit = STEPS_MAX - document->steps;
	context->opCount = 0;
	context->node = (xmlNodePtr)document->tree;
	value = xmlXPathCompiledEval(xpath->compiled, context);
	document->steps += context->opCount;
	context->userData = NULL;
	if (value == NULL)
		return -1;
	result = is_true(value) ? 1 : 0;
	xmlXPathFreeObject(value);
	return result;
}

/* Prefixes, functions and variables are only looked at when they are come upon: over a document that
 * has next to nothing. */
static int try_out(struct policy_xpath *xpath, struct error *err)
{
	xmlDocPtr tree = xmlNewDoc(BAD_CAST "1.0");
	xmlNodePtr root = tree == NULL ? NULL : xmlNewNode(NULL, BAD_CAST "none");
	struct policy_document *document;
	int result;

	if (root != NULL)
		xmlDocSetRootElement(tree, root);
	document = document_of_tree(tree, err);
	if (document == NULL)
		return -1;
	result = policy_xpath_holds(xpath, document, err);
	policy_document_free(document);
	return result == -1 ? -1 : 0;
}

static xmlXPathCompExprPtr compile(const char *text, struct error *err)
{
	xmlXPathContextPtr context = xmlXPathNewContext(NULL);
	xmlXPathCompExprPtr compiled;

	error_set(err, "out of memory");
	if (context == NULL)
		return NULL;
	context->error = keep_error;
	context->userData = err;
	compiled = xmlXPathCtxtCompile(context, BAD_CAST text);
	xmlXPathFreeContext(context);
	return compiled;
}

struct policy_xpath *policy_xpath_new(const char *text, struct error *err)
{
	struct policy_xpath *xpath = calloc(1, sizeof(*xpath));
	struct error cause;

	xmlInitParser();
	xmlSetGenericErrorFunc(NULL, ignore_message);
	if (xpath == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	xpath->compiled = compile(text, &cause);
	if (xpath->compiled != NULL && try_out(xpath, &cause) == 0)
		return xpath;
	error_set(err, "'%.100s' is not an XPath: %.200s", text, cause.text);
	policy_xpath_free(xpath);
	return NULL;
}

void policy_xpath_free(struct policy_xpath *xpath)
{
	if (xpath == NULL)
		return;
	if (xpath->compiled != NULL)
		xmlXPathFreeCompExpr(xpath->compiled);
	free(xpath);
}
