/*
 * Networks that a rule is about: "192.0.2.0/24", "2001:db8::/32", single addresses. For
 * proxy/policy*.c.
 */
#ifndef PROXY_POLICY_SOURCE_H
#define PROXY_POLICY_SOURCE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"

struct policy_network {
	uint64_t address[2], mask[2]; /* an IPv4 network is mapped; bytes in network order */
	bool is_not;                  /* "!" stood in front */
};

/* -1 with err filled, also where bits are set that the length leaves out. */
int policy_network_read(const char *text, struct policy_network *network, struct error *err);

/* As for texts: whether one names the address, or all only exclude, and none excludes it. */
bool policy_networks_accept(
	const struct policy_network *networks, uint32_t count, const struct in6_addr *address);

#endif
