/* What is wrong with a document, for somebody who has its bytes at hand. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "wbxml/xml_parts.h"

enum { PATH_SHOWN = 8 }; /* the innermost elements */

/* Appends to a text that is cut where it does not fit. */
static void add(char *text, size_t size, const char *word)
{
	size_t len = strlen(text);

	snprintf(text + len, size - len, "%s", word);
}

/* " in AirSync:Sync/Collections"; "" outside the root. */
static void path_write(const struct wbxml_reader *reader, char *text, size_t size)
{
	uint32_t from = reader->depth > PATH_SHOWN ? reader->depth - PATH_SHOWN : 0;
	int page = -1;

	text[0] = '\0';
	if (reader->depth > 0)
		add(text, size, from > 0 ? ", in .../" : ", in ");
	for (uint32_t i = from; i < reader->depth; i++) {
		unsigned int id = wbxml_reader_open(reader, i);
		char name[XML_NAME_SIZE];

		if (i > from)
			add(text, size, "/");
		if (page != (int)(id >> 8)) {
			add(text, size, wbxml_page_name(id >> 8));
			add(text, size, ":");
		}
		page = (int)(id >> 8);
		add(text, size, xml_tag_name((uint16_t)id, name));
	}
}

/* "": there is nothing to add to the name of the fault. */
static const char *expectation(enum wbxml_fault fault, bool is_in_root)
{
	switch (fault) {
	case WBXML_FAULT_HEADER:
		return "expected 03 01 6a 00: WBXML 1.3, public id 1, UTF-8, no string table";
	case WBXML_FAULT_TRUNCATED:
		return is_in_root ? "expected content, or 01 for the end of an element"
				  : "expected a header and an element";
	case WBXML_FAULT_TRAILING: return "expected nothing after the root";
	case WBXML_FAULT_PAGE: return "expected a page from 00 to 19";
	case WBXML_FAULT_TOKEN:
		return is_in_root
			       ? "expected a tag, 00 and a page, 01, 03 and text, or c3 and opaque "
				 "data; after a page, a tag"
			       : "expected the tag of the root, or 00 and a page";
	case WBXML_FAULT_ATTRIBUTES: return "expected a tag without the bit 80";
	case WBXML_FAULT_OPAQUE: return "expected a length in its shortest form";
	case WBXML_FAULT_NONE:
	case WBXML_FAULT_TAG:
	case WBXML_FAULT_TEXT:
	case WBXML_FAULT_DEPTH:
	case WBXML_FAULT_ELEMENTS: break;
	}
	return "";
}

int xml_reader_error(const struct wbxml_reader *reader, struct span document, struct error *err)
{
	const char *expected = expectation(reader->fault, reader->depth > 0);
	uint64_t offset = wbxml_reader_offset(reader);
	char found[64] = "", path[256];

	path_write(reader, path, sizeof(path));
	if (offset < document.len) {
		unsigned int byte = document.data[offset];

		if (reader->fault == WBXML_FAULT_TAG)
			snprintf(found, sizeof(found), ": %02x, not one of code page %u (%s)", byte,
				reader->page, wbxml_page_name(reader->page));
		else
			snprintf(found, sizeof(found), ": %02x", byte);
	}
	return error_set(err, "byte %" PRIu64 " of the WBXML: %s%s%s%s%s", offset,
		wbxml_fault_text(reader->fault), found, expected[0] != '\0' ? "; " : "", expected,
		path);
}
