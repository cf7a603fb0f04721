/* A certificate is judged in its handshake: what is remembered of that, and what is not. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "config/algorithm.h"
#include "proxy/ocsp_client.h"
#include "proxy/policy.h"
#include "proxy/session.h"
#include "proxy/worker_judge.h"
#include "tests/unit/check.h"
#include "tests/unit/credential_maker.h"
#include "tests/unit/test_pki.h"

enum { ROOT, AUTHORITY_COUNT };

/* The trust store has the root alone; the intermediate comes with the phone, if it sends it. */
static struct pki root, intermediate, stranger, phone, unknown_phone, expired_phone;

static struct fixture {
	struct trust_store trust;
	struct authority authorities[AUTHORITY_COUNT];
	struct config config;
	struct child child;
	struct shared *shared;
	struct worker *worker;
	struct session session;
} f;

static void pki_begin(void)
{
	struct pki_spec expired;

	root = pki_make_ca("Root", NULL);
	intermediate = pki_make_ca("Intermediate", &root);
	stranger = pki_make_ca("Stranger", NULL);
	phone = pki_make(pki_phone(&intermediate));
	unknown_phone = pki_make(pki_phone(&stranger));
	expired = pki_phone(&root);
	expired.not_after = -60;
	expired_phone = pki_make(expired);
}

static void pki_end(void)
{
	struct pki *const all[] = {
		&root, &intermediate, &stranger, &phone, &unknown_phone, &expired_phone};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		pki_free(all[i]);
}

static void trust_begin(void)
{
	struct authority *authority = &f.authorities[ROOT];

	authority->certificate = root.certificate;
	authority->is_root = true;
	authority->issuer = (char *)"Root";
	authority->crls[0].url = authority->crls[0].delta_url = (char *)"";
	f.trust = (struct trust_store){.authorities = f.authorities, .count = AUTHORITY_COUNT};
	f.config.trust = (struct config_trust){.security_level = 2,
		.depth = 4,
		.algorithms = ALGORITHMS_USUAL,
		.needs_client_auth = true};
}

static void begin(void)
{
	struct error err = {""};
	struct worker *worker = calloc(1, sizeof(*worker));

	memset(&f, 0, sizeof(f));
	trust_begin();
	f.shared = calloc(1, sizeof(*f.shared));
	PKI_MUST(worker != NULL && f.shared != NULL);
	f.child = (struct child){.config = &f.config, .trust = &f.trust};
	f.worker = worker;
	worker->child = &f.child;
	worker->config = &f.config;
	worker->counters = &f.shared->workers[0];
	worker->control_fd = -1;
	worker->next_change = INT64_MIN; /* no timer is set */
	worker->base = event_base_new();
	worker->wheel = wheel_new(worker->base);
	worker->verdicts = verdict_cache_new(8);
	worker->verifier = verifier_new(&f.trust, &f.config.trust, &err);
	worker->policy = policy_new(&f.config, NULL, NULL);
	worker->ocsp = ocsp_client_new(worker);
	PKI_MUST(worker->verifier != NULL && worker->policy != NULL && worker->ocsp != NULL);
	PKI_MUST(revocation_set_init(&worker->revocation, &f.trust, &err) == 0);
	f.session.worker = worker;
}

static void end(void)
{
	struct worker *worker = f.worker;

	credential_free(f.session.credential);
	revocation_set_clear(&worker->revocation);
	ocsp_client_free(worker->ocsp);
	policy_free(worker->policy);
	verifier_free(worker->verifier);
	verdict_cache_free(worker->verdicts);
	wheel_free(worker->wheel);
	event_base_free(worker->base);
	free(worker);
	free(f.shared);
}

/* In a handshake in which the phone sends these certificates beside its own. */
static enum refusal judge(const struct pki *leaf, const struct pki *beside)
{
	STACK_OF(X509) *sent = sk_X509_new_null();
	enum refusal refusal;

	sk_X509_push(sent, leaf->certificate);
	if (beside != NULL)
		sk_X509_push(sent, beside->certificate);
	refusal = session_judge(&f.session, leaf->certificate, sent);
	CU_ASSERT_EQUAL(refusal, f.session.refusal);
	sk_X509_free(sent);
	return refusal;
}

