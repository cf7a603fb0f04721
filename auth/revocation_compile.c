#include "auth/revocation_compile.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "auth/revocation_der.h"
#include "auth/revocation_file.h"
#include "auth/revocation_signature.h"

enum {
	CRL_SIZE_MAX = 1 << 30,       /* OpenSSL's lengths are ints */
	CRL_ENTRY_SIZE_MIN = 20,      /* SEQUENCE, INTEGER of one octet, UTCTime */
	CRL_EXTENSION_COUNT_MAX = 64, /* of the CRL, and of one entry */
	REASON_REMOVE_FROM_CRL = 8,
	REASON_MAX = 10,
};

/* The parts of a CertificateList (RFC 5280 5.1), borrowed from it. */
struct crl {
	struct span signed_part; /* tbsCertList, with tag and length */
	struct span tbs;         /* its content, what is not read yet */
	struct span algorithm;
	struct span signature;
	bool is_v2;
	struct span issuer;
	struct span entries;
	struct span extensions;
};

struct extension {
	struct span oid;
	bool is_critical;
	struct span value;
};

/* What a CRL or an entry may say in an extension, and what is done about it. */
enum extension_use { EXTENSION_READ, EXTENSION_PASS, EXTENSION_REFUSE };

struct extension_row {
	uint8_t oid[8];
	uint8_t oid_len;
	enum extension_use use;
	const char *name;
};

enum { ROW_AUTHORITY_KEY, ROW_CRL_NUMBER }; /* their places in crl_rows */
enum { ROW_REASON };                        /* in entry_rows */

static const struct extension_row crl_rows[] = {
	{{0x55, 0x1d, 35}, 3, EXTENSION_READ, "authorityKeyIdentifier"},
	{{0x55, 0x1d, 20}, 3, EXTENSION_READ, "cRLNumber"},
	{{0x55, 0x1d, 28}, 3, EXTENSION_REFUSE, "issuingDistributionPoint"},
	{{0x55, 0x1d, 27}, 3, EXTENSION_REFUSE, "deltaCRLIndicator"},
	{{0x55, 0x1d, 46}, 3, EXTENSION_PASS, "freshestCRL"},
	{{0x55, 0x1d, 18}, 3, EXTENSION_PASS, "issuerAltName"},
	{{0x2b, 6, 1, 5, 5, 7, 1, 1}, 8, EXTENSION_PASS, "authorityInfoAccess"},
};

