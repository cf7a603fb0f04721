/*
 * What a change of the trust store would mean for the phones that a running easproxyd has seen.
 */
#ifndef PROXY_EASPROXYCTL_CA_PHONES_H
#define PROXY_EASPROXYCTL_CA_PHONES_H

#include "auth/trust_store.h"
#include "proxy/easproxyctl_ca_place.h"

/* Asks easproxyd for the certificates that it saw in the last days, judges the path of each and the rules of its
 * issuer under both stores (old may be NULL: nobody comes in), and prints for which that differs. Says so where
 * there is nobody to ask. Returns the exit status. */
int ca_phones_compare(
	const struct ca_place *place, const struct trust_store *old, const struct trust_store *now);

#endif
