#include "wbxml/xml_parse.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>

#include "wbxml/buffer.h"
#include "wbxml/codepages.h"
#include "wbxml/xml_parts.h"

/* libxml2 looks at no more than this at once, whatever the length of the document. */
enum { PARSE_CHUNK = 32768 };

struct parse {
	xmlParserCtxtPtr parser;
	const struct xml_parse_options *options;
	const struct xml_sink *sink;
	struct wbxml_limits limits;
	struct wbxml_buffer text; /* since the last tag */
	uint32_t depth, elements;
	uint64_t has_child, is_opaque; /* of each open element, one bit a level */
	bool has_failed;
	struct error *err;
};

/* The first fault counts; nothing is parsed after it. */
static void parse_fail(struct parse *parse, const char *what)
{
	if (!parse->has_failed)
		error_set(parse->err, "line %d: %s", xmlSAX2GetLineNumber(parse->parser), what);
	parse->has_failed = true;
	xmlStopParser(parse->parser);
}

static void parse_sink_failed(struct parse *parse, const struct error *cause)
{
	parse_fail(parse, cause->text);
}

static bool is_layout(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!xml_is_space(text.data[i]))
			return false;
	return true;
}

/* The text in front of a tag is whole now. */
static void parse_flush(struct parse *parse, bool is_beside_child)
{
	struct span text = span_of(parse->text.data, parse->text.len);
	struct error cause;

	parse->text.len = 0;
	if (text.len == 0 || (is_beside_child && is_layout(text)) || parse->sink == NULL)
		return;
	if (parse->sink->text(parse->sink->context, text, &cause) != 0)
		parse_sink_failed(parse, &cause);
}

static int parse_page(const struct parse *parse, const char *space)
{
	if (space == NULL)
		return -1;
	if (parse->options->dialect == WBXML_DIALECT_LIBWBXML &&
		strcmp(space, WBXML_LIBWBXML_GAL) == 0)
		return WBXML_GAL_DISPLAYNAME >> 8;
	return wbxml_page_find(space, strlen(space));
}

static bool is_value(struct span value, const char *text)
{
	return span_equal(value, span_of_string(text));
}

/* What is wrong with an attribute, or NULL. */
static const char *parse_attribute(const char *name, struct span value, enum xml_opaque *opaque)
{
	if (strcmp(name, "masked") == 0)
		return "a masked value, of which the bytes are not there: decode the document with "
		       "--show-secrets";
	if (strcmp(name, "opaque") != 0)
		return "an attribute, which ActiveSync does not have";
	if (is_value(value, "base64"))
		*opaque = XML_OPAQUE_BASE64;
	else if (is_value(value, "text"))
		*opaque = XML_OPAQUE_TEXT;
	else if (is_value(value, "lines"))
		*opaque = XML_OPAQUE_LINES;
	else
		return "an attribute w:opaque that is not base64, text or lines";
	return NULL;
}

/* libxml2 gives five pointers an attribute: name, prefix, namespace, value, end of value. */
static const char *parse_attributes(
	struct parse *parse, int count, const xmlChar **attributes, enum xml_opaque *opaque)
{
	const char *wrong = NULL;

	*opaque = XML_OPAQUE_NONE;
	for (int i = 0; i < count && wrong == NULL; i++, attributes += 5) {
		struct span value = span_of(attributes[3], (size_t)(attributes[4] - attributes[3]));

		if (parse->options->dialect != WBXML_DIALECT_EXACT || attributes[2] == NULL ||
			strcmp((const char *)attributes[2], WBXML_OPAQUE_NAMESPACE) != 0)
			return "an attribute, which ActiveSync does not have";
		wrong = parse_attribute((const char *)attributes[0], value, opaque);
	}
	return wrong;
}

static void parse_enter(
	struct parse *parse, unsigned int page, const xmlChar *name, enum xml_opaque opaque)
{
	uint64_t self;
	struct error cause;

	parse->has_child |= xml_level_bit(parse->depth);
	parse->elements++;
	self = xml_level_bit(++parse->depth);
	parse->has_child &= ~self;
	parse->is_opaque =
		opaque != XML_OPAQUE_NONE ? parse->is_opaque | self : parse->is_opaque & ~self;
	if (parse->sink != NULL && parse->sink->start(parse->sink->context, page,
					   (const char *)name, opaque, &cause) != 0)
		parse_sink_failed(parse, &cause);
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix,
	const xmlChar *space, int namespace_count, const xmlChar **namespaces, int attribute_count,
	int defaulted, const xmlChar **attributes)
{
	struct parse *parse = context;
	enum xml_opaque opaque;
	const char *wrong;
	int page;

	(void)prefix, (void)namespace_count, (void)namespaces, (void)defaulted;
	if (parse->has_failed)
		return;
	page = parse_page(parse, (const char *)space);
	parse_flush(parse, true);
	if (parse->has_failed)
		return;
	if (parse->depth >= parse->limits.depth)
		parse_fail(parse, "elements nested too deep");
	else if (parse->elements >= parse->limits.elements)
		parse_fail(parse, "too many elements");
	else if ((parse->is_opaque & xml_level_bit(parse->depth)) != 0)
		parse_fail(parse, "an element inside opaque data");
	else if (page == -1)
		parse_fail(parse, space == NULL ? "an element without a namespace"
						: "a namespace that is no code page of ActiveSync");
	else if ((wrong = parse_attributes(parse, attribute_count, attributes, &opaque)) != NULL)
		parse_fail(parse, wrong);
	else
		parse_enter(parse, (unsigned int)page, name, opaque);
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *space)
{
	struct parse *parse = context;
	struct error cause;

	(void)name, (void)prefix, (void)space;
	if (parse->has_failed)
		return;
	parse_flush(parse, (parse->has_child & xml_level_bit(parse->depth)) != 0);
	parse->depth--;
	if (!parse->has_failed && parse->sink != NULL &&
		parse->sink->end(parse->sink->context, &cause) != 0)
		parse_sink_failed(parse, &cause);
}

