/*
 * A buffer that grows up to a limit, for documents that have to be made or held whole. For every
 * process.
 */
#ifndef WBXML_BUFFER_H
#define WBXML_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wbxml_buffer {
	uint8_t *data;
	size_t len, capacity;
	size_t limit;    /* never grows beyond; set it before the first append */
	bool has_failed; /* an append did not fit or memory ran out; later ones do nothing */
};

void wbxml_buffer_append(struct wbxml_buffer *buffer, const void *data, size_t len);

/* Frees the bytes and clears the struct but for its limit. */
void wbxml_buffer_free(struct wbxml_buffer *buffer);

#endif
