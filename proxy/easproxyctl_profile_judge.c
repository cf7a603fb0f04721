/* Whether easproxyd would let a phone in with a certificate, by the code that it runs itself. */
#include <inttypes.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "auth/address.h"
#include "auth/identity_names.h"
#include "auth/mailbox.h"
#include "auth/offline.h"
#include "auth/x509_text.h"
#include "config/moment.h"
#include "proxy/easproxyctl_profile.h"

enum { DAY_S = 24 * 60 * 60, SOON_DAYS = 30 };

static void say_nothing(void *context, const char *text)
{
	(void)context;
	(void)text;
}

/* An issuer that is in the store says for whom it may vouch. */
static bool issuers_allow(
	const struct trust_store *store, const struct verdict *verdict, const char *mailbox)
{
	for (uint32_t i = 0; i < verdict->link_count; i++) {
		int authority = verdict->links[i].authority;

		if (authority >= 0 && (size_t)authority < store->count)
			return trust_rules_allow(&store->authorities[authority],
				i == 0 ? verdict->rules : 0, mailbox);
	}
	return true;
}

static void judge_chain(
	const struct profile_judge *judge, struct offline *offline, const char *mailbox)
{
	static struct verdict verdict; /* large */
	struct verdict_finding finding;
	struct error err;
	enum refusal refusal = offline_judge(offline, &judge->config->trust, judge->now,
		judge->crl != NULL, &verdict, &finding, &err);

	if (refusal == REFUSAL_INTERNAL)
		profile_tell(&judge->report, PROFILE_PROBLEM, "%s", err.text);
	else if (refusal != REFUSAL_NONE)
		profile_tell(&judge->report, PROFILE_PROBLEM,
			"easproxyd would refuse the certificate: %s: %s",
			refusal_row(refusal)->name,
			verdict.refusal != REFUSAL_NONE ? verdict.reason
							: refusal_row(refusal)->cause);
	else if (mailbox != NULL && !issuers_allow(offline_store(offline), &verdict, mailbox))
		profile_tell(&judge->report, PROFILE_PROBLEM,
			"easproxyd would refuse the certificate: %s: %s",
			refusal_row(REFUSAL_ISSUER_NOT_ALLOWED)->name,
			refusal_row(REFUSAL_ISSUER_NOT_ALLOWED)->cause);
	if (judge->crl == NULL)
		profile_tell(&judge->report, PROFILE_NOTE,
			"whether the certificate is revoked was not looked at (--crl DIR does)");
}

static void judge_path(
	const struct profile_judge *judge, X509 *leaf, STACK_OF(X509) * chain, const char *mailbox)
{
	struct error err;
	struct offline *offline = offline_new(say_nothing, NULL, &err);

	if (offline == NULL)
		goto fail;
	offline_use_leaf(offline, leaf, chain);
	if (offline_add_authorities(offline, judge->config->trust.store.path, &err) == -1)
		goto fail;
	if (judge->crl != NULL && offline_add_crls(offline, judge->crl, &err) == -1)
		goto fail;
	judge_chain(judge, offline, mailbox);
	offline_free(offline);
	return;
fail:
	profile_tell(&judge->report, PROFILE_PROBLEM, "%s", err.text);
	offline_free(offline);
}

static void judge_times(
	const struct profile_judge *judge, const X509 *certificate, const char *name)
{
	char moment[MOMENT_TEXT_SIZE];
	int64_t from, until;

	if (x509_time_read(X509_get0_notBefore(certificate), &from) != 0 ||
		x509_time_read(X509_get0_notAfter(certificate), &until) != 0) {
		profile_tell(&judge->report, PROFILE_PROBLEM, "%s: its times make no sense", name);
		return;
	}
	moment_write(until < judge->now ? until : from, moment);
	if (until < judge->now) {
		profile_tell(&judge->report, PROFILE_PROBLEM, "%s has expired on %s", name, moment);
	} else if (from > judge->now) {
		profile_tell(
			&judge->report, PROFILE_PROBLEM, "%s is not valid before %s", name, moment);
	} else if (until < judge->now + SOON_DAYS * (int64_t)DAY_S) {
		moment_write(until, moment);
		profile_tell(&judge->report, PROFILE_WARNING,
			"%s expires in %" PRId64 " days, on %s", name, (until - judge->now) / DAY_S,
			moment);
	}
}

