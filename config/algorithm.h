/*
 * The algorithms that may stand in a phone's chain, by their words in trust/algorithms. A set of them
 * is a mask with bit n for algorithm n. For config/ and auth/.
 */
#ifndef CONFIG_ALGORITHM_H
#define CONFIG_ALGORITHM_H

#include <stdint.h>

/* Keys of RSA are named by their least size. A signature is allowed where the key that made it is;
 * its digest is always one of SHA-256, SHA-384, SHA-512 and SHA-3. */
enum config_algorithm {
	ALGORITHM_RSA_1024,
	ALGORITHM_RSA_2048,
	ALGORITHM_RSA_3072,
	ALGORITHM_RSA_4096,
	ALGORITHM_ECDSA_P256,
	ALGORITHM_ECDSA_P384,
	ALGORITHM_ECDSA_P521,
	ALGORITHM_ED25519,
	ALGORITHM_ED448,
	ALGORITHM_COUNT,

	/* The default of trust/algorithms. */
	ALGORITHMS_USUAL = 1 << ALGORITHM_RSA_2048 | 1 << ALGORITHM_ECDSA_P256 |
			   1 << ALGORITHM_ECDSA_P384 | 1 << ALGORITHM_ECDSA_P521 |
			   1 << ALGORITHM_ED25519 | 1 << ALGORITHM_ED448,
};

/* ALGORITHM_COUNT where there is none of that word. */
enum config_algorithm algorithm_find(const char *word);

#endif
