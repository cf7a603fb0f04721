/* Paths that have to be looked for, and what a hostile phone can make the search cost. */
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/verify.h"
#include "auth/verify_graph.h"
#include "config/algorithm.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

static struct pki root;
static struct pki second_root;

static const struct config_trust usual = {
	.security_level = 2, .depth = 5, .algorithms = ALGORITHMS_USUAL, .needs_client_auth = true};

static struct trust_store *make_store(const struct pki *const cas[], size_t count)
{
	struct trust_store *store = calloc(1, sizeof(*store));

	store->authorities = calloc(count, sizeof(*store->authorities));
	for (size_t i = 0; i < count; i++) {
		struct authority *authority = &store->authorities[store->count++];

		X509_up_ref(authority->certificate = cas[i]->certificate);
		authority->is_root = X509_self_signed(cas[i]->certificate, 0) == 1;
		authority->crls[0].url = strdup("");
		authority->crls[0].delta_url = strdup("");
		authority->issuer = strdup("a CA");
	}
	return store;
}

static STACK_OF(X509) * make_stack(const struct pki *const list[], size_t count)
{
	STACK_OF(X509) *stack = sk_X509_new_null();

	for (size_t i = 0; i < count; i++)
		sk_X509_push(stack, list[i]->certificate);
	return stack;
}

static enum refusal run(const struct trust_store *store, const struct pki *leaf,
	const struct pki *const sent[], size_t sent_count, struct verdict *verdict)
{
	struct verifier *verifier = verifier_new(store, &usual, NULL);
	STACK_OF(X509) *stack = make_stack(sent, sent_count);
	enum refusal refusal =
		verifier_run(verifier, leaf->certificate, stack, time(NULL), verdict);

	sk_X509_free(stack);
	verifier_free(verifier);
	return refusal;
}

/* Runs it with what is sent in this order and in the other. */
static void expect_either_way(const struct trust_store *store, const struct pki *leaf,
	const struct pki *const sent[], size_t count, enum refusal expected, uint32_t links)
{
	const struct pki *reversed[16];
	struct verdict verdict;

	for (size_t i = 0; i < count; i++)
		reversed[i] = sent[count - 1 - i];
	for (int i = 0; i < 2; i++) {
		enum refusal refusal = run(store, leaf, i == 0 ? sent : reversed, count, &verdict);

		if (refusal != expected)
			fprintf(stderr, "%s: %s\n", refusal_row(refusal)->name, verdict.reason);
		CU_ASSERT_EQUAL(refusal, expected);
		CU_ASSERT_EQUAL(verdict.link_count, links);
	}
}

