/*
 * What OpenSSL says about the configured certificates, keys and ciphers. For config/ alone.
 */
#ifndef CONFIG_PKI_H
#define CONFIG_PKI_H

#include "config/fault.h"
#include "config/model.h"

/* Reads chain and key of a certificate, and checks each, their match, the order of the chain, the
 * names and (with a warning) the times. Files that were not read are passed over. Faults stand at
 * the place of the file that they concern. Returns OpenSSL's number of the kind of key (EVP_PKEY_EC,
 * EVP_PKEY_RSA), 0 where the key cannot be read. */
int pki_check_certificate(const struct config_certificate *certificate, struct faults *faults);

/* The same of the authority that signs minted certificates: its chain, that it is an authority that may sign
 * certificates of TLS clients, that it is valid now, and the key, where that is in a file. */
void pki_check_issuer(const struct config_minted *minted, struct faults *faults);

/* Whether the bundle has at least one certificate and no broken one. */
int pki_check_bundle(const struct config_file *bundle, struct error *err);

int pki_check_ciphers(const char *ciphers, struct error *err);

#endif
