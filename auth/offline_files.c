#include "auth/offline_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/authority_bundle.h"
#include "config/whole.h"

/* What a file may hold: far more than certificates take, and as much of a CRL as OpenSSL can count. */
static const size_t size_limits[] = {[OFFLINE_CERTIFICATE] = 16 << 20, [OFFLINE_CRL] = INT32_MAX};

/* The names that PEM blocks of a kind go by; the first is the standard's (RFC 7468). */
static const char *const pem_names[][5] = {
	[OFFLINE_CERTIFICATE] = {PEM_STRING_X509, PEM_STRING_X509_OLD, PEM_STRING_PKCS7,
		PEM_STRING_PKCS7_SIGNED, PEM_STRING_CMS},
	[OFFLINE_CRL] = {PEM_STRING_X509_CRL, "CRL"},
};

static const char *const kind_words[] = {
	[OFFLINE_CERTIFICATE] = "certificate", [OFFLINE_CRL] = "CRL"};

static void report(const struct offline_reader *reader, const char *text)
{
	if (reader->report != NULL)
		reader->report(reader->context, text);
}

static bool is_pem(struct span content)
{
	static const char begin[] = "-----BEGIN";

	return content.data != NULL && content.len > 0 &&
	       memmem(content.data, content.len, begin, sizeof(begin) - 1) != NULL;
}

static void report_fault(const struct offline_reader *reader, const char *name, const char *fault)
{
	char text[420];

	snprintf(text, sizeof(text), "%.200s: %.200s", name, fault);
	report(reader, text);
}

static bool is_wanted(const struct offline_reader *reader, const char *pem_name)
{
	const char *const *names = pem_names[reader->kind];

	for (size_t i = 0; i < sizeof(pem_names[0]) / sizeof(pem_names[0][0]) && names[i] != NULL;
		i++)
		if (strcmp(pem_name, names[i]) == 0)
			return true;
	return false;
}

