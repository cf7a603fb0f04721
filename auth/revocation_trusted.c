#include "auth/revocation_trusted.h"

#include <string.h>

#include "auth/revocation_signer.h"

static int said_check(const struct revocation_peek *said, int64_t now, struct error *err)
{
	if (said->scope.only_attributes)
		return error_set(err, "for attribute certificates alone");
	if (said->next_update == 0)
		return error_set(err, "without nextUpdate, so it would never be too old");
	if (said->this_update > now + REVOCATION_CLOCK_GRACE)
		return error_set(err, "thisUpdate lies in the future");
	return 0;
}

static int facts_fill(const struct revocation_crl *crl, X509 *authority, X509 *signer,
	struct revocation_facts *facts, struct error *err)
{
	const struct revocation_peek *said = &crl->said;

	facts->has_number = said->has_number;
	memcpy(facts->crl_number, said->crl_number, sizeof(facts->crl_number));
	facts->this_update = facts->base_this_update = said->this_update;
	facts->next_update = said->next_update;
	facts->next_publish = said->next_publish;
	facts->size_bytes = crl->size;
	facts->scope = said->scope;
	if (revocation_authority_key(authority, facts->authority_key, err) == -1)
		return -1;
	return revocation_authority_key(signer, facts->signer_key, err);
}

int revocation_trusted_read(struct revocation_trusted *trusted, struct span crl,
	const struct revocation_signers *signers, int64_t now, struct revocation_facts *facts,
	struct error *err)
{
	X509 *authority = signers->store->authorities[signers->authority].certificate;
	struct span der;
	X509 *signer;

	memset(trusted, 0, sizeof(*trusted));
	memset(facts, 0, sizeof(*facts));
	if (revocation_crl_unwrap(crl, &der, &trusted->owned, err) == -1 ||
		revocation_crl_read(&trusted->parts, der, err) == -1)
		return -1;
	signer = revocation_signer_find(signers, &trusted->parts, now, err);
	if (signer == NULL || said_check(&trusted->parts.said, now, err) == -1)
		return -1;
	return facts_fill(&trusted->parts, authority, signer, facts, err);
}

void revocation_trusted_clear(struct revocation_trusted *trusted)
{
	revocation_crl_clear(&trusted->parts);
	OPENSSL_free(trusted->owned);
	trusted->owned = NULL;
}
