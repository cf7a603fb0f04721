/*
 * Certificates that phones show: read from files, or one for each phone, made by a CA of which the
 * key is at hand and kept in less than a kilobyte, so that a program can have tens of thousands.
 */
#ifndef EASSIM_IDENTITIES_H
#define EASSIM_IDENTITIES_H

#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"
#include "proxy/tls.h"

struct mint_options {
	const char *issuer, *issuer_key; /* PEM files */
	const char *intermediates;       /* sent beside certificate and issuer; NULL: none */
	const char *domain;              /* the mailboxes are phoneN@DOMAIN */
	uint32_t phones;
	uint32_t size; /* bytes of a certificate, at least; 0: as it comes */
	bool is_rsa;
};

struct identities;

/* NULL when memory runs out. */
struct identities *identities_new(void);
void identities_free(struct identities *identities); /* NULL is allowed */

/* A certificate with its chain, and its key. 0, or -1 with err. */
int identities_add(
	struct identities *identities, const char *certificate, const char *key, struct error *err);

/* So many phones, each with a certificate of its own, made when it is first taken. Instead of
 * identities_add(). The options' strings are borrowed. 0, or -1 with err. */
int identities_mint(
	struct identities *identities, const struct mint_options *options, struct error *err);

/* The mailbox of the number-th certificate ("" where it names none); beyond the last one they begin
 * again. There is at least one. */
void identities_mailbox(const struct identities *identities, uint32_t number, char text[321]);

/* For tls_connect(); to be given back after it. NULL when memory runs out. */
struct tls_identity *identities_take(struct identities *identities, uint32_t number);
void identities_give_back(struct identities *identities, struct tls_identity *identity);

#endif