/* What PEM_read_bio() leaves in the queue at the end of the text; all else is a broken block. */
static bool is_at_end(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* PKCS#7 (RFC 2315) with signed data, as CAs hand out chains. */
static bool is_bundle(struct span content)
{
	static const uint8_t signed_data[] = {
		V_ASN1_OBJECT, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2};
	static const size_t head_max = 6; /* a tag, and a length of at most 4 GB */

	/* It stands first in the outermost SEQUENCE. */
	for (size_t at = 2;
		content.data != NULL && at <= head_max && at + sizeof(signed_data) <= content.len;
		at++)
		if (memcmp(content.data + at, signed_data, sizeof(signed_data)) == 0)
			return true;
	return false;
}

/* Takes each of its certificates. How many, or -1. */
static int split_bundle(const struct offline_reader *reader, const char *name, struct span content,
	struct error *err)
{
	struct error cause;
	STACK_OF(X509) *all = authority_bundle_decode(content, &cause);
	int count = 0;

	if (all == NULL) {
		report_fault(reader, name, cause.text);
		return 0;
	}
	for (int i = 0; count != -1 && i < sk_X509_num(all); i++) {
		unsigned char *der = NULL;
		int len = i2d_X509(sk_X509_value(all, i), &der);

		if (len < 0)
			count = error_set(err, "reading %s: out of memory", name);
		else
			count = reader->take(
					reader->context, name, span_of(der, (size_t)len), err) == 0
					? count + 1
					: -1;
		OPENSSL_free(der);
	}
	sk_X509_pop_free(all, X509_free);
	return count;
}

static int take_object(
	const struct offline_reader *reader, const char *name, struct span der, struct error *err)
{
	if (reader->kind == OFFLINE_CERTIFICATE && is_bundle(der))
		return split_bundle(reader, name, der, err);
	return reader->take(reader->context, name, der, err) == 0 ? 1 : -1;
}

static int split_pem(const struct offline_reader *reader, const char *name, struct span content,
	struct error *err)
{
	BIO *in = BIO_new_mem_buf(content.data, (int)content.len);
	unsigned char *der = NULL;
	char *pem_name = NULL;
	char *header = NULL;
	int count = 0;
	long len;

	if (in == NULL)
		return error_set(err, "reading %s: out of memory", name);
	ERR_clear_error();
	while (count >= 0 && PEM_read_bio(in, &pem_name, &header, &der, &len) == 1) {
		if (is_wanted(reader, pem_name)) {
			int taken = take_object(reader, name, span_of(der, (size_t)len), err);

			count = taken == -1 ? -1 : count + taken;
		}
		OPENSSL_free(pem_name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	if (count >= 0 && !is_at_end()) {
		char text[300];

		snprintf(text, sizeof(text),
			"%.200s: a broken PEM block; what follows is passed over", name);
		report(reader, text);
	}
	ERR_clear_error();
	BIO_free(in);
	return count;
}

/* Exactly one SEQUENCE, as certificates and CRLs are. */
static bool is_sequence(struct span content)
{
	const unsigned char *at = content.data;
	int tag = 0;
	int class = 0;
	long len;
	bool is_good;

	if (content.len == 0 || content.len > INT32_MAX)
		return false;
	is_good =
		ASN1_get_object(&at, &len, &tag, &class, (long)content.len) == V_ASN1_CONSTRUCTED &&
		tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL &&
		at + len == content.data + content.len;
	ERR_clear_error();
	return is_good;
}

int offline_split(const struct offline_reader *reader, const char *name, struct span content,
	struct error *err)
{
	if (content.len > INT32_MAX)
		return error_set(err, "%s: larger than 2 GB", name);
	if (is_pem(content))
		return split_pem(reader, name, content, err);
	if (!is_sequence(content))
		return 0;
	return take_object(reader, name, content, err);
}

static int load_descriptor(
	int fd, const char *path, size_t size_max, uint8_t **data, size_t *len, struct error *err)
{
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) == -1)
		return error_sys(err, "reading %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, "reading %s: not a regular file", path);
	if ((uint64_t)st.st_size > size_max)
		return error_set(err, "reading %s: larger than %zu bytes", path, size_max);
	*data = malloc((size_t)st.st_size + 1);
	if (*data == NULL)
		return error_sys(err, "reading %s", path);
	got = whole_read(fd, *data, (size_t)st.st_size);
	*len = (size_t)st.st_size;
	if (got == st.st_size)
		return 0;
	if (got == -1)
		error_sys(err, "reading %s", path);
	else
		error_set(err, "reading %s: it has become shorter", path);
	free(*data);
	*data = NULL;
	return -1;
}

int offline_load(const char *path, size_t size_max, uint8_t **data, size_t *len, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int result;

	if (fd == -1)
		return error_sys(err, "opening %s", path);
	result = load_descriptor(fd, path, size_max, data, len, err);
	close(fd);
	return result;
}

static int read_file(const struct offline_reader *reader, const char *path, struct error *err)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int count;

	if (offline_load(path, size_limits[reader->kind], &data, &len, err) == -1)
		return -1;
	count = offline_split(reader, path, span_of(data, len), err);
	free(data);
	return count;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int read_entry(const struct offline_reader *reader, const char *directory, const char *name,
	struct error *err)
{
	char path[4096];
	char text[sizeof(path) + 40];
	struct stat st;
	int count;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return error_set(
			err, "reading %.200s: the path of %.200s is too long", directory, name);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return 0;
	count = read_file(reader, path, err);
	if (count == 0) {
		snprintf(text, sizeof(text), "%s: no %s in it", path, kind_words[reader->kind]);
		report(reader, text);
	}
	return count;
}

static int read_directory(const struct offline_reader *reader, const char *path, struct error *err)
{
	struct dirent **entries = NULL;
	int entry_count = scandir(path, &entries, is_visible, alphasort);
	int count = 0;

	if (entry_count == -1)
		return error_sys(err, "reading the directory %s", path);
	for (int i = 0; i < entry_count; i++) {
		if (count >= 0) {
			int taken = read_entry(reader, path, entries[i]->d_name, err);

			count = taken < 0 ? -1 : count + taken;
		}
		free(entries[i]);
	}
	free(entries);
	return count;
}

int offline_read(const struct offline_reader *reader, const char *path, struct error *err)
{
	struct stat st;
	int count;

	if (stat(path, &st) == -1)
		return error_sys(err, "reading %s", path);
	if (S_ISDIR(st.st_mode))
		return read_directory(reader, path, err);
	count = read_file(reader, path, err);
	if (count == 0)
		return error_set(
			err, "%s: no %s in it, in DER or PEM", path, kind_words[reader->kind]);
	return count;
}
