#include "auth/ocsp_judge.h"

bool ocsp_judge_is_asked(const struct authority *authority, const char *url)
{
	if (authority->ocsp == AUTHORITY_OCSP_OFF || authority->check == AUTHORITY_CHECK_NONE)
		return false;
	/* Where nobody can be asked, nobody need be. */
	return authority->ocsp != AUTHORITY_OCSP_SOFT || authority->ocsp_url[0] != '\0' ||
	       url[0] != '\0';
}

/* The CRL speaks of a delegate as of any certificate of the authority. */
static bool has_revoked_delegate(const struct ocsp_result *result,
	const struct revocation_set *revocation, uint32_t authority, int64_t now)
{
	const struct revocation_target target = {
		.authority = (int)authority, .serial = result->delegate};

	return result->has_delegate != 0 &&
	       revocation_set_check(revocation, &target, now, NULL) == REFUSAL_CERTIFICATE_REVOKED;
}

bool ocsp_judge_counts(const struct ocsp_result *result, const struct revocation_set *revocation,
	uint32_t authority, int64_t now)
{
	return ocsp_result_is_current(result, now) &&
	       !has_revoked_delegate(result, revocation, authority, now);
}

enum refusal ocsp_judge(const struct authority *terms, const struct ocsp_result *result,
	const struct revocation_set *revocation, uint32_t authority, int64_t now)
{
	if (now < terms->exempt_until)
		return REFUSAL_NONE;
	if (result->status == OCSP_REVOKED)
		return REFUSAL_CERTIFICATE_REVOKED;
	if (result->status == OCSP_GOOD && ocsp_judge_counts(result, revocation, authority, now))
		return REFUSAL_NONE;
	return terms->ocsp == AUTHORITY_OCSP_HARD ? REFUSAL_OCSP_UNAVAILABLE : REFUSAL_NONE;
}
