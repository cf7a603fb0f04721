#include <openssl/asn1.h>
#include <string.h>

#include "auth/revocation_index.h"
#include "config/hex.h"

int serial_from_asn1(struct serial *serial, const ASN1_INTEGER *number)
{
	int len = ASN1_STRING_length(number);
	unsigned int carry = 1;

	if (len < 0 || (size_t)len > sizeof(serial->octets))
		return -1;
	memset(serial->octets, 0, sizeof(serial->octets));
	memcpy(serial->octets + sizeof(serial->octets) - (size_t)len, ASN1_STRING_get0_data(number),
		(size_t)len);
	if (ASN1_STRING_type(number) != V_ASN1_NEG_INTEGER)
		return 0;
	/* OpenSSL keeps sign and magnitude; the index keeps two's complement. */
	for (size_t i = sizeof(serial->octets); i-- > 0;) {
		unsigned int octet = (unsigned int)(uint8_t)~serial->octets[i] + carry;

		serial->octets[i] = (uint8_t)octet;
		carry = octet >> 8;
	}
	return 0;
}

void serial_format(const struct serial *serial, char text[41])
{
	hex_write_number(span_of(serial->octets, sizeof(serial->octets)), text);
	if (text[0] == '\0')
		memcpy(text, "00", sizeof("00"));
}
