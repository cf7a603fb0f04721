#include "auth/revocation_compile.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "auth/revocation_crl.h"
#include "auth/revocation_entries.h"
#include "auth/revocation_trusted.h"
#include "auth/revocation_writer.h"

enum { GIVE_BACK_STEP = 1 << 14 }; /* entries */

/* The entries of section number section, of which there may be none, from entry *at on. */
static void section_write(struct revocation_writer *writer,
	const struct revocation_entries *entries, size_t section, size_t *at, size_t *invalidity)
{
	const struct revocation_entry *first = &entries->entries[*at];
	size_t end = *at;

	while (end < entries->count && (size_t)(entries->entries[end].section[0] << 8 |
						entries->entries[end].section[1]) == section)
		end++;
	if (end == *at)
		return;
	revocation_writer_section(writer, &entries->issuers[section],
		revocation_serial_common(
			&first->serial, &entries->entries[end - 1].serial, entries->width));
	for (; *at < end; ++*at) {
		if (*at % GIVE_BACK_STEP == 0)
			revocation_entries_give_back(entries, *at);
		revocation_writer_entry(writer, &entries->entries[*at].serial,
			entries->entries[*at].meta,
			revocation_entries_invalidity(entries, *at, invalidity));
	}
}

static int entries_write(const struct revocation_entries *entries, int output_fd,
	struct revocation_facts *facts, struct error *err)
{
	struct revocation_writer *writer = revocation_writer_new(output_fd, entries->width, err);
	size_t invalidity = 0;
	size_t at = 0;

	if (writer == NULL)
		return -1;
	for (size_t section = 0; section < entries->issuer_count; section++)
		section_write(writer, entries, section, &at, &invalidity);
	return revocation_writer_finish(writer, facts, err);
}

/* RFC 5280 6.3.3 and what a replay would look like. */
static int facts_check(const struct revocation_facts *facts,
	const struct revocation_facts *previous, struct error *err)
{
	if (previous == NULL)
		return 0;
	if (memcmp(facts->crl_number, previous->crl_number, sizeof(facts->crl_number)) < 0)
		return error_set(err, "its number is below that of the one before: replayed?");
	if (facts->this_update < previous->base_this_update)
		return error_set(err, "its thisUpdate is before that of the one before: replayed?");
	return 0;
}

/* All checks, then the index. The entries come after the signature: by far the most of the CRL is
 * read only once it is known who wrote it. */
static int compile(const struct revocation_trusted *crl, const struct revocation_facts *previous,
	int output_fd, struct revocation_facts *facts, struct error *err)
{
	struct revocation_entries entries;
	int result;

	if (crl->parts.said.is_delta)
		return error_set(err, "a delta CRL where a complete one was expected");
	if (facts_check(facts, previous, err) == -1)
		return -1;
	result = revocation_entries_read(&entries, &crl->parts, err);
	if (result == 0)
		result = entries_write(&entries, output_fd, facts, err);
	revocation_entries_clear(&entries);
	return result;
}

static int read_and_compile(struct span crl, bool is_last_use,
	const struct revocation_signers *signers, const struct revocation_facts *previous,
	int64_t now, int output_fd, struct revocation_facts *facts, struct error *err)
{
	struct revocation_trusted trusted;
	struct error cause;
	int result = revocation_trusted_read(&trusted, crl, signers, now, facts, &cause);

	trusted.parts.is_last_use = is_last_use;
	if (result == 0)
		result = compile(&trusted, previous, output_fd, facts, &cause);
	revocation_trusted_clear(&trusted);
	if (result == -1)
		return error_set(err, "the CRL cannot be used: %s", cause.text);
	return 0;
}

int revocation_compile(struct span crl, const struct revocation_signers *signers,
	const struct revocation_facts *previous, int64_t now, int output_fd,
	struct revocation_facts *facts, struct error *err)
{
	return read_and_compile(crl, false, signers, previous, now, output_fd, facts, err);
}

int revocation_compile_last(struct span crl, const struct revocation_signers *signers,
	const struct revocation_facts *previous, int64_t now, int output_fd,
	struct revocation_facts *facts, struct error *err)
{
	return read_and_compile(crl, true, signers, previous, now, output_fd, facts, err);
}

int revocation_authority_key(X509 *issuer, uint8_t key[32], struct error *err)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char *name = NULL;
	unsigned char *public_key = NULL;
	int name_len = i2d_X509_NAME(X509_get_subject_name(issuer), &name);
	int key_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(issuer), &public_key);
	int result = -1;

	if (digest != NULL && name_len > 0 && key_len > 0 &&
		EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(digest, public_key, (size_t)key_len) == 1 &&
		EVP_DigestUpdate(digest, name, (size_t)name_len) == 1 &&
		EVP_DigestFinal_ex(digest, key, NULL) == 1)
		result = 0;
	else
		error_set(err, "hashing the name and key of an authority failed");
	OPENSSL_free(public_key);
	OPENSSL_free(name);
	EVP_MD_CTX_free(digest);
	ERR_clear_error();
	return result;
}