static bool is_remembered(const struct pki *leaf)
{
	uint8_t sha256[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	PKI_MUST(X509_digest(leaf->certificate, EVP_sha256(), sha256, &len) == 1);
	return verdict_cache_find(f.worker->verdicts, sha256) != NULL;
}

/* How often paths were looked for, and how often that was not needed. */
static void expect_counts(uint64_t misses, uint64_t hits)
{
	CU_ASSERT_EQUAL(f.worker->counters->verdict_misses, misses);
	CU_ASSERT_EQUAL(f.worker->counters->verdict_hits, hits);
}

/* Whoever has seen a certificate can offer it with a chain that leads nowhere, for the key is asked for
 * later: its owner must not be kept out by that. */
static void test_who_was_refused_for_a_chain_gets_in_with_another(void)
{
	begin();
	CU_ASSERT_EQUAL(judge(&phone, NULL), REFUSAL_CERTIFICATE_UNTRUSTED);
	CU_ASSERT_EQUAL(judge(&phone, &stranger), REFUSAL_CERTIFICATE_UNTRUSTED);
	CU_ASSERT_FALSE(is_remembered(&phone));
	CU_ASSERT_PTR_NULL(f.session.credential);
	CU_ASSERT_EQUAL(judge(&phone, &intermediate), REFUSAL_NONE);
	CU_ASSERT_TRUE(is_remembered(&phone));
	CU_ASSERT_PTR_NOT_NULL(f.session.credential);
	expect_counts(3, 0);
	/* The path that held needs no chain any more. */
	CU_ASSERT_EQUAL(judge(&phone, NULL), REFUSAL_NONE);
	CU_ASSERT_EQUAL(judge(&phone, &stranger), REFUSAL_NONE);
	expect_counts(3, 2);
	end();
}

static void test_a_refusal_takes_no_place_among_those_who_came_in(void)
{
	const struct pki *const refused[] = {&unknown_phone, &expired_phone, &intermediate};

	begin();
	for (unsigned int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
			CU_ASSERT_NOT_EQUAL(judge(refused[i], NULL), REFUSAL_NONE);
			CU_ASSERT_FALSE(is_remembered(refused[i]));
			CU_ASSERT_PTR_NULL(f.session.credential);
		}
	expect_counts(6, 0);
	end();
}

/* That its path held is remembered, that it may come in is not: that is asked each time. */
static void test_what_is_remembered_lets_nobody_in(void)
{
	begin();
	CU_ASSERT_EQUAL(judge(&phone, &intermediate), REFUSAL_NONE);
	f.worker->withdrawn[0] = 1U << ROOT;
	CU_ASSERT_EQUAL(judge(&phone, &intermediate), REFUSAL_CERTIFICATE_UNTRUSTED);
	CU_ASSERT_EQUAL(judge(&phone, &intermediate), REFUSAL_CERTIFICATE_UNTRUSTED);
	f.worker->withdrawn[0] = 0;
	CU_ASSERT_EQUAL(judge(&phone, &intermediate), REFUSAL_NONE);
	expect_counts(1, 3);
	end();
}

/* Both stand in the same place (session.h), one after the other. */
static void test_how_long_a_handshake_took_is_no_judgement(void)
{
	begin();
	CU_ASSERT_EQUAL(judge(&phone, &intermediate), REFUSAL_NONE);
	CU_ASSERT_EQUAL(credential_set_mailbox(f.session.credential, "alice@a.test"), 0);
	worker_judge_anew(f.worker);
	f.session.is_first_request = true;
	f.session.handshake_us = f.worker->grounds.number;
	CU_ASSERT_EQUAL(session_check(&f.session), REFUSAL_NONE);
	f.worker->withdrawn[0] = 1U << ROOT;
	CU_ASSERT_EQUAL(session_check(&f.session), REFUSAL_CERTIFICATE_UNTRUSTED);
	f.session.state = SESSION_CLOSED;
	session_exchange_over(&f.session, true);
	CU_ASSERT_FALSE(f.session.is_first_request);
	CU_ASSERT_EQUAL(session_check(&f.session), REFUSAL_CERTIFICATE_UNTRUSTED);
	end();
}

static const struct check checks[] = {
	{"who was refused for a chain gets in with another",
		test_who_was_refused_for_a_chain_gets_in_with_another},
	{"a refusal takes no place among those who came in",
		test_a_refusal_takes_no_place_among_those_who_came_in},
	{"what is remembered lets nobody in", test_what_is_remembered_lets_nobody_in},
	{"how long a handshake took is no judgement",
		test_how_long_a_handshake_took_is_no_judgement},
};

int main(void)
{
	int status;

	pki_begin();
	status = check_run("proxy/session_identity", checks, sizeof(checks) / sizeof(checks[0]));
	pki_end();
	return status;
}
