#include "wbxml/base64.h"

#include "config/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void write_group(const struct base64_group *group, struct wbxml_buffer *out)
{
	uint32_t bits =
		(uint32_t)group->bytes[0] << 16 | (uint32_t)group->bytes[1] << 8 | group->bytes[2];
	char text[4];

	memset(text, '=', sizeof(text));
	for (int i = 0; i <= group->count; i++)
		text[i] = alphabet[bits >> (18 - 6 * i) & 0x3F];
	wbxml_buffer_append(out, text, sizeof(text));
}

void base64_write(struct base64_group *group, struct span data, struct wbxml_buffer *out)
{
	for (size_t i = 0; i < data.len; i++) {
		group->bytes[group->count++] = data.data[i];
		if (group->count < 3)
			continue;
		write_group(group, out);
		*group = (struct base64_group){.count = 0};
	}
}

void base64_write_end(struct base64_group *group, struct wbxml_buffer *out)
{
	if (group->count > 0)
		write_group(group, out);
	*group = (struct base64_group){.count = 0};
}

static bool is_space(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Four digits are three bytes; each padding sign is one byte less, whose bits must be zero. */
static int read_group(uint32_t bits, int padding, struct wbxml_buffer *out)
{
	uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};

	if (padding > 2 || (bits & ((UINT32_C(1) << (8 * padding)) - 1)) != 0)
		return -1;
	wbxml_buffer_append(out, bytes, (size_t)(3 - padding));
	return 0;
}

int base64_read(struct span text, struct wbxml_buffer *out)
{
	uint32_t bits = 0;
	int count = 0, padding = 0, value;

	for (size_t i = 0; i < text.len; i++) {
		if (is_space(text.data[i]))
			continue;
		value = base64_value(text.data[i]);
		if (text.data[i] == '=')
			padding++;
		else if (value == -1 || padding > 0)
			return -1;
		bits = bits << 6 | (uint32_t)(value == -1 ? 0 : value);
		if (++count < 4)
			continue;
		if (read_group(bits, padding, out) != 0)
			return -1;
		bits = 0;
		count = 0;
	}
	return count == 0 ? 0 : -1;
}
