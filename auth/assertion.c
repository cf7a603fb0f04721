#include "auth/assertion.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "auth/openssl_error.h"
#include "config/base64.h"
#include "config/hex.h"

enum { ID_LEN = (ASSERTION_ID_SIZE - 1) / 2 };

int assertion_make_id(char id[ASSERTION_ID_SIZE], struct error *err)
{
	uint8_t octets[ID_LEN];

	if (RAND_bytes(octets, sizeof(octets)) != 1)
		return error_openssl(err, "making the id of an assertion");
	hex_write(span_of(octets, sizeof(octets)), id);
	return 0;
}

/* Appends a part and, but for the last, the dot behind it. */
static int append(struct span part, bool is_last, char *token, size_t size, size_t *len)
{
	size_t written = base64url_write(part, token + *len, size - *len);

	if (written == 0)
		return -1;
	*len += written;
	if (!is_last)
		token[(*len)++] = '.'; /* where the NUL was */
	return 0;
}

int assertion_compact(const struct signing_key *key, struct span header, struct span payload,
	char *token, size_t size, size_t *len, struct error *err)
{
	uint8_t signature[SIGNATURE_MAX];
	size_t signature_len;

	*len = 0;
	if (append(header, false, token, size, len) == -1 ||
		append(payload, false, token, size, len) == -1)
		return error_set(err, "an assertion is larger than %zu bytes", size);
	/* All but the last dot is signed. */
	if (signing_key_sign(key, span_of(token, *len - 1), signature, &signature_len, err) == -1)
		return -1;
	if (append(span_of(signature, signature_len), true, token, size, len) == -1)
		return error_set(err, "an assertion is larger than %zu bytes", size);
	return 0;
}

static int set_thumbprint(
	json_t *header, const char *name, const X509 *certificate, const EVP_MD *digest)
{
	uint8_t octets[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE];
	unsigned int len;
	size_t text_len;

	if (X509_digest(certificate, digest, octets, &len) != 1)
		return -1;
	text_len = base64url_write(span_of(octets, len), text, sizeof(text));
	return json_object_set_new(header, name, json_stringn(text, text_len));
}

/* RFC 7515 4.1. NULL when memory runs out. The caller frees it. */
static char *make_header(const struct signing_key *key)
{
	json_t *header = json_pack("{s:s, s:s}", "typ", "JWT", "alg", signing_key_algorithm(key));
	int result = header == NULL ? -1 : 0;
	char *text = NULL;

	if (result == 0 && key->key_id[0] != '\0')
		result = json_object_set_new(header, "kid", json_string(key->key_id));
	if (result == 0 && key->certificate != NULL) {
		/* Both, as Microsoft's servers have long known the older one alone. */
		result = set_thumbprint(header, "x5t", key->certificate, EVP_sha1());
		if (result == 0)
			result = set_thumbprint(header, "x5t#S256", key->certificate, EVP_sha256());
	}
	if (result == 0)
		text = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	return text;
}

/* RFC 7519 4.1. NULL when memory runs out, or a text is not UTF-8. The caller frees it. */
static char *make_payload(const struct assertion_claims *claims, const char *id)
{
	json_t *payload = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "iss", claims->issuer, "sub",
		claims->subject, "iat", (json_int_t)claims->now, "nbf",
		(json_int_t)(claims->now - ASSERTION_SKEW_S), "exp",
		(json_int_t)(claims->now + claims->life_s), "jti", id);
	int result = payload == NULL ? -1 : 0;
	char *text = NULL;

	if (result == 0 && claims->audience[0] != '\0')
		result = json_object_set_new(payload, "aud", json_string(claims->audience));
	if (result == 0)
		text = json_dumps(payload, JSON_COMPACT);
	json_decref(payload);
	return text;
}

int assertion_write(const struct signing_key *key, const struct assertion_claims *claims,
	struct login_secret *out, struct error *err)
{
	char id[ASSERTION_ID_SIZE];
	char *header, *payload;
	int result;

	*out = (struct login_secret){.valid_until = claims->now + claims->life_s};
	if (assertion_make_id(id, err) == -1)
		return -1;
	header = make_header(key);
	payload = make_payload(claims, id);
	if (header != NULL && payload != NULL)
		result = assertion_compact(key, span_of_string(header), span_of_string(payload),
			(char *)out->bytes, sizeof(out->bytes), &out->len, err);
	else
		result = error_set(
			err, "writing an assertion: a text is not UTF-8, or memory ran out");
	free(header);
	free(payload);
	return result;
}

struct assertion_signer {
	const struct config_assertion *config;
	struct signing_key *key;
};

struct assertion_signer *assertion_signer_new(
	const struct config_assertion *config, struct error *err)
{
	static const struct config_file none = {.fd = -1};
	struct assertion_signer *signer = calloc(1, sizeof(*signer));

	if (signer == NULL) {
		error_set(err, "preparing to sign assertions: out of memory");
		return NULL;
	}
	signer->config = config;
	signer->key = signing_key_read(config->algorithm, &config->key, &none, config->key_id, err);
	if (signer->key != NULL)
		return signer;
	assertion_signer_free(signer);
	return NULL;
}

void assertion_signer_free(struct assertion_signer *signer)
{
	if (signer == NULL)
		return;
	signing_key_close(signer->key);
	free(signer);
}

enum login_status assertion_sign(const struct assertion_signer *signer,
	const struct login_subject *subject, int64_t now, struct login_secret *out,
	struct login_fault *fault)
{
	const struct config_assertion *config = signer->config;
	const struct assertion_claims claims = {.issuer = config->issuer,
		.subject = subject->mailbox,
		.audience = config->audience,
		.now = now,
		.life_s = config->life_ms / 1000};
	struct error err;

	if (assertion_write(signer->key, &claims, out, &err) == 0)
		return LOGIN_GIVEN;
	return login_fault_set(fault, LOGIN_UNAVAILABLE, "look at assertion/key", "%s", err.text);
}
