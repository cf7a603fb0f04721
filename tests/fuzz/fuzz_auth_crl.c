/*
 * The CRL compiler. An input is tried as it is, and once more as a tbsCertList's content under a
 * head (version, algorithm, issuer) and a signature that hold, as the parser behind the signature
 * check would else never be reached.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "tests/unit/auth_crl_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t ed25519[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};

static struct maker_ca ca;
static int output = -1;

static void compile(struct span crl)
{
	struct authority authority = {.certificate = ca.certificate};
	const struct trust_store store = {.count = 1, .authorities = &authority};
	const struct revocation_signers signers = {.store = &store};
	struct revocation_index *index;
	struct revocation_facts facts;
	struct error err;

	if (ftruncate(output, 0) == -1)
		abort();
	if (revocation_compile(crl, &signers, NULL, 1800000000, output, &facts, &err) == -1) {
		if (err.text[0] == '\0' || lseek(output, 0, SEEK_END) != 0)
			abort();
		return;
	}
	/* What the compiler writes, the loader takes. */
	index = revocation_index_open(output, "fuzz", &err);
	if (index == NULL || revocation_index_facts(index)->entry_count != facts.entry_count)
		abort();
	revocation_index_close(index);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (output == -1) {
		/* A fixed key: an input does the same in every run. */
		static const uint8_t seed[32] = "a fixed key for the fuzz target";

		ca = maker_ca_with_key(
			EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed)),
			"Fuzz CA", "critical,cRLSign");
		output = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		maker_must(output != -1, "a memory file");
	}
	compile(span_of(data, size));
	if (size <= 16000)
		compile_signed(data, size);
	return 0;
}
