#include "proxy/xml_walk.h"

#include "wbxml/utf8.h"
#include "wbxml/xml_reading.h"

struct walk {
	struct xml_reading reading; /* has to be the first */
	const struct xml_walk_limits *limits;
	const struct xml_walk_calls *calls;
	void *context;
	unsigned int depth, elements;
};

static void walk_settle(struct walk *walk, int status, const struct error *cause)
{
	if (status != 0)
		xml_reading_fail(&walk->reading, cause->text);
}

/* The text in front of a tag is whole now. */
static void walk_flush(struct walk *walk)
{
	struct span text = span_of(walk->reading.text.data, walk->reading.text.len);
	struct error cause;

	walk->reading.text.len = 0;
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
	if (walk->reading.has_failed)
		return;
	walk_flush(walk);
	if (walk->reading.has_failed)
		return;
	if (walk->depth >= walk->limits->depth) {
		xml_reading_fail(&walk->reading, "elements nested too deep");
	} else if (walk->elements >= walk->limits->elements) {
		xml_reading_fail(&walk->reading, "too many elements");
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
	if (walk->reading.has_failed)
		return;
	walk_flush(walk);
	if (walk->reading.has_failed)
		return;
	walk->depth--;
	walk_settle(walk, walk->calls->end(walk->context, &cause), &cause);
}

/* Another encoding than UTF-8 would have libxml2 ask iconv, which loads files that a worker's sandbox
 * does not let it open. */
static bool is_utf8(struct span document)
{
	uint8_t state = UTF8_WHOLE;
	const uint8_t *end = document.data + document.len;

	return utf8_scan(document.data, end, &state) == end && state == UTF8_WHOLE;
}

int xml_walk(struct span document, const struct xml_walk_limits *limits,
	const struct xml_walk_calls *calls, void *context, struct error *err)
{
	struct walk walk = {
		.reading = {.may_have_doctype = limits->may_have_doctype, .err = err},
		.limits = limits,
		.calls = calls,
		.context = context,
	};

	if (document.len == 0)
		return error_set(err, "it is empty");
	if (document.len > limits->size)
		return error_set(err, "it has more than %zu bytes", limits->size);
	if (!is_utf8(document))
		return error_set(err, "it is not XML in UTF-8");
	return xml_reading_run(&walk.reading, on_start, on_end, XML_PARSE_IGNORE_ENC, document);
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
