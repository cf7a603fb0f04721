#include "auth/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/openssl_error.h"
#include "auth/revocation_signature.h"
#include "auth/x509_text.h"

enum {
	SIGNER_TRIES_MAX = 4, /* certificates in a response that may claim to be the responder's */
	DELEGATE_BITS_MIN = 112,
	GET_URL_MAX = 255, /* RFC 5019 5 */
	BASE64_MAX = 4 * ((OCSP_REQUEST_MAX + 2) / 3) + 1,
};

/* Questions */

/* The number that the octets stand for; see ocsp_request_make(). */
static ASN1_INTEGER *serial_to_asn1(const struct serial *serial)
{
	bool is_negative = serial->octets[0] == 0xff && serial->octets[1] == 0xff;
	uint8_t octets[sizeof(serial->octets)];
	unsigned int carry = 1;
	ASN1_INTEGER *number = NULL;
	BIGNUM *value;

	memcpy(octets, serial->octets, sizeof(octets));
	for (size_t i = sizeof(octets); is_negative && i-- > 0;) {
		unsigned int octet = (unsigned int)(uint8_t)~octets[i] + carry;

		octets[i] = (uint8_t)octet;
		carry = octet >> 8;
	}
	value = BN_bin2bn(octets, (int)sizeof(octets), NULL);
	if (value == NULL)
		return NULL;
	BN_set_negative(value, is_negative ? 1 : 0);
	number = BN_to_ASN1_INTEGER(value, NULL);
	BN_free(value);
	return number;
}

static OCSP_CERTID *certificate_id(X509 *issuer, const struct serial *serial)
{
	ASN1_INTEGER *number = serial_to_asn1(serial);
	OCSP_CERTID *id = NULL;

	if (number != NULL)
		id = OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer),
			X509_get0_pubkey_bitstr(issuer), number);
	ASN1_INTEGER_free(number);
	return id;
}

static int request_encode(struct ocsp_request *request, OCSP_REQUEST *made)
{
	uint8_t *at = request->der;
	int len;

	if (request->has_nonce &&
		(RAND_bytes(request->nonce, sizeof(request->nonce)) != 1 ||
			OCSP_request_add1_nonce(made, request->nonce, sizeof(request->nonce)) != 1))
		return -1;
	len = i2d_OCSP_REQUEST(made, NULL);
	if (len <= 0 || (size_t)len > sizeof(request->der))
		return -1;
	request->len = (size_t)i2d_OCSP_REQUEST(made, &at);
	return 0;
}

int ocsp_request_make(struct ocsp_request *request, X509 *issuer, const struct serial *serial,
	bool has_nonce, struct error *err)
{
	OCSP_REQUEST *made = OCSP_REQUEST_new();
	OCSP_CERTID *id = certificate_id(issuer, serial);
	int result = -1;

	memset(request, 0, sizeof(*request));
	request->has_nonce = has_nonce;
	if (made == NULL || id == NULL || OCSP_request_add0_id(made, id) == NULL)
		goto out;
	id = NULL; /* the request's now */
	result = request_encode(request, made);
out:
	if (result == -1)
		error_openssl(err, "making an OCSP request");
	OCSP_CERTID_free(id);
	OCSP_REQUEST_free(made);
	return result;
}

bool ocsp_request_url(const struct ocsp_request *request, const char *base, char url[256])
{
	char base64[BASE64_MAX];
	size_t at = strlen(base);

	if (request->has_nonce || at > GET_URL_MAX - 1 || strpbrk(base, "?#") != NULL)
		return false;
	memcpy(url, base, at);
	if (url[at - 1] != '/')
		url[at++] = '/';
	EVP_EncodeBlock((unsigned char *)base64, request->der, (int)request->len);
	for (const char *c = base64; *c != '\0'; c++) {
		const char *escaped = *c == '+'   ? "%2B"
				      : *c == '/' ? "%2F"
				      : *c == '=' ? "%3D"
						  : NULL;
		size_t len = escaped != NULL ? 3 : 1;

		if (at + len > GET_URL_MAX)
			return false;
		memcpy(url + at, escaped != NULL ? escaped : c, len);
		at += len;
	}
	url[at] = '\0';
	return true;
}

bool ocsp_url_is_usable(const char *url)
{
	size_t len = strlen(url);

	if (len > OCSP_URL_MAX || strncasecmp(url, "http://", 7) != 0 || url[7] == '\0' ||
		url[7] == '/')
		return false;
	for (size_t i = 0; i < len; i++)
		if (url[i] <= ' ' || url[i] > '~')
			return false;
	return true;
}

