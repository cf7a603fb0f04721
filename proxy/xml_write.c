#include "proxy/xml_write.h"

bool xml_write_begin(struct xml_writing *writing)
{
	*writing = (struct xml_writing){.buffer = xmlBufferCreate()};
	if (writing->buffer != NULL)
		writing->writer = xmlNewTextWriterMemory(writing->buffer, 0);
	writing->has_failed = writing->writer == NULL;
	return !writing->has_failed;
}

int xml_write_end(struct xml_writing *writing, struct wbxml_buffer *out)
{
	xmlBufferPtr buffer = writing->buffer;

	if (writing->writer != NULL)
		xmlFreeTextWriter(writing->writer); /* writes what it still has */
	if (!writing->has_failed)
		wbxml_buffer_append(out, xmlBufferContent(buffer), (size_t)xmlBufferLength(buffer));
	xmlBufferFree(buffer);
	return writing->has_failed || out->has_failed ? -1 : 0;
}

void xml_write_check(struct xml_writing *writing, int written)
{
	writing->has_failed |= written < 0;
}

void xml_element_begin(struct xml_writing *writing, const char *name)
{
	xml_write_check(writing, xmlTextWriterStartElement(writing->writer, BAD_CAST name));
}

void xml_element_end(struct xml_writing *writing)
{
	xml_write_check(writing, xmlTextWriterEndElement(writing->writer));
}

void xml_attribute(struct xml_writing *writing, const char *name, const char *value)
{
	xml_write_check(writing,
		xmlTextWriterWriteAttribute(writing->writer, BAD_CAST name, BAD_CAST value));
}

void xml_element(struct xml_writing *writing, const char *name, const char *text)
{
	xml_element_begin(writing, name);
	if (text != NULL)
		xml_write_check(writing, xmlTextWriterWriteString(writing->writer, BAD_CAST text));
	xml_element_end(writing);
}
