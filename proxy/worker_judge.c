#include "proxy/worker_judge.h"

#include "auth/revocation_reason.h"
#include "config/moment.h"
#include "proxy/log.h"

/* Links are certificates with their issuers, so that the root is among the issuers. */
static bool is_withdrawn(const struct worker *worker, const struct verdict_links *links)
{
	for (uint32_t i = 0; i < links->count; i++) {
		int authority = verdict_link_at(links, i)->authority;

		if (authority >= 0 && authority < AUTHORITY_MAX &&
			(worker->withdrawn[authority / 64] >> (authority % 64) & 1) != 0)
			return true;
	}
	return false;
}

/* Out since valid_from, until there is a CRL of the issuer's that is newer and decides. */
static bool is_user_out(const struct worker *worker, const struct credential *credential)
{
	int64_t valid_from;
	int issuer = credential->accepted->leaf.authority;

	if (credential->mailbox[0] == '\0' ||
		!user_index_find(worker->users, credential->mailbox, &valid_from))
		return false;
	return issuer < 0 || revocation_set_effective(
				     &worker->revocation, issuer, worker_now(worker)) <= valid_from;
}

enum refusal worker_judge_links(const struct worker *worker, const struct verdict_links *links)
{
	if (is_withdrawn(worker, links))
		return REFUSAL_CERTIFICATE_UNTRUSTED;
	return verdict_links_check(
		links, worker->child->trust, &worker->revocation, worker_now(worker));
}

enum refusal worker_judge_credential(
	const struct worker *worker, const struct credential *credential)
{
	const struct verdict_links links = credential_links(credential);
	enum refusal refusal = worker_judge_links(worker, &links);

	if (refusal == REFUSAL_NONE && is_user_out(worker, credential))
		refusal = REFUSAL_USER_REVOKED;
	return refusal;
}

void worker_judge_anew(struct worker *worker)
{
	int64_t now = worker_now(worker);

	worker->grounds = (struct worker_grounds){.number = worker->grounds.number + 1,
		.from = now,
		.until = revocation_set_next_change(&worker->revocation, now)};
	if (worker->grounds.number == 0)
		worker->grounds.number = 1;
}

enum refusal worker_judge_again(
	struct worker *worker, const struct credential *credential, uint32_t *good_by)
{
	const struct worker_grounds *grounds = &worker->grounds;
	const struct verdict_links links = credential_links(credential);
	int64_t now = worker_now(worker);
	enum refusal refusal = REFUSAL_NONE;

	if (now < grounds->from || now >= grounds->until)
		worker_judge_anew(worker);
	if (*good_by != grounds->number || now < links.not_before || now > links.not_after)
		refusal = worker_judge_links(worker, &links);
	*good_by = refusal == REFUSAL_NONE ? grounds->number : 0;
	if (refusal == REFUSAL_NONE && is_user_out(worker, credential))
		refusal = REFUSAL_USER_REVOKED;
	return refusal;
}

bool worker_may_be_wiped(const struct worker *worker, const struct verdict_links *links)
{
	const struct config_trust *trust = &worker->config->trust;
	struct verdict_finding finding = {0};

	if (trust->revoked_certificates != CONFIG_REVOKED_WIPE || is_withdrawn(worker, links))
		return false;
	/* The leaf is looked at last: a finding about it says that all above it is good. */
	return verdict_links_explain(links, worker->child->trust, &worker->revocation,
		       worker_now(worker), &finding) == REFUSAL_CERTIFICATE_REVOKED &&
	       finding.link == 0 && finding.revocation.reason < 32 &&
	       (trust->wipe_reasons >> finding.revocation.reason & 1) != 0;
}

static void log_date(struct log_line *line, const char *key, int64_t seconds)
{
	char text[MOMENT_TEXT_SIZE];

	moment_write(seconds, text);
	log_text(line, key, text);
}

static void log_finding(struct log_line *line, const struct revocation_finding *finding)
{
	log_text(line, "revocation_reason", revocation_reason_name(finding->reason));
	log_date(line, "revoked_at", finding->date);
	if (finding->invalidity_date != 0)
		log_date(line, "invalid_since", finding->invalidity_date);
}

void worker_log_grounds(const struct worker *worker, struct log_line *line, enum refusal refusal,
	const struct verdict_links *links)
{
	const struct trust_store *trust = worker->child->trust;
	struct verdict_finding finding = {0};
	const struct verdict_link *link;
	char serial[41];

	if (refusal != REFUSAL_CERTIFICATE_REVOKED && refusal != REFUSAL_REVOCATION_UNAVAILABLE &&
		refusal != REFUSAL_REVOCATION_UNKNOWN)
		return;
	if (verdict_links_explain(
		    links, trust, &worker->revocation, worker_now(worker), &finding) != refusal)
		return; /* OCSP's word, not a CRL's */
	link = verdict_link_at(links, finding.link);
	if (link->authority >= 0 && (size_t)link->authority < trust->count)
		log_text(line, "authority", trust->authorities[link->authority].issuer);
	if (finding.link > 0) {
		serial_format(&link->serial, serial);
		log_text(line, "authority_serial", serial);
	}
	if (refusal == REFUSAL_CERTIFICATE_REVOKED)
		log_finding(line, &finding.revocation);
}