void ocsp_url_read(X509 *certificate, char url[OCSP_URL_MAX + 1])
{
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(certificate);

	url[0] = '\0';
	for (int i = 0; i < sk_OPENSSL_STRING_num(urls) && url[0] == '\0'; i++) {
		const char *candidate = sk_OPENSSL_STRING_value(urls, i);

		if (ocsp_url_is_usable(candidate))
			memcpy(url, candidate, strlen(candidate) + 1);
	}
	X509_email_free(urls);
	ERR_clear_error();
}

/* Who signed */

static bool is_responder(const OCSP_BASICRESP *basic, X509 *certificate)
{
	const ASN1_OCTET_STRING *key_hash = NULL;
	const X509_NAME *name = NULL;
	uint8_t sha1[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (OCSP_resp_get0_id(basic, &key_hash, &name) != 1)
		return false;
	if (name != NULL)
		return X509_NAME_cmp(name, X509_get_subject_name(certificate)) == 0;
	return X509_pubkey_digest(certificate, EVP_sha1(), sha1, &len) == 1 &&
	       ASN1_STRING_length(key_hash) == (int)len &&
	       memcmp(ASN1_STRING_get0_data(key_hash), sha1, len) == 0;
}

static bool has_strong_signature(X509 *certificate)
{
	int digest = NID_undef;
	int key = NID_undef;

	if (X509_get_signature_info(certificate, &digest, &key, NULL, NULL) != 1)
		return false;
	return digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512 ||
	       key == NID_ED25519 || key == NID_ED448;
}

/* RFC 6960 4.2.2.2: issued directly by the authority that issued the certificate in question. */
static int check_delegate(X509 *delegate, X509 *issuer, int64_t now, struct error *err)
{
	time_t at = (time_t)now;
	uint32_t flags;

	if (X509_check_purpose(delegate, -1, 0) != 1)
		return error_set(err, "the responder's certificate is malformed");
	flags = X509_get_extension_flags(delegate);
	if (X509_check_issued(issuer, delegate) != X509_V_OK ||
		X509_verify(delegate, X509_get0_pubkey(issuer)) != 1)
		return error_set(
			err, "the responder's certificate was not issued by the authority itself");
	if (!has_strong_signature(delegate) ||
		EVP_PKEY_get_security_bits(X509_get0_pubkey(delegate)) < DELEGATE_BITS_MIN)
		return error_set(err, "the responder's certificate has a weak key or signature");
	if ((flags & EXFLAG_XKUSAGE) == 0 ||
		(X509_get_extended_key_usage(delegate) & XKU_OCSP_SIGN) == 0)
		return error_set(err,
			"the responder's certificate lacks the extended key usage OCSPSigning");
	if ((X509_get_key_usage(delegate) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) == 0)
		return error_set(err, "the responder's certificate is not for signatures");
	if ((flags & EXFLAG_CRITICAL) != 0)
		return error_set(
			err, "the responder's certificate has an unknown critical extension");
	if (X509_cmp_time(X509_get0_notBefore(delegate), &at) >= 0 ||
		X509_cmp_time(X509_get0_notAfter(delegate), &at) <= 0)
		return error_set(
			err, "the responder's certificate has expired or is not yet valid");
	return 0;
}

static int check_signature(const OCSP_BASICRESP *basic, X509 *signer, struct error *err)
{
	const ASN1_OCTET_STRING *bits = OCSP_resp_get0_signature(basic);
	int bits_len = ASN1_STRING_length(bits);
	unsigned char *tbs = NULL;
	unsigned char *algorithm = NULL;
	int tbs_len = i2d_OCSP_RESPDATA(OCSP_resp_get0_respdata(basic), &tbs);
	int algorithm_len = i2d_X509_ALGOR(OCSP_resp_get0_tbs_sigalg(basic), &algorithm);
	uint8_t *signature = malloc((size_t)bits_len + 1);
	int result = -1;

	if (tbs_len <= 0 || algorithm_len <= 0 || signature == NULL) {
		error_set(err, "out of memory");
		goto out;
	}
	signature[0] = 0; /* no unused bits */
	memcpy(signature + 1, ASN1_STRING_get0_data(bits), (size_t)bits_len);
	result = revocation_signature_check(span_of(tbs, (size_t)tbs_len),
		span_of(algorithm, (size_t)algorithm_len), span_of(signature, (size_t)bits_len + 1),
		signer, err);
out:
	free(signature);
	OPENSSL_free(algorithm);
	OPENSSL_free(tbs);
	return result;
}

/* One certificate that the response carries and that claims to be the responder's. */
static int try_delegate(const OCSP_BASICRESP *basic, X509 *delegate, X509 *issuer, int64_t now,
	struct ocsp_result *result, struct error *err)
{
	if (check_delegate(delegate, issuer, now, err) == -1 ||
		check_signature(basic, delegate, err) == -1)
		return -1;
	if (X509_get_ext_by_NID(delegate, NID_id_pkix_OCSP_noCheck, -1) >= 0)
		return 0;
	if (serial_from_asn1(&result->delegate, X509_get0_serialNumber(delegate)) == -1)
		return error_set(err, "the responder's serial number is longer than 20 octets");
	result->has_delegate = 1;
	return 0;
}

static int check_signer(const OCSP_BASICRESP *basic, X509 *issuer, int64_t now,
	struct ocsp_result *result, struct error *err)
{
	const STACK_OF(X509) *certificates = OCSP_resp_get0_certs(basic);
	int tries = 0;

	error_set(err, "the answer's signer is neither the authority nor a responder of it");
	if (is_responder(basic, issuer) && check_signature(basic, issuer, err) == 0)
		return 0;
	for (int i = 0; i < sk_X509_num(certificates) && tries < SIGNER_TRIES_MAX; i++) {
		X509 *candidate = sk_X509_value(certificates, i);

		if (!is_responder(basic, candidate) || X509_cmp(candidate, issuer) == 0)
			continue;
		if (try_delegate(basic, candidate, issuer, now, result, err) == 0)
			return 0;
		tries++;
	}
	return -1;
}

/* What it says */

/* The one single response for id; NULL with err filled. */
static OCSP_SINGLERESP *find_single(OCSP_BASICRESP *basic, OCSP_CERTID *id, struct error *err)
{
	int at = OCSP_resp_find(basic, id, -1);

	if (at < 0) {
		error_set(err, "the answer is about another certificate");
		return NULL;
	}
	if (OCSP_resp_find(basic, id, at) >= 0) {
		error_set(err, "the answer says two things of one certificate");
		return NULL;
	}
	return OCSP_resp_get0(basic, at);
}

/* Extensions that change what an answer means are marked so (RFC 6960 4.4); none is understood. */
static bool has_critical_extension(OCSP_BASICRESP *basic, OCSP_SINGLERESP *single)
{
	return OCSP_BASICRESP_get_ext_by_critical(basic, 1, -1) >= 0 ||
	       OCSP_SINGLERESP_get_ext_by_critical(single, 1, -1) >= 0;
}

static int check_times(struct ocsp_result *result, const ASN1_GENERALIZEDTIME *this_update,
	const ASN1_GENERALIZEDTIME *next_update, int64_t now, struct error *err)
{
	if (this_update == NULL || x509_time_read(this_update, &result->this_update) == -1)
		return error_set(err, "the answer's thisUpdate is malformed");
	if (next_update == NULL)
		result->next_update = result->this_update + OCSP_WITHOUT_NEXT_UPDATE_S;
	else if (x509_time_read(next_update, &result->next_update) == -1)
		return error_set(err, "the answer's nextUpdate is malformed");
	if (result->next_update < result->this_update)
		return error_set(err, "the answer's nextUpdate is before its thisUpdate");
	if (result->this_update > now + REVOCATION_CLOCK_GRACE)
		return error_set(err, "the answer is from the future: compare the clocks");
	if (now > result->next_update + REVOCATION_CLOCK_GRACE)
		return error_set(err, next_update != NULL
					      ? "the answer is past its nextUpdate"
					      : "the answer has no nextUpdate and is too old");
	return 0;
}

static int read_single(
	OCSP_SINGLERESP *single, int64_t now, struct ocsp_result *result, struct error *err)
{
	ASN1_GENERALIZEDTIME *revoked_at = NULL;
	ASN1_GENERALIZEDTIME *this_update = NULL;
	ASN1_GENERALIZEDTIME *next_update = NULL;
	int reason = -1;

	switch (OCSP_single_get0_status(single, &reason, &revoked_at, &this_update, &next_update)) {
	case V_OCSP_CERTSTATUS_GOOD: result->status = OCSP_GOOD; break;
	case V_OCSP_CERTSTATUS_REVOKED: result->status = OCSP_REVOKED; break;
	case V_OCSP_CERTSTATUS_UNKNOWN: result->status = OCSP_UNKNOWN; break;
	default: return error_set(err, "the answer has no status");
	}
	if (result->status == OCSP_REVOKED) {
		if (revoked_at == NULL || x509_time_read(revoked_at, &result->revoked_at) == -1)
			return error_set(err, "the answer's revocation time is malformed");
		result->reason = reason >= 0 ? (unsigned int)reason : 0;
	}
	return check_times(result, this_update, next_update, now, err);
}

/* The extension's value is the DER of an OCTET STRING. */
static bool echoes_nonce(OCSP_BASICRESP *basic, const struct ocsp_request *request)
{
	int at = OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce, -1);
	uint8_t expected[2 + OCSP_NONCE_SIZE] = {V_ASN1_OCTET_STRING, OCSP_NONCE_SIZE};
	const ASN1_OCTET_STRING *value;

	if (!request->has_nonce)
		return true;
	if (at < 0)
		return false;
	memcpy(expected + 2, request->nonce, OCSP_NONCE_SIZE);
	value = X509_EXTENSION_get_data(OCSP_BASICRESP_get_ext(basic, at));
	return ASN1_STRING_length(value) == (int)sizeof(expected) &&
	       memcmp(ASN1_STRING_get0_data(value), expected, sizeof(expected)) == 0;
}

