#include "config/algorithm.h"

#include <string.h>

static const char *const words[ALGORITHM_COUNT] = {
	[ALGORITHM_RSA_1024] = "rsa-1024",
	[ALGORITHM_RSA_2048] = "rsa-2048",
	[ALGORITHM_RSA_3072] = "rsa-3072",
	[ALGORITHM_RSA_4096] = "rsa-4096",
	[ALGORITHM_ECDSA_P256] = "ecdsa-p256",
	[ALGORITHM_ECDSA_P384] = "ecdsa-p384",
	[ALGORITHM_ECDSA_P521] = "ecdsa-p521",
	[ALGORITHM_ED25519] = "ed25519",
	[ALGORITHM_ED448] = "ed448",
};

enum config_algorithm algorithm_find(const char *word)
{
	enum config_algorithm algorithm = 0;

	while (algorithm < ALGORITHM_COUNT && strcmp(words[algorithm], word) != 0)
		algorithm++;
	return algorithm;
}