static void compare_mailbox(
	const struct profile_judge *judge, const struct mailbox_search *search, const char *mailbox)
{
	char folded[IDENTITY_ADDRESS_MAX + 1];

	if (search->refusal != REFUSAL_NONE)
		profile_tell(&judge->report, PROFILE_PROBLEM,
			"the certificate leads to no mailbox: %s: %s%s%s",
			refusal_row(search->refusal)->name, refusal_row(search->refusal)->cause,
			search->reason[0] != '\0' ? " " : "", search->reason);
	else if (mailbox == NULL)
		profile_tell(&judge->report, PROFILE_NOTE,
			"the certificate leads to the mailbox %s", search->mailbox);
	else if (address_fold(span_of_string(mailbox), folded) != 0)
		profile_tell(
			&judge->report, PROFILE_PROBLEM, "the mailbox '%s' is no address", mailbox);
	else if (strcmp(folded, search->mailbox) != 0)
		profile_tell(&judge->report, PROFILE_PROBLEM,
			"the certificate leads to the mailbox %s, not to %s", search->mailbox,
			folded);
}

static void search_mailbox(const struct profile_judge *judge, struct directory *directory,
	const struct identity_names *names, const char *mailbox)
{
	static struct mailbox_search search; /* large */
	static struct directory_question question;
	static struct directory_answer answer;

	mailbox_begin(&search, &judge->config->mailbox, names);
	while (mailbox_next(&search, &question) == MAILBOX_ASK) {
		directory_ask(directory, &question, &answer);
		mailbox_take(&search, &question, &answer);
	}
	compare_mailbox(judge, &search, mailbox);
}

static void judge_names(const struct profile_judge *judge, X509 *leaf, const char *mailbox)
{
	static struct identity_names names; /* large */
	struct directory *directory;
	struct error err;
	enum refusal refusal = identity_names_read(leaf, &names);

	if (refusal != REFUSAL_NONE) {
		profile_tell(&judge->report, PROFILE_PROBLEM,
			"the certificate leads to no mailbox: %s: %s", refusal_row(refusal)->name,
			refusal_row(refusal)->cause);
		return;
	}
	if (judge->config->directory.backend == CONFIG_DIRECTORY_LDAP) {
		profile_tell(&judge->report, PROFILE_NOTE,
			"whose mailbox the certificate leads to was not looked at: the directory "
			"is an "
			"LDAP server (easproxyctl explain asks a running easproxyd)");
		return;
	}
	directory = directory_new(&judge->config->directory, &err);
	if (directory == NULL) {
		profile_tell(&judge->report, PROFILE_PROBLEM, "%s", err.text);
		return;
	}
	search_mailbox(judge, directory, &names, mailbox);
	directory_free(directory);
}

void profile_judge_identity(
	const struct profile_judge *judge, X509 *leaf, STACK_OF(X509) * chain, const char *mailbox)
{
	if (judge->config != NULL) {
		judge_path(judge, leaf, chain, mailbox);
		judge_names(judge, leaf, mailbox);
	} else {
		profile_tell(&judge->report, PROFILE_NOTE,
			"whether easproxyd would accept the certificate was not looked at: there "
			"is no "
			"configuration (-c FILE)");
	}
	judge_times(judge, leaf, "the certificate");
}

static X509 *read_certificate(struct span content)
{
	const unsigned char *at = content.data;
	X509 *certificate = content.len > INT32_MAX ? NULL : d2i_X509(NULL, &at, (long)content.len);
	BIO *bio;

	if (certificate == NULL && content.len <= INT32_MAX) {
		bio = BIO_new_mem_buf(content.data, (int)content.len);
		if (bio != NULL)
			certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
	}
	ERR_clear_error();
	return certificate;
}

int profile_judge_authority(const struct profile_judge *judge, struct span content,
	const char *name, X509 **certificate)
{
	*certificate = read_certificate(content);
	if (*certificate == NULL) {
		profile_tell(&judge->report, PROFILE_PROBLEM, "%s is no certificate", name);
		return -1;
	}
	if (X509_check_ca(*certificate) == 0)
		profile_tell(&judge->report, PROFILE_WARNING,
			"%s is not the certificate of an authority", name);
	judge_times(judge, *certificate, name);
	return 0;
}