static int check_basic(OCSP_BASICRESP *basic, const struct ocsp_request *request, X509 *issuer,
	const struct serial *serial, int64_t now, struct ocsp_result *result, struct error *err)
{
	OCSP_CERTID *id = certificate_id(issuer, serial);
	OCSP_SINGLERESP *single = NULL;

	if (id == NULL)
		return error_openssl(err, "naming the certificate");
	single = find_single(basic, id, err);
	OCSP_CERTID_free(id);
	if (single == NULL)
		return -1;
	if (has_critical_extension(basic, single))
		return error_set(err, "the answer has a critical extension");
	if (!echoes_nonce(basic, request))
		return error_set(err, "the answer does not repeat our nonce; "
				      "revocation/ocsp-nonce = off does without");
	if (read_single(single, now, result, err) == -1)
		return -1;
	return check_signer(basic, issuer, now, result, err);
}

/* The basic response is the last field of a response, so its DER is the end of the response's: what
 * follows it, and what is BER but not DER, shows here. */
static bool is_whole_der(struct span response, OCSP_BASICRESP *basic)
{
	unsigned char *der = NULL;
	int len = i2d_OCSP_BASICRESP(basic, &der);
	bool is_whole = len > 0 && (size_t)len <= response.len &&
			memcmp(response.data + response.len - (size_t)len, der, (size_t)len) == 0;

	OPENSSL_free(der);
	return is_whole;
}

