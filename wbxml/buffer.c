#include "wbxml/buffer.h"

#include <stdlib.h>
#include <string.h>

static bool buffer_reserve(struct wbxml_buffer *buffer, size_t more)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : 256;
	uint8_t *grown;

	if (buffer->has_failed || buffer->len > buffer->limit || more > buffer->limit - buffer->len)
		return false;
	if (more <= buffer->capacity - buffer->len)
		return true;
	while (capacity - buffer->len < more)
		capacity = capacity > buffer->limit / 2 ? buffer->limit : capacity * 2;
	grown = realloc(buffer->data, capacity);
	if (grown == NULL)
		return false;
	buffer->data = grown;
	buffer->capacity = capacity;
	return true;
}

void wbxml_buffer_append(struct wbxml_buffer *buffer, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (!buffer_reserve(buffer, len)) {
		buffer->has_failed = true;
		return;
	}
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

void wbxml_buffer_free(struct wbxml_buffer *buffer)
{
	size_t limit = buffer->limit;

	free(buffer->data);
	*buffer = (struct wbxml_buffer){.limit = limit};
}