static const struct extension_row entry_rows[] = {
	{{0x55, 0x1d, 21}, 3, EXTENSION_READ, "reasonCode"},
	{{0x55, 0x1d, 24}, 3, EXTENSION_PASS, "invalidityDate"},
	{{0x55, 0x1d, 23}, 3, EXTENSION_PASS, "holdInstructionCode"},
	{{0x55, 0x1d, 29}, 3, EXTENSION_REFUSE, "certificateIssuer (an indirect CRL)"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A walk over Extensions: what was seen, and the row of the last one. */
struct extension_walk {
	const struct extension_row *rows;
	size_t row_count;
	struct span left;
	uint32_t seen;
	size_t count;
	size_t row;
	struct extension extension;
};

enum walk { WALK_END, WALK_READ, WALK_ERROR };

static int extension_read(struct span *input, struct extension *extension)
{
	struct der_item item;
	struct der_item part;

	if (der_expect(input, DER_SEQUENCE, &item) == -1 ||
		der_expect(&item.value, DER_OID, &part) == -1)
		return -1;
	extension->oid = part.value;
	if (der_boolean(&item.value, &extension->is_critical) == -1 ||
		der_expect(&item.value, DER_OCTET_STRING, &part) == -1 || item.value.len != 0)
		return -1;
	extension->value = part.value;
	return 0;
}

static size_t row_find(const struct extension_walk *walk)
{
	size_t row = 0;

	while (row < walk->row_count &&
		!span_equal(
			walk->extension.oid, span_of(walk->rows[row].oid, walk->rows[row].oid_len)))
		row++;
	return row;
}

/* The next extension that the caller is to read; those that are known and say nothing to us, and
 * unknown ones that are not critical, are passed over. */
static enum walk extension_next(struct extension_walk *walk, struct error *err)
{
	while (walk->left.len > 0) {
		const struct extension *extension = &walk->extension;

		if (++walk->count > CRL_EXTENSION_COUNT_MAX ||
			extension_read(&walk->left, &walk->extension) == -1) {
			error_set(err, "malformed extensions");
			return WALK_ERROR;
		}
		walk->row = row_find(walk);
		if (walk->row == walk->row_count) {
			if (!extension->is_critical)
				continue;
			error_set(err, "an unknown critical extension");
			return WALK_ERROR;
		}
		if (walk->seen & 1u << walk->row) {
			error_set(err, "%s more than once", walk->rows[walk->row].name);
			return WALK_ERROR;
		}
		walk->seen |= 1u << walk->row;
		if (walk->rows[walk->row].use == EXTENSION_REFUSE) {
			error_set(err, "%s, which is not supported", walk->rows[walk->row].name);
			return WALK_ERROR;
		}
		if (walk->rows[walk->row].use == EXTENSION_READ)
			return WALK_READ;
	}
	return WALK_END;
}

/* CertificateList to the three parts of its outer sequence. */
static int crl_open(struct crl *crl, struct span der)
{
	struct der_item list;
	struct der_item part;

	if (der_expect(&der, DER_SEQUENCE, &list) == -1 || der.len != 0)
		return -1;
	if (der_expect(&list.value, DER_SEQUENCE, &part) == -1)
		return -1;
	crl->signed_part = part.whole;
	crl->tbs = part.value;
	if (der_expect(&list.value, DER_SEQUENCE, &part) == -1)
		return -1;
	crl->algorithm = part.whole;
	if (der_expect(&list.value, DER_BIT_STRING, &part) == -1 || list.value.len != 0)
		return -1;
	crl->signature = part.value;
	return 0;
}

/* The head of tbsCertList: version, algorithm (the outer one again), issuer. */
static int crl_read_head(struct crl *crl, struct error *err)
{
	struct der_item item;

	crl->is_v2 = der_is_next(crl->tbs, DER_INTEGER);
	if (crl->is_v2 &&
		(der_next(&crl->tbs, &item) == -1 || !span_equal(item.value, span_of("\x01", 1))))
		return error_set(err, "neither version 1 nor version 2");
	if (der_expect(&crl->tbs, DER_SEQUENCE, &item) == -1)
		return error_set(err, "malformed before the issuer");
	if (!span_equal(item.whole, crl->algorithm))
		return error_set(err, "two different signature algorithms");
	if (der_expect(&crl->tbs, DER_SEQUENCE, &item) == -1)
		return error_set(err, "malformed at the issuer");
	crl->issuer = item.whole;
	return 0;
}

static int crl_read_times(struct crl *crl, struct revocation_facts *facts, struct error *err)
{
	struct der_item item;

	if (der_next(&crl->tbs, &item) == -1 || der_time(&item, &facts->this_update) == -1)
		return error_set(err, "malformed at thisUpdate");
	if (!der_is_next(crl->tbs, DER_UTC_TIME) && !der_is_next(crl->tbs, DER_GENERALIZED_TIME))
		return error_set(err, "without nextUpdate, so it would never be too old");
	if (der_next(&crl->tbs, &item) == -1 || der_time(&item, &facts->next_update) == -1)
		return error_set(err, "malformed at nextUpdate");
	if (facts->next_update < facts->this_update)
		return error_set(err, "nextUpdate before thisUpdate");
	return 0;
}

/* What comes after the times: entries and extensions. */
static int crl_read_tail(struct crl *crl, struct error *err)
{
	struct der_item item;
	struct der_item inner;

	crl->entries = span_of(NULL, 0);
	crl->extensions = span_of(NULL, 0);
	if (der_is_next(crl->tbs, DER_SEQUENCE)) {
		if (der_next(&crl->tbs, &item) == -1)
			return error_set(err, "malformed at its entries");
		crl->entries = item.value;
	}
	if (der_is_next(crl->tbs, DER_CONTEXT_0)) {
		if (!crl->is_v2 || der_next(&crl->tbs, &item) == -1 ||
			der_expect(&item.value, DER_SEQUENCE, &inner) == -1 || item.value.len != 0)
			return error_set(err, "malformed at its extensions");
		crl->extensions = inner.value;
	}
	if (crl->tbs.len != 0)
		return error_set(err, "malformed at its end");
	return 0;
}

static int issuer_check(const struct crl *crl, X509 *issuer, struct error *err)
{
	const uint8_t *at = crl->issuer.data;
	X509_NAME *name;
	bool is_equal;

	if (crl->issuer.len > 65536)
		return error_set(err, "its issuer's name is too long");
	name = d2i_X509_NAME(NULL, &at, (long)crl->issuer.len);
	is_equal = name != NULL && at == crl->issuer.data + crl->issuer.len &&
		   X509_NAME_cmp(name, X509_get_subject_name(issuer)) == 0;
	X509_NAME_free(name);
	ERR_clear_error();
	if (!is_equal)
		return error_set(err, "issued in another name");
	if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0)
		return error_set(err, "the issuer's key usage does not allow it to sign CRLs");
	return 0;
}

static int authority_key_check(struct span value, X509 *issuer, struct error *err)
{
	const uint8_t *at = value.data;
	AUTHORITY_KEYID *id;
	int result = 0;

	if (value.len > 65536)
		return error_set(err, "malformed authorityKeyIdentifier");
	id = d2i_AUTHORITY_KEYID(NULL, &at, (long)value.len);
	if (id == NULL || at != value.data + value.len)
		result = error_set(err, "malformed authorityKeyIdentifier");
	else if (X509_check_akid(issuer, id) != X509_V_OK)
		result = error_set(err, "signed by another key of the issuer, by its own words");
	AUTHORITY_KEYID_free(id);
	ERR_clear_error();
	return result;
}

static int number_read(struct span value, struct revocation_facts *facts, struct error *err)
{
	struct der_item item;

	if (der_expect(&value, DER_INTEGER, &item) == -1 || value.len != 0 || item.value.len == 0 ||
		(item.value.data[0] & 0x80) != 0 ||
		der_integer(item.value, facts->crl_number, sizeof(facts->crl_number)) == -1)
		return error_set(err, "malformed cRLNumber");
	return 0;
}

static int crl_read_extensions(
	const struct crl *crl, X509 *issuer, struct revocation_facts *facts, struct error *err)
{
	struct extension_walk walk = {
		.rows = crl_rows, .row_count = COUNT_OF(crl_rows), .left = crl->extensions};
	enum walk step;

	while ((step = extension_next(&walk, err)) == WALK_READ) {
		struct span value = walk.extension.value;

		if (walk.row == ROW_AUTHORITY_KEY && authority_key_check(value, issuer, err) == -1)
			return -1;
		if (walk.row == ROW_CRL_NUMBER && number_read(value, facts, err) == -1)
			return -1;
	}
	return step == WALK_END ? 0 : -1;
}

/* RFC 5280 6.3.3 and what a replay would look like. */
static int facts_check(const struct revocation_facts *facts,
	const struct revocation_facts *previous, int64_t now, struct error *err)
{
	if (facts->this_update > now + REVOCATION_CLOCK_GRACE)
		return error_set(err, "thisUpdate lies in the future");
	if (previous == NULL)
		return 0;
	if (memcmp(facts->crl_number, previous->crl_number, sizeof(facts->crl_number)) < 0)
		return error_set(err, "its number is below that of the one before: replayed?");
	if (facts->this_update < previous->this_update)
		return error_set(err, "its thisUpdate is before that of the one before: replayed?");
	return 0;
}

static int reason_read(struct span value, struct revocation_entry *entry, struct error *err)
{
	struct der_item item;

	if (der_expect(&value, DER_ENUMERATED, &item) == -1 || value.len != 0 ||
		item.value.len != 1 || item.value.data[0] > REASON_MAX)
		return error_set(err, "malformed reasonCode");
	/* RFC 5280 5.3.1: only in delta CRLs. */
	if (item.value.data[0] == REASON_REMOVE_FROM_CRL)
		return error_set(err, "removeFromCRL outside a delta CRL");
	entry->reason = item.value.data[0];
	return 0;
}

static int entry_read(
	struct span *entries, bool is_v2, struct revocation_entry *entry, struct error *err)
{
	struct extension_walk walk = {.rows = entry_rows, .row_count = COUNT_OF(entry_rows)};
	struct der_item item;
	struct der_item part;
	enum walk step;
	int64_t date;

	if (der_expect(entries, DER_SEQUENCE, &item) == -1)
		return error_set(err, "malformed");
	if (der_expect(&item.value, DER_INTEGER, &part) == -1 ||
		der_integer(part.value, entry->serial.octets, sizeof(entry->serial.octets)) == -1)
		return error_set(err, "malformed serial, or one of more than 20 octets");
	if (der_next(&item.value, &part) == -1 || der_time(&part, &date) == -1)
		return error_set(err, "malformed revocationDate");
	revocation_entry_set_date(entry, date);
	entry->reason = 0;
	if (item.value.len == 0)
		return 0;
	if (!is_v2 || der_expect(&item.value, DER_SEQUENCE, &part) == -1 || item.value.len != 0)
		return error_set(err, "malformed extensions");
	walk.left = part.value;
	while ((step = extension_next(&walk, err)) == WALK_READ)
		if (walk.row == ROW_REASON && reason_read(walk.extension.value, entry, err) == -1)
			return -1;
	return step == WALK_END ? 0 : -1;
}

static int entry_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct revocation_entry));
}

