#include "proxy/policy_source.h"

#include <arpa/inet.h>
#include <string.h>

enum { BITS = 128, MAPPED_BITS = 96 };

static int wrong(const char *text, struct error *err)
{
	return error_set(err,
		"'%.60s' is not a network; write an address or ADDRESS/BITS, such as 192.0.2.0/24 "
		"or 2001:db8::/32",
		text);
}

/* -1: not a number of bits, without sign or spare zeros. */
static int read_bits(const char *text, int max)
{
	size_t len = strspn(text, "0123456789");
	int bits = 0;

	if (len == 0 || len > 3 || text[len] != '\0' || (text[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++)
		bits = bits * 10 + (text[i] - '0');
	return bits <= max ? bits : -1;
}

static int read_address(const char *text, struct in6_addr *address, int *bits)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		memset(address, 0, sizeof(*address));
		address->s6_addr[10] = address->s6_addr[11] = 0xff;
		memcpy(&address->s6_addr[12], &v4, sizeof(v4));
		*bits = BITS - MAPPED_BITS;
		return 0;
	}
	*bits = BITS;
	return inet_pton(AF_INET6, text, address) == 1 ? 0 : -1;
}

int policy_network_read(const char *text, struct policy_network *network, struct error *err)
{
	const char *begin = text + (text[0] == '!');
	const char *slash = strchr(begin, '/');
	size_t len = slash == NULL ? strlen(begin) : (size_t)(slash - begin);
	char name[INET6_ADDRSTRLEN];
	struct in6_addr address, mask = {0};
	int most, bits;

	if (len >= sizeof(name))
		return wrong(text, err);
	memcpy(name, begin, len);
	name[len] = '\0';
	if (read_address(name, &address, &most) == -1)
		return wrong(text, err);
	bits = slash == NULL ? most : read_bits(slash + 1, most);
	if (bits == -1)
		return wrong(text, err);
	bits += BITS - most;
	for (int i = 0; i < bits; i++)
		mask.s6_addr[i / 8] |= (uint8_t)(0x80 >> i % 8);
	network->is_not = text[0] == '!';
	memcpy(network->address, &address, sizeof(address));
	memcpy(network->mask, &mask, sizeof(mask));
	for (int i = 0; i < 2; i++)
		if ((network->address[i] & ~network->mask[i]) != 0)
			return error_set(err,
				"'%.60s': the address has bits set that /%s leaves out", text,
				slash + 1);
	return 0;
}

bool policy_networks_accept(
	const struct policy_network *networks, uint32_t count, const struct in6_addr *address)
{
	bool names_any = false, is_named = false;
	uint64_t parts[2];

	memcpy(parts, address, sizeof(parts));
	for (uint32_t i = 0; i < count; i++) {
		bool is_hit = ((parts[0] ^ networks[i].address[0]) & networks[i].mask[0]) == 0 &&
			      ((parts[1] ^ networks[i].address[1]) & networks[i].mask[1]) == 0;

		if (networks[i].is_not && is_hit)
			return false;
		names_any |= !networks[i].is_not;
		is_named |= !networks[i].is_not && is_hit;
	}
	return is_named || !names_any;
}
