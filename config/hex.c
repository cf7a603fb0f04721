#include "config/hex.h"

static const char digits[] = "0123456789abcdef";

void hex_write(struct span octets, char *text)
{
	for (size_t i = 0; i < octets.len; i++) {
		*text++ = digits[octets.data[i] >> 4];
		*text++ = digits[octets.data[i] & 15];
	}
	*text = '\0';
}

void hex_write_number(struct span octets, char *text)
{
	while (octets.len > 0 && octets.data[0] == 0)
		octets = span_of(octets.data + 1, octets.len - 1);
	hex_write(octets, text);
}

int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

int hex_read(const char *text, uint8_t *octets, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text[2 * i]);
		int low = high == -1 ? -1 : hex_value(text[2 * i + 1]);

		if (low == -1)
			return -1;
		octets[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * len] == '\0' ? 0 : -1;
}
