#include "auth/revocation_crl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "auth/revocation_der.h"

enum { SMALL_MAX = 65536 }; /* names and extensions that OpenSSL parses */

/* Their places in crl_rows. */
enum {
	ROW_AUTHORITY_KEY,
	ROW_CRL_NUMBER,
	ROW_POINT,
	ROW_DELTA,
	ROW_NEXT_PUBLISH,
	ROW_FRESHEST,
};

static const struct revocation_extension_row crl_rows[] = {
	{{0x55, 0x1d, 35}, 3, true, "authorityKeyIdentifier"},
	{{0x55, 0x1d, 20}, 3, true, "cRLNumber"},
	{{0x55, 0x1d, 28}, 3, true, "issuingDistributionPoint"},
	{{0x55, 0x1d, 27}, 3, true, "deltaCRLIndicator"},
	{{0x2b, 6, 1, 4, 1, 0x82, 0x37, 21, 4}, 9, true, "Next Publish"},
	{{0x55, 0x1d, 46}, 3, true, "freshestCRL"},
	{{0x55, 0x1d, 18}, 3, false, "issuerAltName"},
	{{0x2b, 6, 1, 5, 5, 7, 1, 1}, 8, false, "authorityInfoAccess"},
};

static int extension_read(struct span *input, struct revocation_extension *extension)
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

static size_t row_find(const struct revocation_extension_walk *walk)
{
	size_t row = 0;

	while (row < walk->row_count &&
		!span_equal(
			walk->extension.oid, span_of(walk->rows[row].oid, walk->rows[row].oid_len)))
		row++;
	return row;
}

enum revocation_walk revocation_extension_next(
	struct revocation_extension_walk *walk, struct error *err)
{
	while (walk->left.len > 0) {
		const struct revocation_extension *extension = &walk->extension;

		if (++walk->count > REVOCATION_CRL_EXTENSION_COUNT_MAX ||
			extension_read(&walk->left, &walk->extension) == -1) {
			error_set(err, "malformed extensions");
			return REVOCATION_WALK_ERROR;
		}
		walk->row = row_find(walk);
		if (walk->row == walk->row_count) {
			if (!extension->is_critical)
				continue;
			error_set(err, "an unknown critical extension");
			return REVOCATION_WALK_ERROR;
		}
		if (walk->seen & 1u << walk->row) {
			error_set(err, "%s more than once", walk->rows[walk->row].name);
			return REVOCATION_WALK_ERROR;
		}
		walk->seen |= 1u << walk->row;
		if (walk->rows[walk->row].is_read)
			return REVOCATION_WALK_READ;
	}
	return REVOCATION_WALK_END;
}

/* CertificateList to the three parts of its outer sequence; *tbs is the content of the first. */
static int read_frame(struct revocation_crl *crl, struct span der, struct span *tbs)
{
	struct der_item list;
	struct der_item part;

	if (der_expect(&der, DER_SEQUENCE, &list) == -1 || der.len != 0)
		return -1;
	if (der_expect(&list.value, DER_SEQUENCE, &part) == -1)
		return -1;
	crl->signed_part = part.whole;
	*tbs = part.value;
	if (der_expect(&list.value, DER_SEQUENCE, &part) == -1)
		return -1;
	crl->algorithm = part.whole;
	if (der_expect(&list.value, DER_BIT_STRING, &part) == -1 || list.value.len != 0)
		return -1;
	crl->signature = part.value;
	return 0;
}

static int read_issuer(struct revocation_crl *crl, struct span der, struct error *err)
{
	const uint8_t *at = der.data;

	if (der.len > SMALL_MAX)
		return error_set(err, "its issuer's name is too long");
	crl->issuer = d2i_X509_NAME(NULL, &at, (long)der.len);
	ERR_clear_error();
	if (crl->issuer == NULL || at != der.data + der.len ||
		name_key_of_name(crl->issuer, &crl->said.scope.issuer) == -1)
		return error_set(err, "malformed at its issuer's name");
	if (X509_NAME_entry_count(crl->issuer) == 0)
		return error_set(err, "without the name of an issuer");
	return 0;
}

/* The head of tbsCertList: version, algorithm (the outer one again), issuer. */
static int read_head(struct revocation_crl *crl, struct span *tbs, struct error *err)
{
	struct der_item item;

	crl->is_v2 = der_is_next(*tbs, DER_INTEGER);
	if (crl->is_v2 &&
		(der_next(tbs, &item) == -1 || !span_equal(item.value, span_of("\x01", 1))))
		return error_set(err, "neither version 1 nor version 2");
	if (der_expect(tbs, DER_SEQUENCE, &item) == -1)
		return error_set(err, "malformed before the issuer");
	if (!span_equal(item.whole, crl->algorithm))
		return error_set(err, "two different signature algorithms");
	if (der_expect(tbs, DER_SEQUENCE, &item) == -1)
		return error_set(err, "malformed at its issuer's name");
	return read_issuer(crl, item.whole, err);
}

static int read_times(struct revocation_crl *crl, struct span *tbs, struct error *err)
{
	struct der_item item;

	if (der_next(tbs, &item) == -1 || der_time(&item, &crl->said.this_update) == -1)
		return error_set(err, "malformed at thisUpdate");
	if (!der_is_next(*tbs, DER_UTC_TIME) && !der_is_next(*tbs, DER_GENERALIZED_TIME))
		return 0;
	if (der_next(tbs, &item) == -1 || der_time(&item, &crl->said.next_update) == -1)
		return error_set(err, "malformed at nextUpdate");
	if (crl->said.next_update < crl->said.this_update)
		return error_set(err, "nextUpdate before thisUpdate");
	return 0;
}

