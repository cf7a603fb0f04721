#include "proxy/worker_judge.h"

/* Links are certificates with their issuers, so that the root is among the issuers. */
static bool is_withdrawn(
	const struct worker *worker, const struct verdict_link *links, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		int authority = links[i].authority;

		if (authority >= 0 && authority < AUTHORITY_MAX &&
			(worker->withdrawn[authority / 64] >> (authority % 64) & 1) != 0)
			return true;
	}
	return false;
}

enum refusal worker_judge_verdict(const struct worker *worker, const struct verdict *verdict)
{
	if (verdict->refusal == REFUSAL_NONE &&
		is_withdrawn(worker, verdict->links, verdict->link_count))
		return REFUSAL_CERTIFICATE_UNTRUSTED;
	return verdict_check(
		verdict, worker->child->trust, &worker->revocation, worker_now(worker));
}

enum refusal worker_judge_credential(
	const struct worker *worker, const struct credential *credential)
{
	if (is_withdrawn(worker, credential->links, credential->link_count))
		return REFUSAL_CERTIFICATE_UNTRUSTED;
	return credential_check(
		credential, worker->child->trust, &worker->revocation, worker_now(worker));
}
