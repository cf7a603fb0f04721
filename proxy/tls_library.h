/*
 * The library context of OpenSSL's in which workers shake hands with phones. Its algorithms are those of
 * OpenSSL's default provider, but only those that a handshake and a certificate's signature can need.
 *
 * To read the public key of a certificate, OpenSSL 3.0 goes through all algorithms of the context, copies
 * the list of them more than once, and tries which decoders can be put behind each other, from PEM and
 * PKCS #8 down: with the whole default provider that takes longer than the signatures of the handshake.
 */
#ifndef PROXY_TLS_LIBRARY_H
#define PROXY_TLS_LIBRARY_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Made at the first call, for the life of the process. NULL, which to OpenSSL is its own context, where
 * openssl.cnf has it use other providers than the default one (FIPS, a token), which are to do the work
 * then. */
OSSL_LIB_CTX *tls_library(void);

/* A secret of TLS 1.3 that OpenSSL has derived in that context, with its label (RFC 8446 7.1), both borrowed:
 * "c ap traffic" and so on, without "tls13 " before it. */
typedef void tls_library_on_secret(
	const void *label, size_t label_len, const uint8_t *secret, size_t len);

/* Who hears of each from now on; NULL: nobody. False: nobody will, as the default provider is not as expected.
 * OpenSSL's key log says the same, but takes 5 % of a handshake to print bytes by sprintf(). */
bool tls_library_listen(tls_library_on_secret *listener);

#endif
