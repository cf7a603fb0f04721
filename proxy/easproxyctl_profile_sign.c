/* Signed profiles: CMS as phones take it, with the profile inside (RFC 5652 5). */
#include <inttypes.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "auth/x509_text.h"
#include "proxy/easproxyctl_profile.h"

/* A key with a passphrase would have OpenSSL ask for it at the terminal. */
static int no_passphrase(char *text, int size, int is_writing, void *context)
{
	(void)text, (void)size, (void)is_writing, (void)context;
	return -1;
}

static int fail(struct error *err, const char *what, const char *path)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return error_set(err, "%s%s%s: %s", what, path[0] != '\0' ? " " : "", path,
		reason != NULL ? reason : "it is not possible");
}

/* The first certificate of a file, and those behind it. */
static int read_certificates(
	const char *path, X509 **leaf, STACK_OF(X509) * others, struct error *err)
{
	BIO *bio = BIO_new_file(path, "r");
	X509 *certificate;

	if (bio == NULL)
		return fail(err, "reading", path);
	*leaf = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	while (*leaf != NULL && sk_X509_num(others) < 10 &&
		(certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
		if (sk_X509_push(others, certificate) == 0)
			X509_free(certificate);
	BIO_free(bio);
	if (*leaf == NULL)
		return fail(err, "reading a certificate (PEM) from", path);
	ERR_clear_error(); /* the end of the file */
	return 0;
}

static EVP_PKEY *read_key(const char *path, struct error *err)
{
	BIO *bio = BIO_new_file(path, "r");
	EVP_PKEY *key =
		bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	if (key == NULL)
		fail(err, "reading a private key (PEM, without a passphrase) from", path);
	return key;
}

static void look_at_signer(const X509 *signer, int64_t now, const struct profile_report *report)
{
	char name[256];
	int64_t until;

	x509_name_format(X509_get_subject_name(signer), name, sizeof(name));
	if (x509_time_read(X509_get0_notAfter(signer), &until) == 0 && until < now)
		profile_tell(report, PROFILE_WARNING,
			"the certificate of the signer has expired (%s): phones show the profile "
			"as "
			"not verified",
			name);
	else
		profile_tell(report, PROFILE_NOTE,
			"signed by %s; whether phones trust it was not looked at", name);
}

int profile_sign(struct span content, const char *certificate_path, const char *key_path,
	int64_t now, const struct profile_report *report, uint8_t **der, size_t *len,
	struct error *err)
{
	STACK_OF(X509) *others = sk_X509_new_null();
	X509 *leaf = NULL;
	EVP_PKEY *key = NULL;
	BIO *bio = NULL;
	CMS_ContentInfo *cms = NULL;
	int status = -1, der_len;

	*der = NULL;
	if (others == NULL || read_certificates(certificate_path, &leaf, others, err) != 0)
		goto out;
	key = read_key(key_path, err);
	if (key == NULL)
		goto out;
	if (X509_check_private_key(leaf, key) != 1) {
		ERR_clear_error();
		error_set(err, "the key of %s is not that of the certificate in %s", key_path,
			certificate_path);
		goto out;
	}
	look_at_signer(leaf, now, report);
	bio = BIO_new_mem_buf(content.data, (int)content.len);
	if (bio != NULL)
		cms = CMS_sign(leaf, key, others, bio, CMS_BINARY);
	der_len = cms != NULL ? i2d_CMS_ContentInfo(cms, der) : -1;
	if (der_len > 0) {
		*len = (size_t)der_len;
		status = 0;
	} else {
		fail(err, "signing the profile", "");
	}
out:
	CMS_ContentInfo_free(cms);
	BIO_free(bio);
	EVP_PKEY_free(key);
	X509_free(leaf);
	sk_X509_pop_free(others, X509_free);
	return status;
}

/* The signature has to hold; whose it is a phone decides by what it trusts. */
int profile_unsign(struct span der, int64_t now, const struct profile_report *report,
	uint8_t **content, size_t *len, struct error *err)
{
	const unsigned char *at = der.data;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)der.len);
	STACK_OF(X509) *signers = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	long data_len;
	int status = -1;

	*content = NULL;
	if (cms == NULL || bio == NULL) {
		fail(err, "reading it as signed data", "");
		goto out;
	}
	if (CMS_verify(cms, NULL, NULL, NULL, bio, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1) {
		fail(err, "its signature does not hold", "");
		goto out;
	}
	signers = CMS_get0_signers(cms);
	for (int i = 0; i < sk_X509_num(signers); i++)
		look_at_signer(sk_X509_value(signers, i), now, report);
	data_len = BIO_get_mem_data(bio, &data);
	*content = data_len > 0 ? OPENSSL_memdup(data, (size_t)data_len) : NULL;
	if (*content == NULL) {
		error_set(err, "there is nothing in what is signed");
		goto out;
	}
	*len = (size_t)data_len;
	status = 0;
out:
	sk_X509_free(signers);
	BIO_free(bio);
	CMS_ContentInfo_free(cms);
	return status;
}