/* Sorts, and keeps of equal serials the first. */
static size_t entries_settle(struct revocation_entry *entries, size_t count)
{
	size_t kept = 0;

	qsort(entries, count, sizeof(*entries), entry_compare);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || memcmp(&entries[i].serial, &entries[kept - 1].serial,
					 sizeof(entries[i].serial)) != 0)
			entries[kept++] = entries[i];
	return kept;
}

/* The array is as long as the CRL could make it; pages that it does not need are never touched. */
static struct revocation_entry *entries_read(
	const struct crl *crl, size_t *count, struct error *err)
{
	size_t count_max = crl->entries.len / CRL_ENTRY_SIZE_MIN;
	struct revocation_entry *entries;
	struct span left = crl->entries;
	struct error cause;

	*count = 0;
	if (count_max > REVOCATION_FILE_ENTRY_MAX)
		count_max = REVOCATION_FILE_ENTRY_MAX;
	entries = malloc((count_max + 1) * sizeof(*entries));
	if (entries == NULL) {
		error_set(err, "out of memory for %zu entries", count_max);
		return NULL;
	}
	while (left.len > 0) {
		if (*count == count_max)
			error_set(&cause, "malformed or too many");
		else if (entry_read(&left, crl->is_v2, &entries[*count], &cause) == 0) {
			++*count;
			continue;
		}
		error_set(err, "entry %zu: %s", *count + 1, cause.text);
		free(entries);
		return NULL;
	}
	*count = entries_settle(entries, *count);
	return entries;
}

