/*
 * A phone's chain behind the signatures: the extensions of a leaf and of the intermediate above it are
 * the input, the rest is a chain that holds. Whatever they say, the judgement is one that the rest of
 * the program may rely upon, and the same whether or not the phone sends the intermediate that the
 * trust store has.
 *
 * Input: the length of the intermediate's extensions in two octets, these (DER, SEQUENCE OF
 * Extension; empty: those of a good one), then the leaf's.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/verify.h"
#include "config/algorithm.h"
#include "tests/unit/auth_crl_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct config_trust config = {.security_level = 2,
	.depth = 4,
	.algorithms = ALGORITHMS_USUAL,
	.needs_client_auth = true,
	.verdict_cache = 8};

static struct maker_ca root;
static EVP_PKEY *key; /* of the intermediate and the leaf */
static char crl_url[] = "";
static char issuer_text[] = "a CA";

static void require(int is_so)
{
	if (!is_so)
		abort();
}

static EVP_PKEY *make_key(const char *seed)
{
	uint8_t octets[32] = {0};

	memcpy(octets, seed, strnlen(seed, sizeof(octets)));
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, octets, sizeof(octets));
}

/* NULL where the extensions are none. */
static X509 *make_certificate(struct span extensions, const char *name, X509 *issuer)
{
	const unsigned char *at = extensions.data;
	X509_EXTENSIONS *read = NULL;
	X509 *made = NULL;

	if (extensions.len > 0 &&
		(read = d2i_X509_EXTENSIONS(NULL, &at, (long)extensions.len)) == NULL)
		return NULL;
	made = X509_new();
	X509_set_version(made, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made), 7);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(made, X509_get_subject_name(issuer));
	X509_gmtime_adj(X509_getm_notBefore(made), -3600);
	X509_gmtime_adj(X509_getm_notAfter(made), 3600);
	X509_set_pubkey(made, key);
	if (read == NULL) {
		maker_extension(made, NID_basic_constraints, "critical,CA:TRUE");
		maker_extension(made, NID_key_usage, "critical,keyCertSign,cRLSign");
		maker_extension(made, NID_subject_key_identifier, "hash");
		maker_add(made, maker_extension_of(NID_authority_key_identifier, "keyid:always",
					NULL, issuer, made));
	}
	for (int i = 0; i < sk_X509_EXTENSION_num(read); i++)
		maker_must(X509_add_ext(made, sk_X509_EXTENSION_value(read, i), -1) == 1, "a copy");
	sk_X509_EXTENSION_pop_free(read, X509_EXTENSION_free);
	maker_must(X509_sign(made, issuer == root.certificate ? root.key : key, NULL) > 0,
		"a signature");
	return made;
}

static void look_at(const struct verdict *verdict, enum refusal refusal, X509 *leaf)
{
	struct verdict_links links = verdict_links_of(verdict);
	uint32_t link = 0;

	require(refusal == verdict->refusal && refusal < REFUSAL_COUNT);
	require((refusal == REFUSAL_NONE) == (verdict->reason[0] == '\0'));
	require(memchr(verdict->subject, '\0', sizeof(verdict->subject)) != NULL);
	require(memchr(verdict->issuer, '\0', sizeof(verdict->issuer)) != NULL);
	require(memchr(verdict->reason, '\0', sizeof(verdict->reason)) != NULL);
	require(memchr(verdict->ocsp_url, '\0', sizeof(verdict->ocsp_url)) != NULL);
	require(verdict->point_count <= VERDICT_POINT_MAX &&
		links.point_count == verdict->point_count);
	for (uint32_t i = 0; i < verdict->point_count; i++) {
		require(verdict->points[i].link >= link &&
			verdict->points[i].link < verdict->link_count);
		link = verdict->points[i].link;
	}
	if (refusal != REFUSAL_NONE) {
		require(verdict->names.count == 0 && verdict->names_refusal != REFUSAL_NONE);
		return;
	}
	require(verdict->link_count == 2 && verdict->links[0].authority == 1);
	require(verdict->links[1].authority == 0 && verdict->links[1].is_ca);
	/* What is asked of every leaf, looked at in another way. */
	require(X509_check_ca(leaf) == 0);
	require((X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) != 0);
	require((X509_get_extended_key_usage(leaf) & (XKU_SSL_CLIENT | XKU_ANYEKU)) != 0);
	require((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) != 0);
	require(X509_get_ext_by_critical(leaf, 1, -1) < 0 ||
		X509_supported_extension(
			X509_get_ext(leaf, X509_get_ext_by_critical(leaf, 1, -1))));
}

static void judge(X509 *leaf, X509 *intermediate)
{
	struct authority authorities[2] = {
		{.certificate = root.certificate, .is_root = true, .issuer = issuer_text},
		{.certificate = intermediate, .issuer = issuer_text}};
	struct trust_store store = {.authorities = authorities, .count = 2};
	STACK_OF(X509) *sent = sk_X509_new_null();
	struct verdict alone;
	struct verdict beside;
	struct verifier *verifier;
	struct error err;

	for (size_t i = 0; i < 2; i++)
		authorities[i].crls[0].url = authorities[i].crls[0].delta_url = crl_url;
	verifier = verifier_new(&store, &config, &err);
	if (verifier != NULL) {
		memset(&alone, 0xa5, sizeof(alone));
		look_at(&alone, verifier_run(verifier, leaf, NULL, time(NULL), &alone), leaf);
		sk_X509_push(sent, intermediate);
		memset(&beside, 0xa5, sizeof(beside));
		look_at(&beside, verifier_run(verifier, leaf, sent, time(NULL), &beside), leaf);
		require(alone.refusal == beside.refusal);
		verifier_free(verifier);
	}
	sk_X509_free(sent);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	X509 *intermediate;
	X509 *leaf;
	size_t first;

	if (root.key == NULL) {
		/* Fixed keys, whose identifiers the corpus knows. */
		root = maker_ca_with_key(make_key("the root's key, for this target"), "Root",
			"critical,keyCertSign,cRLSign");
		key = make_key("the key of all others, and fixed");
	}
	if (size < 2 || size > 8000 || (first = (size_t)data[0] << 8 | data[1]) > size - 2)
		return 0;
	intermediate = make_certificate(span_of(data + 2, first), "Intermediate", root.certificate);
	if (intermediate == NULL)
		return 0;
	leaf = make_certificate(span_of(data + 2 + first, size - 2 - first), "leaf", intermediate);
	if (leaf != NULL)
		judge(leaf, intermediate);
	X509_free(leaf);
	X509_free(intermediate);
	ERR_clear_error();
	return 0;
}