static void on_text(void *context, const xmlChar *text, int len)
{
	struct parse *parse = context;

	if (parse->has_failed || len <= 0)
		return;
	wbxml_buffer_append(&parse->text, text, (size_t)len);
	if (parse->text.has_failed)
		parse_fail(parse, "out of memory");
}

static void on_doctype(
	void *context, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
	struct parse *parse = context;

	(void)name, (void)public_id, (void)system_id;
	if (parse->options->dialect != WBXML_DIALECT_LIBWBXML)
		parse_fail(parse, "a DOCTYPE, which is not accepted here");
}

static void on_entity(void *context, const xmlChar *name, int type, const xmlChar *public_id,
	const xmlChar *system_id, xmlChar *content)
{
	(void)name, (void)type, (void)public_id, (void)system_id, (void)content;
	parse_fail(context, "a declaration of an entity");
}

static void on_element_declaration(
	void *context, const xmlChar *name, int type, xmlElementContentPtr content)
{
	(void)name, (void)type, (void)content;
	parse_fail(context, "a declaration of an element");
}

static void on_attribute_declaration(void *context, const xmlChar *element, const xmlChar *name,
	int type, int kind, const xmlChar *value, xmlEnumerationPtr tree)
{
	(void)element, (void)name, (void)type, (void)kind, (void)value;
	xmlFreeEnumeration(tree);
	parse_fail(context, "a declaration of an attribute");
}

static void on_notation(
	void *context, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
	(void)name, (void)public_id, (void)system_id;
	parse_fail(context, "a declaration of a notation");
}

static void on_unparsed_entity(void *context, const xmlChar *name, const xmlChar *public_id,
	const xmlChar *system_id, const xmlChar *notation)
{
	(void)name, (void)public_id, (void)system_id, (void)notation;
	parse_fail(context, "a declaration of an entity");
}

static void on_reference(void *context, const xmlChar *name)
{
	(void)name;
	parse_fail(context, "an entity that XML does not define by itself");
}

static void on_instruction(void *context, const xmlChar *target, const xmlChar *data)
{
	(void)target, (void)data;
	parse_fail(context, "a processing instruction");
}

/* Namespaces that are no full URI ("AirSync:") are only complained about; what is not XML ends it. */
static void on_error(void *context, xmlErrorPtr error)
{
	struct parse *parse = context;
	char what[128];

	if (error->level != XML_ERR_FATAL || parse->has_failed)
		return;
	snprintf(what, sizeof(what), "%s", error->message != NULL ? error->message : "not XML");
	what[strcspn(what, "\n")] = '\0';
	parse_fail(parse, what);
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

static void parse_chunks(struct parse *parse, struct span document)
{
	for (size_t at = 0; at < document.len && !parse->has_failed; at += PARSE_CHUNK) {
		size_t len = document.len - at < PARSE_CHUNK ? document.len - at : PARSE_CHUNK;

		xmlParseChunk(parse->parser, (const char *)document.data + at, (int)len, 0);
	}
	if (!parse->has_failed)
		xmlParseChunk(parse->parser, NULL, 0, 1);
	if (!parse->parser->wellFormed && !parse->has_failed)
		parse_fail(parse, "not XML");
}

int xml_parse(struct span document, const struct xml_parse_options *options,
	const struct xml_sink *sink, struct error *err)
{
	struct parse parse = {
		.options = options,
		.sink = sink,
		.limits = wbxml_limits_complete(&options->limits),
		.text = {.limit = document.len},
		.err = err,
	};
	xmlSAXHandler copy = handlers;

	parse.parser = xmlCreatePushParserCtxt(&copy, &parse, NULL, 0, NULL);
	if (parse.parser == NULL)
		return error_set(err, "out of memory");
	xmlCtxtUseOptions(parse.parser, XML_PARSE_NONET);
	parse_chunks(&parse, document);
	/* A handler that libxml2's own tree building would have used may have left a document. */
	if (parse.parser->myDoc != NULL)
		xmlFreeDoc(parse.parser->myDoc);
	xmlFreeParserCtxt(parse.parser);
	wbxml_buffer_free(&parse.text);
	return parse.has_failed ? -1 : 0;
}
