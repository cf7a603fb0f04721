#include "proxy/easproxyctl_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/hex.h"
#include "wbxml/base64.h"

static int input_read(int fd, struct wbxml_buffer *input)
{
	char chunk[65536];
	ssize_t got;

	while ((got = read(fd, chunk, sizeof(chunk))) != 0) {
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		wbxml_buffer_append(input, chunk, (size_t)got);
		if (input->has_failed) {
			errno = EFBIG;
			return -1;
		}
	}
	return 0;
}

int bytes_load(const char *path, struct wbxml_buffer *input, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	const char *name = is_stdin ? "standard input" : path;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	int result = 0;

	if (fd == -1)
		return error_sys(err, "opening %s", name);
	if (input_read(fd, input) != 0)
		result = errno == EFBIG ? error_set(err, "%s is larger than %zu MB", name,
						  input->limit >> 20)
					: error_sys(err, "reading %s", name);
	if (!is_stdin)
		close(fd);
	return result;
}

/* Pairs of digits; white space and colons between them are what tools print there. */
static int pairs_read(struct span text, struct wbxml_buffer *out)
{
	int high = -1, value;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t byte;

		if (high == -1 && text.data[i] != 0 && strchr(" \t\r\n:", text.data[i]) != NULL)
			continue;
		value = hex_value((char)text.data[i]);
		if (value == -1)
			return -1;
		if (high == -1) {
			high = value;
			continue;
		}
		byte = (uint8_t)(high << 4 | value);
		wbxml_buffer_append(out, &byte, 1);
		high = -1;
	}
	return high == -1 ? 0 : -1;
}

int bytes_unwrap(struct wbxml_buffer *input, enum bytes_form form, struct error *err)
{
	struct wbxml_buffer bytes = {.limit = input->limit};
	struct span text = span_of(input->data, input->len);
	int result = 0;

	if (form == BYTES_PLAIN)
		return 0;
	if ((form == BYTES_HEX ? pairs_read(text, &bytes) : base64_read(text, &bytes)) != 0)
		result = error_set(err, "the input is not %s",
			form == BYTES_HEX ? "pairs of hexadecimal digits" : "base64");
	wbxml_buffer_free(input);
	*input = bytes;
	return result;
}

static int output_write(int fd, struct span output)
{
	size_t at = 0;

	while (at < output.len) {
		ssize_t put = write(fd, output.data + at, output.len - at);

		if (put == -1 && errno != EINTR)
			return -1;
		at += put > 0 ? (size_t)put : 0;
	}
	return 0;
}

int bytes_save(const char *path, struct span output, struct error *err)
{
	int fd, result;

	if (strcmp(path, "-") == 0)
		return output_write(STDOUT_FILENO, output) == 0
			       ? 0
			       : error_sys(err, "writing to standard output");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd == -1)
		return error_sys(err, "opening %s", path);
	result = output_write(fd, output);
	if (close(fd) != 0 || result != 0)
		return error_sys(err, "writing %s", path);
	return 0;
}