/* What comes after the times: entries and extensions. */
static int read_tail(
	struct revocation_crl *crl, struct span tbs, struct span *extensions, struct error *err)
{
	struct der_item item;
	struct der_item inner;

	*extensions = span_of(NULL, 0);
	if (der_is_next(tbs, DER_SEQUENCE)) {
		if (der_next(&tbs, &item) == -1)
			return error_set(err, "malformed at its entries");
		crl->entries = item.value;
	}
	if (der_is_next(tbs, DER_CONTEXT_0)) {
		if (!crl->is_v2 || der_next(&tbs, &item) == -1 ||
			der_expect(&item.value, DER_SEQUENCE, &inner) == -1 || item.value.len != 0)
			return error_set(err, "malformed at its extensions");
		*extensions = inner.value;
	}
	if (tbs.len != 0)
		return error_set(err, "malformed at its end");
	return 0;
}

static int read_signing_key(struct revocation_crl *crl, struct span value, struct error *err)
{
	const uint8_t *at = value.data;

	if (value.len > SMALL_MAX)
		return error_set(err, "malformed authorityKeyIdentifier");
	crl->signing_key = d2i_AUTHORITY_KEYID(NULL, &at, (long)value.len);
	ERR_clear_error();
	if (crl->signing_key == NULL || at != value.data + value.len)
		return error_set(err, "malformed authorityKeyIdentifier");
	return 0;
}

static int read_number(struct span value, uint8_t number[20], const char *what, struct error *err)
{
	struct der_item item;

	if (der_expect(&value, DER_INTEGER, &item) == -1 || value.len != 0 || item.value.len == 0 ||
		(item.value.data[0] & 0x80) != 0 || der_integer(item.value, number, 20) == -1)
		return error_set(err, "malformed %s", what);
	return 0;
}

static int read_next_publish(struct revocation_crl *crl, struct span value, struct error *err)
{
	struct der_item item;

	if (der_next(&value, &item) == -1 || value.len != 0 ||
		der_time(&item, &crl->said.next_publish) == -1)
		return error_set(err, "malformed Next Publish");
	return 0;
}

static int read_extension(
	struct revocation_crl *crl, size_t row, struct span value, struct error *err)
{
	struct revocation_peek *said = &crl->said;

	switch (row) {
	case ROW_AUTHORITY_KEY: return read_signing_key(crl, value, err);
	case ROW_CRL_NUMBER:
		said->has_number = true;
		return read_number(value, said->crl_number, "cRLNumber", err);
	case ROW_DELTA:
		said->is_delta = true;
		return read_number(value, said->base_number, "deltaCRLIndicator", err);
	case ROW_NEXT_PUBLISH: return read_next_publish(crl, value, err);
	case ROW_FRESHEST: said->has_freshest = true; return 0;
	default:
		if (revocation_scope_read(value, crl->issuer, &said->scope) == -1)
			return error_set(err,
				"malformed issuingDistributionPoint, or one with more than %d "
				"names",
				REVOCATION_SCOPE_NAME_MAX);
		return 0;
	}
}

static int read_extensions(struct revocation_crl *crl, struct span extensions, struct error *err)
{
	struct revocation_extension_walk walk = {.rows = crl_rows,
		.row_count = sizeof(crl_rows) / sizeof(crl_rows[0]),
		.left = extensions};
	enum revocation_walk step;

	while ((step = revocation_extension_next(&walk, err)) == REVOCATION_WALK_READ)
		if (read_extension(crl, walk.row, walk.extension.value, err) == -1)
			return -1;
	return step == REVOCATION_WALK_END ? 0 : -1;
}

int revocation_crl_read(struct revocation_crl *crl, struct span der, struct error *err)
{
	struct span extensions;
	struct span tbs;

	memset(crl, 0, sizeof(*crl));
	crl->size = der.len;
	crl->said.scope.reasons = REVOCATION_REASONS_ALL;
	if (read_frame(crl, der, &tbs) == -1)
		return error_set(err, "not a whole CRL in DER");
	if (read_head(crl, &tbs, err) == -1 || read_times(crl, &tbs, err) == -1 ||
		read_tail(crl, tbs, &extensions, err) == -1)
		return -1;
	return read_extensions(crl, extensions, err);
}

void revocation_crl_clear(struct revocation_crl *crl)
{
	X509_NAME_free(crl->issuer);
	AUTHORITY_KEYID_free(crl->signing_key);
	crl->issuer = NULL;
	crl->signing_key = NULL;
}

/* The content of the first block if that is a CRL. */
static int read_pem(struct span pem, uint8_t **data, long *len)
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

int revocation_crl_unwrap(struct span crl, struct span *der, uint8_t **owned, struct error *err)
{
	long len;

	*owned = NULL;
	*der = crl;
	if (crl.len > REVOCATION_CRL_SIZE_MAX)
		return error_set(err, "too large");
	if (crl.len == 0 || crl.data[0] == DER_SEQUENCE)
		return 0;
	if (read_pem(crl, owned, &len) == -1) {
		OPENSSL_free(*owned);
		*owned = NULL;
		return error_set(err, "neither DER nor PEM of a CRL");
	}
	*der = span_of(*owned, (size_t)len);
	return 0;
}

bool revocation_crl_peek(struct span crl, struct revocation_peek *peek)
{
	struct revocation_crl parts;
	struct span der;
	uint8_t *owned;
	bool is_read;

	memset(peek, 0, sizeof(*peek));
	if (revocation_crl_unwrap(crl, &der, &owned, NULL) == -1)
		return false;
	is_read = revocation_crl_read(&parts, der, NULL) == 0;
	if (is_read) {
		*peek = parts.said;
		peek->is_pem = owned != NULL;
	}
	revocation_crl_clear(&parts);
	OPENSSL_free(owned);
	return is_read;
}
