#include "config/pki.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "config/file.h"

enum { CHAIN_MAX = 10 };

static const char *openssl_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(code);

	return text == NULL ? "unknown reason" : text;
}

/* Reads every certificate of a PEM text. NULL with err filled. */
static STACK_OF(X509) * read_certificates(const struct config_file *file, struct error *err)
{
	STACK_OF(X509) *found = sk_X509_new_null();
	size_t len;
	char *text = config_file_read(file, &len, err);
	BIO *bio = text == NULL ? NULL : BIO_new_mem_buf(text, (int)len);
	bool is_broken;
	X509 *certificate;

	ERR_clear_error();
	while (bio != NULL && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (sk_X509_push(found, certificate) == 0)
			X509_free(certificate);
	is_broken = bio == NULL || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
	if (text != NULL && is_broken)
		error_set(err, "%s: certificate %d cannot be read: %s", file->path,
			sk_X509_num(found) + 1, openssl_reason());
	else if (text != NULL && sk_X509_num(found) == 0)
		error_set(err, "%s has no certificate (PEM)", file->path);
	ERR_clear_error();
	BIO_free(bio);
	file_wipe(text, text == NULL ? 0 : len);
	if (is_broken || sk_X509_num(found) == 0) {
		sk_X509_pop_free(found, X509_free);
		return NULL;
	}
	return found;
}

/* OpenSSL's own would ask on the terminal. */
static int refuse_passphrase(char *buffer, int size, int is_writing, void *was_asked)
{
	(void)buffer, (void)size, (void)is_writing;
	*(bool *)was_asked = true;
	return -1;
}

static EVP_PKEY *read_key(const struct config_file *file, struct error *err)
{
	bool was_asked = false;
	size_t len;
	char *text = config_file_read(file, &len, err);
	BIO *bio = text == NULL ? NULL : BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = NULL;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &was_asked);
	if (text != NULL && key == NULL && was_asked)
		error_set(err,
			"%s is encrypted, and nobody is there to type its passphrase; decrypt it "
			"(openssl pkey) and protect it by its mode",
			file->path);
	else if (text != NULL && key == NULL)
		error_set(err, "%s has no private key (PEM) that can be read: %s", file->path,
			openssl_reason());
	ERR_clear_error();
	BIO_free(bio);
	file_wipe(text, text == NULL ? 0 : len);
	return key;
}

/* first: what stands at the beginning, for messages */
static void check_order(const struct config_file *file, STACK_OF(X509) * chain, const char *first,
	struct faults *faults)
{
	for (int i = 1; i < sk_X509_num(chain); i++)
		if (X509_check_issued(sk_X509_value(chain, i), sk_X509_value(chain, i - 1)) !=
			X509_V_OK)
			fault_add(faults, file->place.line,
				"%s: certificate %d is not the issuer of certificate %d; %s "
				"comes first, then each one's issuer",
				file->path, i + 1, i, first);
	if (sk_X509_num(chain) > CHAIN_MAX)
		fault_add(faults, file->place.line, "%s has more than %d certificates", file->path,
			CHAIN_MAX);
}

static void check_times(const struct config_file *file, X509 *leaf, struct faults *faults)
{
	if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
		fault_warn(faults, file->place.line, "%s: the certificate has expired", file->path);
	if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
		fault_warn(faults, file->place.line, "%s: the certificate is not valid yet",
			file->path);
}

/* A wildcard as server name asks the certificate about a name below it. */
static void check_names(
	const struct config_certificate *certificate, X509 *leaf, struct faults *faults)
{
	for (size_t i = 0; i < certificate->server_name_count; i++) {
		const char *name = certificate->server_names[i];
		char below[300];

		snprintf(below, sizeof(below), "%s%s", name[0] == '*' ? "any" : "",
			name[0] == '*' ? name + 1 : name);
		if (X509_check_host(leaf, below, 0, 0, NULL) != 1)
			fault_warn(faults, certificate->chain.place.line,
				"%s: the certificate is not valid for '%s'",
				certificate->chain.path, name);
	}
}

