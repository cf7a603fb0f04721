/*
 * Files as the commands of easproxyctl take and make them: bytes, or the text that stands for them.
 */
#ifndef PROXY_EASPROXYCTL_BYTES_H
#define PROXY_EASPROXYCTL_BYTES_H

#include "config/error.h"
#include "config/span.h"
#include "wbxml/buffer.h"

enum bytes_form { BYTES_PLAIN, BYTES_HEX, BYTES_BASE64 };

/* Reads a file, or standard input ("-"), up to input->limit. 0, or -1 with err. */
int bytes_load(const char *path, struct wbxml_buffer *input, struct error *err);

/* Replaces text by the bytes that it stands for; in hexadecimal digits white space and colons may
 * stand between the pairs. 0, or -1 with err. */
int bytes_unwrap(struct wbxml_buffer *input, enum bytes_form form, struct error *err);

/* Writes a file, or to standard output ("-"). 0, or -1 with err. */
int bytes_save(const char *path, struct span output, struct error *err);

#endif