static int check_response(struct span bytes, OCSP_RESPONSE *response,
	const struct ocsp_request *request, X509 *issuer, const struct serial *serial, int64_t now,
	struct ocsp_result *result, struct error *err)
{
	int status = OCSP_response_status(response);
	OCSP_BASICRESP *basic;
	int outcome = -1;

	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return error_set(
			err, "the responder says \"%s\"", OCSP_response_status_str(status));
	basic = OCSP_response_get1_basic(response);
	if (basic == NULL)
		return error_set(err, "the answer is not a basic OCSP response");
	if (is_whole_der(bytes, basic))
		outcome = check_basic(basic, request, issuer, serial, now, result, err);
	else
		error_set(err, "the answer is not DER, or more bytes follow it");
	OCSP_BASICRESP_free(basic);
	return outcome;
}

int ocsp_response_check(struct span bytes, const struct ocsp_request *request, X509 *issuer,
	const struct serial *serial, int64_t now, struct ocsp_result *result, struct error *err)
{
	const uint8_t *at = bytes.data;
	OCSP_RESPONSE *response = NULL;
	struct error reason; /* always there: err may be NULL */
	int outcome = -1;

	memset(result, 0, sizeof(*result));
	if (bytes.len == 0 || bytes.len > OCSP_RESPONSE_MAX) {
		error_set(&reason, "the answer is empty or larger than 64 kB");
		goto out;
	}
	response = d2i_OCSP_RESPONSE(NULL, &at, (long)bytes.len);
	if (response == NULL || at != bytes.data + bytes.len)
		error_set(&reason, "the answer is not an OCSP response");
	else
		outcome = check_response(
			bytes, response, request, issuer, serial, now, result, &reason);
out:
	if (outcome == -1) {
		memset(result, 0, sizeof(*result));
		error_set(err, "%s", reason.text);
	}
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return outcome;
}
