#include "auth/authority.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/openssl_error.h"
#include "config/base64.h"
#include "config/hex.h"

enum {
	CERTIFICATE_SIZE_MAX = 65536,
	BASE64_SIZE_MAX = 131072,
	KEY_ID_OCTETS_MAX = 32,
};

static bool is_pem(struct span bytes)
{
	static const char begin[] = "-----BEGIN";

	return bytes.len > 0 && memmem(bytes.data, bytes.len, begin, sizeof(begin) - 1) != NULL;
}

/* OpenSSL would ask on the terminal. */
static int give_no_password(char *buffer, int size, int is_writing, void *context)
{
	(void)buffer, (void)size, (void)is_writing, (void)context;
	return -1;
}

static X509 *decode_pem(struct span bytes, struct error *err)
{
	BIO *in = BIO_new_mem_buf(bytes.data, (int)bytes.len);
	X509 *certificate = NULL;
	X509 *second = NULL;

	if (in != NULL)
		certificate = PEM_read_bio_X509(in, NULL, give_no_password, NULL);
	if (certificate == NULL) {
		error_openssl(err, "not a certificate in PEM");
		goto out;
	}
	second = PEM_read_bio_X509(in, NULL, give_no_password, NULL);
	if (second != NULL) {
		error_set(err, "more than one certificate; make an authority of each");
		X509_free(certificate);
		certificate = NULL;
	}
	X509_free(second);
out:
	BIO_free(in);
	ERR_clear_error();
	return certificate;
}

static X509 *decode(struct span bytes, struct error *err)
{
	const unsigned char *at = bytes.data;
	X509 *certificate;

	if (bytes.len == 0 || bytes.len > CERTIFICATE_SIZE_MAX) {
		error_set(err, "%s", bytes.len == 0 ? "empty" : "larger than 64 KiB");
		return NULL;
	}
	if (is_pem(bytes))
		return decode_pem(bytes, err);
	certificate = d2i_X509(NULL, &at, (long)bytes.len);
	if (certificate == NULL) {
		error_openssl(err, "neither PEM nor a certificate in DER");
		return NULL;
	}
	if (at != bytes.data + bytes.len) {
		error_set(err, "bytes after the end of the certificate");
		X509_free(certificate);
		return NULL;
	}
	return certificate;
}

X509 *authority_decode_text(struct span text, struct error *err)
{
	X509 *certificate = NULL;
	uint8_t *bytes;
	size_t len;

	if (is_pem(text))
		return decode(text, err);
	if (text.len == 0 || text.len > BASE64_SIZE_MAX) {
		error_set(err, "%s", text.len == 0 ? "empty" : "too long");
		return NULL;
	}
	bytes = malloc(text.len);
	if (bytes == NULL)
		error_sys(err, "decoding base64");
	else if (base64_decode(text, bytes, &len) == -1)
		error_set(err, "neither PEM nor base64");
	else
		certificate = decode(span_of(bytes, len), err);
	free(bytes);
	return certificate;
}

static X509 *decode_open_file(int fd, const char *path, struct error *err)
{
	uint8_t *bytes = NULL;
	X509 *certificate = NULL;
	struct error cause;
	struct stat st;
	ssize_t len;

	if (fstat(fd, &st) == -1) {
		error_sys(err, "%s", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(err, "%s: not a regular file", path);
		return NULL;
	}
	bytes = malloc(CERTIFICATE_SIZE_MAX + 1);
	len = bytes != NULL ? read(fd, bytes, CERTIFICATE_SIZE_MAX + 1) : -1;
	if (len == -1) {
		error_sys(err, "%s", path);
	} else {
		certificate = decode(span_of(bytes, (size_t)len), &cause);
		if (certificate == NULL)
			error_set(err, "%s: %s", path, cause.text);
	}
	free(bytes);
	return certificate;
}

X509 *authority_decode_file(const char *base_dir, const char *path, struct error *err)
{
	X509 *certificate;
	char full[4096];
	int written;
	int fd;

	if (path[0] == '/')
		written = snprintf(full, sizeof(full), "%s", path);
	else
		written = snprintf(full, sizeof(full), "%s/%s", base_dir, path);
	if (written < 0 || (size_t)written >= sizeof(full)) {
		error_set(err, "the path is too long");
		return NULL;
	}
	/* A FIFO must not hold up the start. */
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1) {
		error_sys(err, "%s", full);
		return NULL;
	}
	certificate = decode_open_file(fd, full, err);
	close(fd);
	return certificate;
}

int authority_check(X509 *certificate, bool is_root, struct error *err)
{
	int is_self_signed;

	if (X509_check_purpose(certificate, -1, 0) != 1)
		return error_openssl(err, "malformed or repeated extensions");
	if ((X509_get_extension_flags(certificate) & EXFLAG_CA) == 0)
		return error_set(err, "not a CA (basicConstraints without CA:TRUE)");
	if (X509_check_ca(certificate) != 1)
		return error_set(err, "not a CA (keyUsage without keyCertSign)");
	if (X509_get0_pubkey(certificate) == NULL)
		return error_openssl(err, "its key cannot be read");
	is_self_signed = X509_self_signed(certificate, is_root);
	ERR_clear_error();
	if (is_root && is_self_signed != 1)
		return error_set(err, "given as a root, but not self-signed");
	if (!is_root && is_self_signed != 0)
		return error_set(err, "given as an intermediate, but self-signed");
	return 0;
}

int authority_check_crl_signer(X509 *certificate, struct error *err)
{
	if (X509_check_purpose(certificate, -1, 0) != 1)
		return error_openssl(err, "malformed or repeated extensions");
	if ((X509_get_extension_flags(certificate) & EXFLAG_CA) != 0)
		return error_set(err, "given as a CRL signer, but it is a CA");
	if ((X509_get_extension_flags(certificate) & EXFLAG_KUSAGE) == 0 ||
		(X509_get_key_usage(certificate) & KU_CRL_SIGN) == 0)
		return error_set(err, "given as a CRL signer, but its keyUsage has no cRLSign");
	if (X509_get0_pubkey(certificate) == NULL)
		return error_openssl(err, "its key cannot be read");
	if (X509_self_signed(certificate, 0) != 0)
		return error_set(err, "given as a CRL signer, but self-signed");
	return 0;
}

bool authority_is_same(X509 *a, X509 *b)
{
	const EVP_PKEY *key = X509_get0_pubkey(a);
	bool is_same = key != NULL &&
		       X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0 &&
		       X509_get0_pubkey(b) != NULL && EVP_PKEY_eq(key, X509_get0_pubkey(b)) == 1;

	ERR_clear_error();
	return is_same;
}

int authority_key_id(X509 *certificate, char key_id[65])
{
	const ASN1_OCTET_STRING *identifier = X509_get0_subject_key_id(certificate);
	unsigned char sha1[EVP_MAX_MD_SIZE];
	const unsigned char *bytes = sha1;
	unsigned int len = 0;

	if (identifier != NULL && ASN1_STRING_length(identifier) > 0) {
		bytes = ASN1_STRING_get0_data(identifier);
		len = (unsigned int)ASN1_STRING_length(identifier);
	} else if (X509_pubkey_digest(certificate, EVP_sha1(), sha1, &len) != 1) {
		return -1;
	}
	if (len > KEY_ID_OCTETS_MAX)
		len = KEY_ID_OCTETS_MAX;
	hex_write(span_of(bytes, len), key_id);
	return 0;
}
