#include "config/base64.h"

#include <limits.h>
#include <openssl/evp.h>

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int base64_decode(struct span text, uint8_t *bytes, size_t *len)
{
	uint32_t bits = 0;
	size_t digits = 0;
	size_t padding = 0;

	*len = 0;
	for (size_t i = 0; i < text.len; i++) {
		int value = base64_value(text.data[i]);

		if (is_blank(text.data[i]))
			continue;
		if (text.data[i] == '=') {
			padding++;
			continue;
		}
		if (value < 0 || padding > 0)
			return -1;
		bits = (bits << 6 | (uint32_t)value) & 0xffffff;
		digits++;
		if (digits % 4 != 1)
			bytes[(*len)++] = (uint8_t)(bits >> (4 - digits % 4) * 2 % 8);
	}
	return padding <= 2 && (digits + padding) % 4 == 0 ? 0 : -1;
}

size_t base64url_write(struct span octets, char *text, size_t size)
{
	size_t len;

	if (octets.len > INT_MAX / 2 || size < (octets.len + 2) / 3 * 4 + 1)
		return 0;
	len = (size_t)EVP_EncodeBlock((unsigned char *)text, octets.data, (int)octets.len);
	while (len > 0 && text[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
	return len;
}
