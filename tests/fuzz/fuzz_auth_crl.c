/*
 * The CRL compiler, the merger of deltas and the peek. An input is tried as it is, and once more as a
 * tbsCertList's content under a head (version, algorithm, issuer) and a signature that hold, as the
 * parser behind the signature check would else never be reached. As a delta it meets two bases.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_file.h"
#include "tests/unit/auth_crl_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000 };

static const uint8_t ed25519[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};

static struct maker_ca ca;
static char ca_name[] = "Fuzz CA";
static struct authority authority;
static const struct trust_store store = {.count = 1, .authorities = &authority};
static const struct revocation_signers signers = {.store = &store};
static struct revocation_index *bases[2]; /* a plain one, an indirect one */
static int output = -1;

static void empty_output(void)
{
	if (ftruncate(output, 0) == -1)
		abort();
}

/* What was written, the loader takes, and every entry is found; what failed wrote nothing and said
 * why. */
static void look_at(int result, const struct revocation_facts *facts, struct error *err)
{
	const struct revocation_view *view;
	struct revocation_index *index;

	if (result == -1) {
		if (err->text[0] == '\0' || lseek(output, 0, SEEK_END) != 0)
			abort();
		return;
	}
	index = revocation_index_open(output, "fuzz", err);
	if (index == NULL || revocation_index_facts(index)->entry_count != facts->entry_count)
		abort();
	view = revocation_index_view(index);
	for (size_t i = 0; i < view->section_count; i++) {
		struct revocation_section section = revocation_view_section(view, i);

		for (size_t at = 0; at < section.count; at++) {
			struct serial serial = revocation_view_serial(view, section.first + at);

			if (!revocation_index_find(index, &section.issuer, &serial, NULL))
				abort();
		}
	}
	revocation_index_close(index);
}

static void compile(struct span crl)
{
	struct revocation_facts facts;
	struct revocation_peek peek;
	struct error err = {""};
	int result;

	empty_output();
	result = revocation_compile(crl, &signers, NULL, NOW, output, &facts, &err);
	look_at(result, &facts, &err);
	if (!revocation_crl_peek(crl, &peek) && result == 0)
		abort();
	for (size_t i = 0; i < 2; i++) {
		empty_output();
		err.text[0] = '\0';
		result = revocation_merge(bases[i], crl, &signers, NULL, NOW, output, &facts, &err);
		look_at(result, &facts, &err);
	}
}

static size_t put_head(uint8_t *to, uint8_t tag, size_t len)
{
	to[0] = tag;
	if (len < 0x80) {
		to[1] = (uint8_t)len;
		return 2;
	}
	if (len < 0x100) {
		to[1] = 0x81;
		to[2] = (uint8_t)len;
		return 3;
	}
	to[1] = 0x82;
	to[2] = (uint8_t)(len >> 8);
	to[3] = (uint8_t)len;
	return 4;
}

static size_t sign(const uint8_t *tbs, size_t len, uint8_t signature[64])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t signature_len = 64;

	maker_must(EVP_DigestSignInit(context, NULL, NULL, NULL, ca.key) == 1 &&
			   EVP_DigestSign(context, signature, &signature_len, tbs, len) == 1,
		"a signature");
	EVP_MD_CTX_free(context);
	return signature_len;
}

static void compile_signed(const uint8_t *data, size_t size)
{
	static uint8_t content[20000];
	static uint8_t tbs[20000];
	static uint8_t crl[20000];
	unsigned char *name = NULL;
	int name_len = i2d_X509_NAME(X509_get_subject_name(ca.certificate), &name);
	size_t len = 0;
	size_t tbs_len;
	size_t at;

	memcpy(content, "\x02\x01\x01", 3);
	memcpy(content + 3, ed25519, sizeof(ed25519));
	len = 3 + sizeof(ed25519);
	memcpy(content + len, name, (size_t)name_len);
	len += (size_t)name_len;
	OPENSSL_free(name);
	if (size > 0)
		memcpy(content + len, data, size);
	len += size;
	at = put_head(tbs, 0x30, len);
	memcpy(tbs + at, content, len);
	tbs_len = at + len;
	at = put_head(crl, 0x30, tbs_len + sizeof(ed25519) + 2 + 65);
	memcpy(crl + at, tbs, tbs_len);
	at += tbs_len;
	memcpy(crl + at, ed25519, sizeof(ed25519));
	at += sizeof(ed25519);
	memcpy(crl + at, "\x03\x41\x00", 3);
	at += 3;
	at += sign(tbs, tbs_len, crl + at);
	compile(span_of(crl, at));
}

/* Number 5 of 2027; with entries that deltas of the corpus speak of. */
static void make_base(size_t i)
{
	X509_CRL *crl = maker_crl_new(&ca, 0, 0, 5);
	ASN1_TIME *when = ASN1_TIME_set(NULL, NOW - 1000);
	struct revocation_facts facts;
	struct error err = {""};
	struct span der;

	X509_CRL_set1_lastUpdate(crl, when);
	ASN1_TIME_set(when, NOW + 1000);
	X509_CRL_set1_nextUpdate(crl, when);
	ASN1_TIME_free(when);
	maker_revoke(crl, "\x03", 1, 0, 6);
	maker_revoke(crl, "\x05", 1, 0, 1);
	if (i == 1) {
		maker_entry_issuer(maker_revoke(crl, "\x07", 1, 0, 6), ca.certificate);
		maker_crl_extension(
			crl, NID_issuing_distribution_point, "critical,indirectCRL:TRUE", NULL);
	}
	der = maker_crl_sign(crl, &ca, NULL);
	empty_output();
	maker_must(
		revocation_compile(der, &signers, NULL, NOW, output, &facts, &err) == 0, err.text);
	bases[i] = revocation_index_open(output, "fuzz", &err);
	maker_must(bases[i] != NULL, err.text);
	maker_span_free(&der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (output == -1) {
		/* A fixed key: an input does the same in every run. */
		static const uint8_t seed[32] = "a fixed key for the fuzz target";

		ca = maker_ca_with_key(
			EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed)),
			ca_name, "critical,cRLSign");
		authority = (struct authority){
			.certificate = ca.certificate, .is_root = true, .issuer = ca_name};
		output = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		maker_must(output != -1, "a memory file");
		make_base(0);
		make_base(1);
	}
	compile(span_of(data, size));
	if (size <= 16000)
		compile_signed(data, size);
	return 0;
}
