/*
 * Public keys on P-256, P-384 and P-521, as nearly all certificates have them, read without setting the curve
 * up anew. OpenSSL 3.0 sets the curve up for each key that it reads, which takes half as long as a signature;
 * here that is done once in a process, and each key begins as a copy of it.
 *
 * Two of the default provider's algorithms are changed for that: the decoder of SubjectPublicKeyInfo
 * (RFC 5480 2) knows such a key by its first bytes and hands the rest, the point, to the key management,
 * which copies the curve and has the default provider take the point, with all its checks. Whatever else
 * a decoder is given goes to the default provider's.
 */
#ifndef PROXY_TLS_EC_KEY_H
#define PROXY_TLS_EC_KEY_H

#include <openssl/core.h>

/* Changes both, which are copies of the default provider's "EC" algorithms with its context, for the life of
 * the process. Both stay as they are where its functions are not as expected. */
void tls_ec_key_use(OSSL_ALGORITHM *key_management, OSSL_ALGORITHM *decoder, void *context);

/* The functions that the library context offers to the provider of these two; without them, or before, the
 * default provider's decoder reads all keys. */
void tls_ec_key_begin(const OSSL_DISPATCH *offered);

#endif
