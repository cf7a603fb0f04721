#include "wbxml/xml_reading.h"

#include <libxml/SAX2.h>
#include <stdio.h>
#include <string.h>

/* libxml2 looks at no more than this at once, whatever the length of the document. */
enum { PIECE = 32 * 1024 };

void xml_reading_fail(struct xml_reading *reading, const char *what)
{
	if (!reading->has_failed)
		error_set(reading->err, "line %d: %s", xmlSAX2GetLineNumber(reading->parser), what);
	reading->has_failed = true;
	xmlStopParser(reading->parser);
}

static void on_text(void *context, const xmlChar *text, int len)
{
	struct xml_reading *reading = context;

	if (reading->has_failed || len <= 0)
		return;
	wbxml_buffer_append(&reading->text, text, (size_t)len);
	if (reading->text.has_failed)
		xml_reading_fail(reading, "out of memory");
}

static void on_doctype(
	void *context, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
	struct xml_reading *reading = context;

	(void)name, (void)public_id, (void)system_id;
	if (!reading->may_have_doctype)
		xml_reading_fail(reading, "a DOCTYPE, which is not accepted here");
}

static void on_entity(void *context, const xmlChar *name, int type, const xmlChar *public_id,
	const xmlChar *system_id, xmlChar *content)
{
	(void)name, (void)type, (void)public_id, (void)system_id, (void)content;
	xml_reading_fail(context, "a declaration of an entity");
}

static void on_element_declaration(
	void *context, const xmlChar *name, int type, xmlElementContentPtr content)
{
	(void)name, (void)type, (void)content;
	xml_reading_fail(context, "a declaration of an element");
}

static void on_attribute_declaration(void *context, const xmlChar *element, const xmlChar *name,
	int type, int kind, const xmlChar *value, xmlEnumerationPtr tree)
{
	(void)element, (void)name, (void)type, (void)kind, (void)value;
	xmlFreeEnumeration(tree);
	xml_reading_fail(context, "a declaration of an attribute");
}

static void on_notation(
	void *context, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
	(void)name, (void)public_id, (void)system_id;
	xml_reading_fail(context, "a declaration of a notation");
}

static void on_unparsed_entity(void *context, const xmlChar *name, const xmlChar *public_id,
	const xmlChar *system_id, const xmlChar *notation)
{
	(void)name, (void)public_id, (void)system_id, (void)notation;
	xml_reading_fail(context, "a declaration of an entity");
}

static void on_reference(void *context, const xmlChar *name)
{
	(void)name;
	xml_reading_fail(context, "an entity that XML does not define by itself");
}

static void on_instruction(void *context, const xmlChar *target, const xmlChar *data)
{
	(void)target, (void)data;
	xml_reading_fail(context, "a processing instruction");
}

/* Namespaces that are no full URI ("AirSync:") are only complained about; what is not XML ends it. */
static void on_error(void *context, xmlErrorPtr error)
{
	struct xml_reading *reading = context;
	char what[128];

	if (error->level != XML_ERR_FATAL || reading->has_failed)
		return;
	snprintf(what, sizeof(what), "%s", error->message != NULL ? error->message : "not XML");
	what[strcspn(what, "\n")] = '\0';
	xml_reading_fail(reading, what);
}

static const xmlSAXHandler handlers = {
	.initialized = XML_SAX2_MAGIC,
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

static void read_pieces(struct xml_reading *reading, struct span document)
{
	for (size_t at = 0; at < document.len && !reading->has_failed; at += PIECE) {
		size_t len = document.len - at < PIECE ? document.len - at : PIECE;

		xmlParseChunk(reading->parser, (const char *)document.data + at, (int)len, 0);
	}
	if (!reading->has_failed)
		xmlParseChunk(reading->parser, NULL, 0, 1);
	if (!reading->parser->wellFormed && !reading->has_failed)
		xml_reading_fail(reading, "not XML");
}

int xml_reading_run(struct xml_reading *reading, startElementNsSAX2Func start,
	endElementNsSAX2Func end, int options, struct span document)
{
	xmlSAXHandler all = handlers;

	all.startElementNs = start;
	all.endElementNs = end;
	reading->text.limit = document.len;
	reading->parser = xmlCreatePushParserCtxt(&all, reading, NULL, 0, NULL);
	if (reading->parser == NULL)
		return error_set(reading->err, "out of memory");
	xmlCtxtUseOptions(reading->parser, XML_PARSE_NONET | options);
	read_pieces(reading, document);
	/* A handler that libxml2's own tree building would have used may have left a document. */
	if (reading->parser->myDoc != NULL)
		xmlFreeDoc(reading->parser->myDoc);
	xmlFreeParserCtxt(reading->parser);
	wbxml_buffer_free(&reading->text);
	return reading->has_failed ? -1 : 0;
}
