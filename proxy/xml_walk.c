#include "proxy/xml_walk.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>

#include "wbxml/buffer.h"
#include "wbxml/utf8.h"

/* libxml2 looks at no more than this at once, whatever the length of the document. */
enum { PIECE = 16 * 1024 };

struct walk {
	xmlParserCtxtPtr parser;
	const struct xml_walk_limits *limits;
	const struct xml_walk_calls *calls;
	void *context;
	struct wbxml_buffer text; /* since the last tag */
	unsigned int depth, elements;
	bool has_failed;
	struct error *err;
};

/* The first fault counts; nothing is parsed after it. */
static void walk_fail(struct walk *walk, const char *what)
{
	if (!walk->has_failed)
		error_set(walk->err, "line %d: %s", xmlSAX2GetLineNumber(walk->parser), what);
	walk->has_failed = true;
	xmlStopParser(walk->parser);
}

static void walk_settle(struct walk *walk, int status, const struct error *cause)
{
	if (status != 0)
		walk_fail(walk, cause->text);
}

/* The text in front of a tag is whole now. */
static void walk_flush(struct walk *walk)
{
	struct span text = span_of(walk->text.data, walk->text.len);
	struct error cause;

	walk->text.len = 0;
	if (text.len > 0)
		walk_settle(walk, walk->calls->text(walk->context, text, &cause), &cause);
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix,
	const xmlChar *space, int namespace_count, const xmlChar **namespaces, int attribute_count,
	int defaulted, const xmlChar **attributes)
{
	struct walk *walk = context;
	struct error cause;

	(void)prefix, (void)namespace_count, (void)namespaces, (void)attribute_count;
	(void)defaulted, (void)attributes;
	if (walk->has_failed)
		return;
	walk_flush(walk);
	if (walk->has_failed)
		return;
	if (walk->depth >= walk->limits->depth) {
		walk_fail(walk, "elements nested too deep");
	} else if (walk->elements >= walk->limits->elements) {
		walk_fail(walk, "too many elements");
	} else {
		walk->depth++;
		walk->elements++;
		walk_settle(walk,
			walk->calls->start(
				walk->context, (const char *)space, (const char *)name, &cause),
			&cause);
	}
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *space)
{
	struct walk *walk = context;
	struct error cause;

	(void)name, (void)prefix, (void)space;
	if (walk->has_failed)
		return;
	walk_flush(walk);
	if (walk->has_failed)
		return;
	walk->depth--;
	walk_settle(walk, walk->calls->end(walk->context, &cause), &cause);
}

static void on_text(void *context, const xmlChar *text, int len)
{
	struct walk *walk = context;

	if (walk->has_failed || len <= 0)
		return;
	wbxml_buffer_append(&walk->text, text, (size_t)len);
	if (walk->text.has_failed)
		walk_fail(walk, "out of memory");
}

static void on_doctype(
	void *context, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
	struct walk *walk = context;

	(void)name, (void)public_id, (void)system_id;
	if (!walk->limits->may_have_doctype)
		walk_fail(walk, "a DOCTYPE, which is not accepted here");
}

static void on_entity(void *context, const xmlChar *name, int type, const xmlChar *public_id,
	const xmlChar *system_id, xmlChar *content)
{
	(void)name, (void)type, (void)public_id, (void)system_id, (void)content;
	walk_fail(context, "a declaration of an entity");
}

static void on_element_declaration(
	void *context, const xmlChar *name, int type, xmlElementContentPtr content)
{
	(void)name, (void)type, (void)content;
	walk_fail(context, "a declaration of an element");
}

static void on_attribute_declaration(void *context, const xmlChar *element, const xmlChar *name,
	int type, int kind, const xmlChar *value, xmlEnumerationPtr tree)
{
	(void)element, (void)name, (void)type, (void)kind, (void)value;
	xmlFreeEnumeration(tree);
	walk_fail(context, "a declaration of an attribute");
}

