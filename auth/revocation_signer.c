#include "auth/revocation_signer.h"

#include <openssl/err.h>

#include "auth/revocation_path.h"
#include "auth/revocation_signature.h"

/* Of what authorities may do, an absent key usage takes nothing away (RFC 5280 4.2.1.3); a certificate
 * that is none must be allowed expressly. */
static bool may_sign_crls(X509 *certificate, bool is_authority)
{
	uint32_t usage = X509_get_key_usage(certificate);

	if (usage == UINT32_MAX)
		return is_authority;
	return (usage & KU_CRL_SIGN) != 0;
}

/* Whether this certificate can have signed the CRL, by name and key. 0, or -1 with err filled. */
static int candidate_check(
	const struct authority *candidate, const struct revocation_crl *crl, struct error *err)
{
	X509 *certificate = candidate->certificate;

	if (X509_NAME_cmp(crl->issuer, X509_get_subject_name(certificate)) != 0)
		return error_set(err, "issued in another name");
	if (!may_sign_crls(certificate, !candidate->is_crl_signer))
		return error_set(err, "the issuer's key usage does not allow it to sign CRLs");
	if (crl->signing_key != NULL && X509_check_akid(certificate, crl->signing_key) != X509_V_OK)
		return error_set(err, "signed by another key of the issuer, by its own words");
	return revocation_signature_check(
		crl->signed_part, crl->algorithm, crl->signature, certificate, err);
}

/* Whether the candidate has a path to one root, where the authority has one: 1 both, 0 the authority
 * has none, -1 the candidate has none. */
static int paths_compare(
	const struct revocation_signers *signers, int candidate, int root, int64_t now)
{
	struct revocation_paths *paths = revocation_paths_new(signers->store, root);
	int path[REVOCATION_PATH_MAX];
	int result = -1;

	if (paths == NULL)
		return -1;
	if (revocation_path_find(paths, signers->authority, REVOCATION_PATH_ANY_TIME, path) < 1)
		result = 0;
	else if (revocation_path_find(paths, candidate, now, path) >= 1)
		result = 1;
	revocation_paths_free(paths);
	return result;
}

/* RFC 5280 6.3.3 (f): the path of the CRL's issuer must end at the trust anchor of the certificate's
 * path. Which of its roots that path will end at is not known here, so that it must be all of them. */
static int paths_check(
	const struct revocation_signers *signers, int candidate, int64_t now, struct error *err)
{
	const struct trust_store *store = signers->store;
	size_t common = 0;

	for (size_t root = 0; root < store->count; root++) {
		int result;

		if (!store->authorities[root].is_root)
			continue;
		result = paths_compare(signers, candidate, (int)root, now);
		if (result == -1)
			return error_set(err,
				"signed by %.128s, which has no valid path to the root %.128s",
				store->authorities[candidate].issuer,
				store->authorities[root].issuer);
		common += result == 1;
	}
	if (common == 0)
		return error_set(err,
			"signed by %.128s, but the authority itself has no path to a "
			"root",
			store->authorities[candidate].issuer);
	return 0;
}

/* Another certificate than the authority's own: of the same name, or for an indirect CRL of any. */
static int other_check(const struct revocation_signers *signers, int candidate,
	const struct revocation_crl *crl, int64_t now, struct error *err)
{
	const struct authority *authority = &signers->store->authorities[signers->authority];

	if (!crl->said.scope.is_indirect &&
		X509_NAME_cmp(crl->issuer, X509_get_subject_name(authority->certificate)) != 0)
		return error_set(err, "issued in another name");
	if (candidate_check(&signers->store->authorities[candidate], crl, err) == -1)
		return -1;
	return paths_check(signers, candidate, now, err);
}

static bool has_name(const struct authority *authority, const struct revocation_crl *crl)
{
	return X509_NAME_cmp(crl->issuer, X509_get_subject_name(authority->certificate)) == 0;
}

X509 *revocation_signer_find(const struct revocation_signers *signers,
	const struct revocation_crl *crl, int64_t now, struct error *err)
{
	const struct trust_store *store = signers->store;
	struct error cause;

	/* Of several reasons against, those about a certificate of the CRL's own name tell most. */
	if (candidate_check(&store->authorities[signers->authority], crl, err) == 0)
		return store->authorities[signers->authority].certificate;
	for (size_t i = 0; i < store->count; i++) {
		if ((int)i == signers->authority || !has_name(&store->authorities[i], crl))
			continue;
		if (other_check(signers, (int)i, crl, now, &cause) == 0) {
			ERR_clear_error();
			return store->authorities[i].certificate;
		}
		error_set(err, "%s", cause.text);
	}
	ERR_clear_error();
	return NULL;
}
