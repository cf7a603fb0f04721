#include "wbxml/xml_parse.h"

#include <string.h>

#include "wbxml/codepages.h"
#include "wbxml/xml_parts.h"
#include "wbxml/xml_reading.h"

struct parse {
	struct xml_reading reading; /* has to be the first */
	const struct xml_parse_options *options;
	const struct xml_sink *sink;
	struct wbxml_limits limits;
	uint32_t depth, elements;
	uint64_t has_child, is_opaque; /* of each open element, one bit a level */
};

static void parse_sink_failed(struct parse *parse, const struct error *cause)
{
	xml_reading_fail(&parse->reading, cause->text);
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
	struct span text = span_of(parse->reading.text.data, parse->reading.text.len);
	struct error cause;

	parse->reading.text.len = 0;
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
	if (parse->reading.has_failed)
		return;
	page = parse_page(parse, (const char *)space);
	parse_flush(parse, true);
	if (parse->reading.has_failed)
		return;
	if (parse->depth >= parse->limits.depth)
		xml_reading_fail(&parse->reading, "elements nested too deep");
	else if (parse->elements >= parse->limits.elements)
		xml_reading_fail(&parse->reading, "too many elements");
	else if ((parse->is_opaque & xml_level_bit(parse->depth)) != 0)
		xml_reading_fail(&parse->reading, "an element inside opaque data");
	else if (page == -1)
		xml_reading_fail(&parse->reading,
			space == NULL ? "an element without a namespace"
				      : "a namespace that is no code page of ActiveSync");
	else if ((wrong = parse_attributes(parse, attribute_count, attributes, &opaque)) != NULL)
		xml_reading_fail(&parse->reading, wrong);
	else
		parse_enter(parse, (unsigned int)page, name, opaque);
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *space)
{
	struct parse *parse = context;
	struct error cause;

	(void)name, (void)prefix, (void)space;
	if (parse->reading.has_failed)
		return;
	parse_flush(parse, (parse->has_child & xml_level_bit(parse->depth)) != 0);
	parse->depth--;
	if (!parse->reading.has_failed && parse->sink != NULL &&
		parse->sink->end(parse->sink->context, &cause) != 0)
		parse_sink_failed(parse, &cause);
}

int xml_parse(struct span document, const struct xml_parse_options *options,
	const struct xml_sink *sink, struct error *err)
{
	struct parse parse = {
		.reading = {.may_have_doctype = options->dialect == WBXML_DIALECT_LIBWBXML,
			.err = err},
		.options = options,
		.sink = sink,
		.limits = wbxml_limits_complete(&options->limits),
	};

	return xml_reading_run(&parse.reading, on_start, on_end, 0, document);
}
