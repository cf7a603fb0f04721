/*
 * Whether the keys and signatures of a chain are of kinds that the operator allows. Beside OpenSSL's
 * security level, which counts bits, this knows names. For verify_path.c alone.
 */
#ifndef AUTH_VERIFY_ALGORITHMS_H
#define AUTH_VERIFY_ALGORITHMS_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* chain: leaf first, root last; allowed: a mask of config/algorithm.h. Every key counts, and every
 * signature but that of the root, on which nothing rests. false with a reason that names the depth. */
bool verify_algorithms_allow(
	const STACK_OF(X509) * chain, uint32_t allowed, char *reason, size_t reason_size);

#endif