static void on_notation(
	void *context, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
	(void)name, (void)public_id, (void)system_id;
	walk_fail(context, "a declaration of a notation");
}

static void on_unparsed_entity(void *context, const xmlChar *name, const xmlChar *public_id,
	const xmlChar *system_id, const xmlChar *notation)
{
	(void)name, (void)public_id, (void)system_id, (void)notation;
	walk_fail(context, "a declaration of an entity");
}

static void on_reference(void *context, const xmlChar *name)
{
	(void)name;
	walk_fail(context, "an entity that XML does not define by itself");
}

static void on_instruction(void *context, const xmlChar *target, const xmlChar *data)
{
	(void)target, (void)data;
	walk_fail(context, "a processing instruction");
}

static void on_error(void *context, xmlErrorPtr error)
{
	struct walk *walk = context;
	char what[128];

	if (error->level != XML_ERR_FATAL || walk->has_failed)
		return;
	snprintf(what, sizeof(what), "%s", error->message != NULL ? error->message : "not XML");
	what[strcspn(what, "\n")] = '\0';
	walk_fail(walk, what);
}

static const xmlSAXHandler handlers = {
	.initialized = XML_SAX2_MAGIC,
	.startElementNs = on_start,
	.endElementNs = on_end,
	.characters = on_text,
	.ignorableWhitespace = on_text,
	.cdataBlock = on_text,
	.internalSubset = on_doctype,
	.entityDecl = on_entity,
	.elementDecl = on_element_declaration,
	.attributeDecl = on_attribute_declaration,
	.notationDecl = on_notation,
	.unparsedEntityDecl = on_unparsed_entity,
	.reference = on_reference,
	.processingInstruction = on_instruction,
	.serror = on_error,
};

/* Another encoding than UTF-8 would have libxml2 ask iconv, which loads files that a worker's sandbox
 * does not let it open. */
static bool is_utf8(struct span document)
{
	uint8_t state = UTF8_WHOLE;
	const uint8_t *end = document.data + document.len;

	return utf8_scan(document.data, end, &state) == end && state == UTF8_WHOLE;
}

static void walk_pieces(struct walk *walk, struct span document)
{
	for (size_t at = 0; at < document.len && !walk->has_failed; at += PIECE) {
		size_t len = document.len - at < PIECE ? document.len - at : PIECE;

		xmlParseChunk(walk->parser, (const char *)document.data + at, (int)len, 0);
	}
	if (!walk->has_failed)
		xmlParseChunk(walk->parser, NULL, 0, 1);
	if (!walk->parser->wellFormed && !walk->has_failed)
		walk_fail(walk, "not XML");
}

int xml_walk(struct span document, const struct xml_walk_limits *limits,
	const struct xml_walk_calls *calls, void *context, struct error *err)
{
	struct walk walk = {
		.limits = limits,
		.calls = calls,
		.context = context,
		.text = {.limit = document.len},
		.err = err,
	};
	xmlSAXHandler copy = handlers;

	if (document.len == 0)
		return error_set(err, "it is empty");
	if (document.len > limits->size)
		return error_set(err, "it has more than %zu bytes", limits->size);
	if (!is_utf8(document))
		return error_set(err, "it is not XML in UTF-8");
	walk.parser = xmlCreatePushParserCtxt(&copy, &walk, NULL, 0, NULL);
	if (walk.parser == NULL)
		return error_set(err, "out of memory");
	xmlCtxtUseOptions(walk.parser, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
	walk_pieces(&walk, document);
	/* A handler that libxml2's own tree building would have used may have left a document. */
	if (walk.parser->myDoc != NULL)
		xmlFreeDoc(walk.parser->myDoc);
	xmlFreeParserCtxt(walk.parser);
	wbxml_buffer_free(&walk.text);
	return walk.has_failed ? -1 : 0;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span xml_walk_trim(struct span text)
{
	while (text.len > 0 && is_space(text.data[0]))
		text = span_of(text.data + 1, text.len - 1);
	while (text.len > 0 && is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}