static void check_leaf(
	const struct config_certificate *certificate, X509 *leaf, struct faults *faults)
{
	const struct config_file *file = &certificate->chain;

	if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1)
		fault_warn(faults, file->place.line,
			"%s: the certificate is not meant for TLS servers (key usage)", file->path);
	check_times(file, leaf, faults);
	check_names(certificate, leaf, faults);
}

/* A chain and the key of its first certificate; NULL where there is no file, or a bad one. */
struct pair {
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

/* Reads both and sees whether they belong together. first: which certificate the chain begins with. */
static struct pair read_pair(const struct config_file *chain_file,
	const struct config_file *key_file, const char *first, struct faults *faults)
{
	struct pair pair = {NULL, NULL};
	struct error err;

	if (chain_file->fd != -1) {
		pair.chain = read_certificates(chain_file, &err);
		if (pair.chain == NULL)
			fault_add(faults, chain_file->place.line, "%s", err.text);
		else
			check_order(chain_file, pair.chain, first, faults);
	}
	if (key_file->fd != -1) {
		pair.key = read_key(key_file, &err);
		if (pair.key == NULL)
			fault_add(faults, key_file->place.line, "%s", err.text);
	}
	if (pair.chain != NULL && pair.key != NULL &&
		X509_check_private_key(sk_X509_value(pair.chain, 0), pair.key) != 1)
		fault_add(faults, key_file->place.line,
			"%s is not the key of the first certificate in %s", key_file->path,
			chain_file->path);
	return pair;
}

static void pair_free(struct pair *pair)
{
	ERR_clear_error();
	EVP_PKEY_free(pair->key);
	sk_X509_pop_free(pair->chain, X509_free);
}

int pki_check_certificate(const struct config_certificate *certificate, struct faults *faults)
{
	struct pair pair =
		read_pair(&certificate->chain, &certificate->key, "the server's", faults);
	int kind = pair.key == NULL ? 0 : EVP_PKEY_get_base_id(pair.key);

	if (pair.chain != NULL)
		check_leaf(certificate, sk_X509_value(pair.chain, 0), faults);
	pair_free(&pair);
	return kind;
}

/* OpenSSL takes some that are none for authorities, for the sake of very old ones. */
static bool is_authority(X509 *certificate)
{
	return X509_check_ca(certificate) == 1 &&
	       (X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) != 0;
}

static void check_issuer(const struct config_file *file, X509 *issuer, struct faults *faults)
{
	int line = file->place.line;

	if (!is_authority(issuer))
		fault_add(faults, line,
			"%s: the first certificate is not that of an authority (basic constraints, "
			"key usage), so nobody would take what it signs",
			file->path);
	else if (X509_check_purpose(issuer, X509_PURPOSE_SSL_CLIENT, 1) != 1)
		fault_add(faults, line,
			"%s: the first certificate may not sign certificates of TLS clients "
			"(extended key usage)",
			file->path);
	if (X509_cmp_current_time(X509_get0_notAfter(issuer)) < 0)
		fault_add(faults, line, "%s: the first certificate has expired", file->path);
	if (X509_cmp_current_time(X509_get0_notBefore(issuer)) > 0)
		fault_add(faults, line, "%s: the first certificate is not valid yet", file->path);
}

void pki_check_issuer(const struct config_minted *minted, struct faults *faults)
{
	struct pair pair = read_pair(&minted->issuer, &minted->key, "the one that signs", faults);

	if (pair.chain != NULL)
		check_issuer(&minted->issuer, sk_X509_value(pair.chain, 0), faults);
	pair_free(&pair);
}

int pki_check_bundle(const struct config_file *bundle, struct error *err)
{
	STACK_OF(X509) *found = read_certificates(bundle, err);
	int result = found == NULL ? -1 : 0;

	sk_X509_pop_free(found, X509_free);
	return result;
}

int pki_check_ciphers(const char *ciphers, struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	int is_good = context != NULL && SSL_CTX_set_cipher_list(context, ciphers) == 1;

	ERR_clear_error();
	SSL_CTX_free(context);
	if (is_good)
		return 0;
	return error_set(
		err, "'%.100s' is not a list of ciphers as in openssl-ciphers(1)", ciphers);
}