static struct pki make_ca(const char *name, const struct pki *issuer, const struct pki *key_of)
{
	return pki_make((struct pki_spec){.name = name,
		.issuer = issuer,
		.key_of = key_of,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
}

/* An authority has a new key, and says so with a certificate under its old one (RFC 4210 4.4). */
static void test_self_issued_rollover_holds(void)
{
	struct pki ca = make_ca("CA", &root, NULL);
	struct pki new_with_old = make_ca("CA", &ca, NULL);
	struct pki old_leaf = pki_make(pki_phone(&ca));
	struct pki new_leaf = pki_make(pki_phone(&new_with_old));
	struct trust_store *store = make_store((const struct pki *const[]){&root}, 1);
	const struct pki *const sent[] = {&ca, &new_with_old};

	expect_either_way(store, &old_leaf, sent, 2, REFUSAL_NONE, 2);
	expect_either_way(store, &new_leaf, sent, 2, REFUSAL_NONE, 3);
	trust_store_free(store);
	pki_free(&new_leaf);
	pki_free(&old_leaf);
	pki_free(&new_with_old);
	pki_free(&ca);
}

/* The phone's CA is certified by a root that nobody here trusts and by one that is trusted. */
static void test_cross_certificate_leads_to_the_trusted_root(void)
{
	struct pki stranger = make_ca("Stranger Root", NULL, NULL);
	struct pki ca = make_ca("CA", &stranger, NULL);
	struct pki crossed = make_ca("CA", &root, &ca);
	struct pki leaf = pki_make(pki_phone(&ca));
	struct trust_store *store = make_store((const struct pki *const[]){&root}, 1);
	const struct pki *const sent[] = {&ca, &stranger, &crossed};

	expect_either_way(store, &leaf, sent, 3, REFUSAL_NONE, 2);
	trust_store_free(store);
	pki_free(&leaf);
	pki_free(&crossed);
	pki_free(&ca);
	pki_free(&stranger);
}

/* Two trusted roots certify the CA, one with constraints that this phone breaks: RFC 5280 asks for one
 * path that holds. */
static void test_second_path_is_tried_where_the_first_breaks_a_rule(void)
{
	struct pki_spec spec = {.name = "CA",
		.issuer = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.name_constraints =
			"critical,permitted;otherName:1.3.6.1.4.1.311.20.2.3;UTF8:example.net"};
	struct pki strict = pki_make(spec);
	struct pki open = make_ca("CA", &second_root, &strict);
	struct pki leaf = pki_make(pki_phone(&strict));
	struct trust_store *both = make_store((const struct pki *const[]){&root, &second_root}, 2);
	struct trust_store *one = make_store((const struct pki *const[]){&root}, 1);
	const struct pki *const sent[] = {&strict, &open};

	expect_either_way(both, &leaf, sent, 2, REFUSAL_NONE, 2);
	expect_either_way(one, &leaf, sent, 2, REFUSAL_CERTIFICATE_CHAIN, 0);
	trust_store_free(one);
	trust_store_free(both);
	pki_free(&leaf);
	pki_free(&open);
	pki_free(&strict);
}

/* A and B certify each other, and root certifies B. */
static void test_loop_with_a_way_out_holds(void)
{
	struct pki a = make_ca("A", NULL, NULL);
	struct pki b = make_ca("B", &a, NULL);
	struct pki a_by_b = make_ca("A", &b, &a);
	struct pki b_by_root = make_ca("B", &root, &b);
	struct pki leaf = pki_make(pki_phone(&a));
	struct trust_store *store = make_store((const struct pki *const[]){&root}, 1);
	const struct pki *const sent[] = {&b, &a_by_b, &b_by_root};

	expect_either_way(store, &leaf, sent, 3, REFUSAL_NONE, 3);
	trust_store_free(store);
	pki_free(&leaf);
	pki_free(&b_by_root);
	pki_free(&a_by_b);
	pki_free(&b);
	pki_free(&a);
}

/* Of two ways that hold, the one whose authorities are all valid now is taken, wherever it stands. */
static void test_current_path_is_preferred(void)
{
	struct pki_spec spec = {.name = "CA",
		.issuer = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.not_before = -7200,
		.not_after = -3600};
	struct pki expired = pki_make(spec);
	struct pki current = make_ca("CA", &second_root, &expired);
	struct pki leaf = pki_make(pki_phone(&expired));
	struct trust_store *both =
		make_store((const struct pki *const[]){&root, &second_root, &expired, &current}, 4);
	struct trust_store *one = make_store((const struct pki *const[]){&root, &expired}, 2);
	struct verdict verdict;

	CU_ASSERT_EQUAL(run(both, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_EQUAL(verdict.links[1].authority, 1);
	CU_ASSERT_TRUE(verdict.not_after > time(NULL));
	/* Without another one the expired path is what is told of. */
	CU_ASSERT_EQUAL(run(one, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	CU_ASSERT_TRUE(verdict.not_after < time(NULL));
	trust_store_free(one);
	trust_store_free(both);
	pki_free(&leaf);
	pki_free(&current);
	pki_free(&expired);
}

static void test_crl_signer_is_no_way_to_a_root(void)
{
	struct pki ca = make_ca("CA", &root, NULL);
	struct pki leaf = pki_make(pki_phone(&ca));
	struct trust_store *store = make_store((const struct pki *const[]){&root, &ca}, 2);
	struct verdict verdict;

	CU_ASSERT_EQUAL(run(store, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	store->authorities[1].is_crl_signer = true;
	CU_ASSERT_EQUAL(run(store, &leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_UNTRUSTED);
	trust_store_free(store);
	pki_free(&leaf);
	pki_free(&ca);
}

/* Signs again by another key, which leaves all names and key identifiers as they were. */
static void forge(struct pki *certificate, const struct pki *forger)
{
	PKI_MUST(X509_sign(certificate->certificate, forger->key, EVP_sha256()) > 0);
}

/* As many intermediates as a phone may send, all of one name and key identifier, that pretend to be of the
 * root: none has its signature, and each is found out once. */
static void test_same_named_forgeries_cost_one_signature_each(void)
{
	struct pki forger = make_ca("Forger", NULL, NULL);
	struct pki forged[VERDICT_CHAIN_MAX];
	const struct pki *sent[VERDICT_CHAIN_MAX];
	struct pki key = make_ca("Key", NULL, NULL);
	struct trust_store *store = make_store((const struct pki *const[]){&root, &second_root}, 2);
	struct verify_graph *graph = verify_graph_new(store);
	STACK_OF(X509) *path = sk_X509_new_null();
	STACK_OF(X509) * stack;
	struct verify_search *search;
	struct verdict verdict;
	struct pki leaf;
	bool is_current;
	clock_t begin;

	for (int i = 0; i < VERDICT_CHAIN_MAX; i++) {
		forged[i] = make_ca("Fake CA", &root, &key);
		forge(&forged[i], &forger);
		sent[i] = &forged[i];
	}
	leaf = pki_make(pki_phone(&forged[0]));
	stack = make_stack(sent, VERDICT_CHAIN_MAX);
	search = verify_search_new(graph, leaf.certificate, stack, 5, time(NULL));
	CU_ASSERT_FALSE(verify_search_next(search, path, &is_current));
	CU_ASSERT_EQUAL(verify_search_signatures(search), VERDICT_CHAIN_MAX);
	verify_search_free(search);
	begin = clock();
	CU_ASSERT_EQUAL(
		run(store, &leaf, sent, VERDICT_CHAIN_MAX, &verdict), REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_TRUE(clock() - begin < CLOCKS_PER_SEC / 5);
	sk_X509_free(stack);
	sk_X509_free(path);
	verify_graph_free(graph);
	trust_store_free(store);
	pki_free(&leaf);
	for (int i = 0; i < VERDICT_CHAIN_MAX; i++)
		pki_free(&forged[i]);
	pki_free(&key);
	pki_free(&forger);
}

/* The worst that a holder of a real intermediate could do: a mesh in which everybody has certified
 * everybody, with valid signatures, so that there are more paths than anyone could walk. None is good,
 * because the leaf is on none of them that holds. */
static void test_mesh_of_valid_signatures_is_bounded(void)
{
	enum {
		MESH = 3
	}; /* CAs, each certified by root and by each other one: nine certificates */
	struct pki cas[MESH];
	struct pki mesh[MESH * MESH];
	const struct pki *sent[MESH * MESH];
	struct trust_store *store = make_store((const struct pki *const[]){&root}, 1);
	struct verify_graph *graph = verify_graph_new(store);
	STACK_OF(X509) *path = sk_X509_new_null();
	STACK_OF(X509) * stack;
	struct verify_search *search;
	unsigned int paths = 0;
	struct pki_spec spec;
	struct verdict verdict;
	struct pki leaf;
	bool is_current;
	size_t count = 0;

	for (int i = 0; i < MESH; i++) {
		char name[16];

		snprintf(name, sizeof(name), "Mesh CA %d", i);
		cas[i] = make_ca(name, &root, NULL);
		sent[count++] = &cas[i];
	}
	for (int i = 0; i < MESH; i++)
		for (int k = 0; k < MESH; k++) {
			char name[16];

			if (i == k)
				continue;
			snprintf(name, sizeof(name), "Mesh CA %d", i);
			mesh[count] = make_ca(name, &cas[k], &cas[i]);
			sent[count] = &mesh[count];
			count++;
		}
	CU_ASSERT_TRUE(count <= VERDICT_CHAIN_MAX);
	spec = pki_phone(&cas[0]);
	spec.rsa_bits = 1024; /* refused on every path */
	leaf = pki_make(spec);
	stack = make_stack(sent, count);
	search = verify_search_new(graph, leaf.certificate, stack, 5, time(NULL));
	while (verify_search_next(search, path, &is_current))
		paths++;
	CU_ASSERT_EQUAL(paths, SEARCH_PATH_MAX);
	CU_ASSERT_TRUE(verify_search_signatures(search) <= SEARCH_SIGNATURE_MAX);
	verify_search_free(search);
	CU_ASSERT_EQUAL(run(store, &leaf, sent, count, &verdict), REFUSAL_CERTIFICATE_WEAK);
	sk_X509_free(stack);
	sk_X509_free(path);
	verify_graph_free(graph);
	trust_store_free(store);
	pki_free(&leaf);
	for (size_t i = MESH; i < count; i++)
		pki_free(&mesh[i]);
	for (int i = 0; i < MESH; i++)
		pki_free(&cas[i]);
}

/* A copy whose signature has one bit that is another. */
static X509 *copy_forged(X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	const unsigned char *at = der;
	X509 *forged;

	der[len - 1] ^= 1;
	forged = d2i_X509(NULL, &at, len);
	PKI_MUST(forged != NULL);
	OPENSSL_free(der);
	return forged;
}

/* What need not be checked again for each phone is what the graph has seen to hold, and no more. */
static void test_signatures_between_authorities_are_known_if_they_hold(void)
{
	struct pki ca = make_ca("CA", &root, NULL);
	struct pki leaf = pki_make(pki_phone(&ca));
	struct trust_store *store = make_store((const struct pki *const[]){&root, &ca}, 2);
	struct verify_graph *graph = verify_graph_new(store);
	X509 *copy = X509_dup(ca.certificate);
	struct verdict verdict;

	CU_ASSERT_TRUE(verify_graph_knows(graph, ca.certificate, root.certificate));
	CU_ASSERT_FALSE(verify_graph_knows(graph, root.certificate, ca.certificate));
	CU_ASSERT_FALSE(verify_graph_knows(graph, copy, root.certificate));
	CU_ASSERT_FALSE(verify_graph_knows(graph, leaf.certificate, ca.certificate));
	CU_ASSERT_EQUAL(run(store, &leaf, NULL, 0, &verdict), REFUSAL_NONE);
	X509_free(copy);
	verify_graph_free(graph);
	trust_store_free(store);
	pki_free(&leaf);
	pki_free(&ca);
}

static void test_an_authority_with_a_forged_signature_vouches_for_nobody(void)
{
	struct pki ca = make_ca("CA", &root, NULL);
	struct pki leaf = pki_make(pki_phone(&ca));
	const struct pki forged = {.certificate = copy_forged(ca.certificate), .key = ca.key};
	struct trust_store *store = make_store((const struct pki *const[]){&root, &forged}, 2);
	struct verify_graph *graph = verify_graph_new(store);
	struct verdict verdict;

	CU_ASSERT_FALSE(verify_graph_knows(graph, forged.certificate, root.certificate));
	CU_ASSERT_EQUAL(run(store, &leaf, NULL, 0, &verdict), REFUSAL_CERTIFICATE_CHAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(verdict.reason, "signature failure at depth 1"));
	verify_graph_free(graph);
	trust_store_free(store);
	X509_free(forged.certificate);
	pki_free(&leaf);
	pki_free(&ca);
}

static const struct check checks[] = {
	{"signatures between authorities are known if they hold",
		test_signatures_between_authorities_are_known_if_they_hold},
	{"an authority with a forged signature vouches for nobody",
		test_an_authority_with_a_forged_signature_vouches_for_nobody},
	{"self-issued rollover holds", test_self_issued_rollover_holds},
	{"a cross-certificate leads to the trusted root",
		test_cross_certificate_leads_to_the_trusted_root},
	{"a second path is tried where the first breaks a rule",
		test_second_path_is_tried_where_the_first_breaks_a_rule},
	{"a loop with a way out holds", test_loop_with_a_way_out_holds},
	{"a current path is preferred", test_current_path_is_preferred},
	{"a CRL signer is no way to a root", test_crl_signer_is_no_way_to_a_root},
	{"same-named forgeries cost one signature each",
		test_same_named_forgeries_cost_one_signature_each},
	{"a mesh of valid signatures is bounded", test_mesh_of_valid_signatures_is_bounded},
};

int main(void)
{
	int status;

	root = pki_make_ca("Root CA", NULL);
	second_root = pki_make_ca("Second Root CA", NULL);
	status = check_run("auth/verify_graph", checks, sizeof(checks) / sizeof(checks[0]));
	pki_free(&second_root);
	pki_free(&root);
	return status;
}