/* All checks, then the index. The signature comes first: what follows reads only what the issuer
 * has written. */
static int compile_der(struct span der, X509 *issuer, const struct revocation_facts *previous,
	int64_t now, int output_fd, struct revocation_facts *facts, struct error *err)
{
	struct revocation_entry *entries;
	struct crl crl;
	size_t count;
	int result;

	if (crl_open(&crl, der) == -1)
		return error_set(err, "not a whole CRL in DER");
	if (crl_read_head(&crl, err) == -1 || issuer_check(&crl, issuer, err) == -1)
		return -1;
	if (revocation_signature_check(
		    crl.signed_part, crl.algorithm, crl.signature, issuer, err) == -1)
		return -1;
	if (crl_read_times(&crl, facts, err) == -1 || crl_read_tail(&crl, err) == -1 ||
		crl_read_extensions(&crl, issuer, facts, err) == -1 ||
		facts_check(facts, previous, now, err) == -1)
		return -1;
	entries = entries_read(&crl, &count, err);
	if (entries == NULL)
		return -1;
	facts->entry_count = count;
	result = revocation_file_write(output_fd, facts, entries, err);
	free(entries);
	return result;
}

/* The content of the first block if that is a CRL; freed with OPENSSL_free(). */
static int pem_read(struct span pem, uint8_t **data, long *len)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	char *name = NULL;
	char *header = NULL;
	int result = -1;

	*data = NULL;
	if (bio != NULL && PEM_read_bio(bio, &name, &header, data, len) == 1 &&
		strcmp(name, PEM_STRING_X509_CRL) == 0 && header[0] == '\0')
		result = 0;
	OPENSSL_free(name);
	OPENSSL_free(header);
	BIO_free(bio);
	ERR_clear_error();
	return result;
}

static int compile_any(struct span crl, X509 *issuer, const struct revocation_facts *previous,
	int64_t now, int output_fd, struct revocation_facts *facts, struct error *err)
{
	uint8_t *data;
	int result;
	long len;

	if (crl.len > CRL_SIZE_MAX)
		return error_set(err, "too large");
	if (crl.len == 0 || crl.data[0] == DER_SEQUENCE)
		return compile_der(crl, issuer, previous, now, output_fd, facts, err);
	if (pem_read(crl, &data, &len) == 0)
		result = compile_der(
			span_of(data, (size_t)len), issuer, previous, now, output_fd, facts, err);
	else
		result = error_set(err, "neither DER nor PEM of a CRL");
	OPENSSL_free(data);
	return result;
}

int revocation_compile(struct span crl, const struct revocation_signers *signers,
	const struct revocation_facts *previous, int64_t now, int output_fd,
	struct revocation_facts *facts, struct error *err)
{
	X509 *issuer = signers->store->authorities[signers->authority].certificate;
	struct error cause;

	memset(facts, 0, sizeof(*facts));
	if (revocation_authority_key(issuer, facts->authority_key, err) == -1)
		return -1;
	memcpy(facts->signer_key, facts->authority_key, sizeof(facts->signer_key));
	if (compile_any(crl, issuer, previous, now, output_fd, facts, &cause) == -1)
		return error_set(err, "the CRL cannot be used: %s", cause.text);
	return 0;
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
