/* Who the phones of `eassim load` are: one certificate for all, or one for each, made by a CA of
 * which the key is at hand. */
#ifndef EASSIM_LOAD_IDENTITY_H
#define EASSIM_LOAD_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"
#include "proxy/tls.h"

struct load_identity_options {
	const char *certificate, *key; /* PEM with chain; or */
	const char *issuer, *issuer_key, *intermediates;
	const char *domain; /* minted mailboxes are phoneN@DOMAIN */
	uint32_t phones;
	uint32_t size; /* bytes of a minted certificate, at least; 0: as it comes */
	bool is_rsa;
};

struct load_identities;

/* NULL with err. */
struct load_identities *load_identities_open(
	const struct load_identity_options *options, struct error *err);
void load_identities_close(struct load_identities *identities); /* NULL is allowed */

/* "bob@contoso.test" of that phone. */
void load_identity_mailbox(
	const struct load_identities *identities, uint32_t phone, char text[321]);

/* For tls_connect(); to be given back after it. NULL when memory runs out. */
struct tls_identity *load_identity_take(struct load_identities *identities, uint32_t phone);
void load_identity_give_back(struct load_identities *identities, struct tls_identity *identity);

#endif
