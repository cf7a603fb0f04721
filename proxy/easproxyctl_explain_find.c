#include "proxy/easproxyctl_explain_find.h"

#include <ctype.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "auth/offline_files.h"
#include "auth/openssl_error.h"
#include "auth/revocation_index.h"
#include "auth/trust_write.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"

enum { CERTIFICATES_MAX = 11, DIGITS_MIN = 8, DIGITS_SIZE = 65 };

/* From a file */

/* An offline_take. */
static int add_certificate(void *context, const char *name, struct span der, struct error *err)
{
	json_t *chain = context;
	const unsigned char *at = der.data;
	X509 *certificate;
	int result = 0;

	if (json_array_size(chain) >= CERTIFICATES_MAX)
		return 0;
	certificate = d2i_X509(NULL, &at, (long)der.len);
	if (certificate == NULL)
		result = error_openssl(err, "%s: not a certificate", name);
	else if (json_array_append_new(chain, trust_write_certificate(certificate)) == -1)
		result = error_set(err, "%s: out of memory", name);
	X509_free(certificate);
	return result;
}

static bool is_authority(const json_t *base64)
{
	X509 *certificate = answer_certificate(base64);
	bool is_so = certificate != NULL && X509_check_ca(certificate) == 1;

	X509_free(certificate);
	return is_so;
}

/* The phone's certificate belongs first; in a bundle the order says nothing. */
static void put_leaf_first(json_t *chain)
{
	size_t leaf = 0;

	while (leaf < json_array_size(chain) && is_authority(json_array_get(chain, leaf)))
		leaf++;
	if (leaf == 0 || leaf == json_array_size(chain))
		return;
	json_array_insert(chain, 0, json_array_get(chain, leaf));
	json_array_remove(chain, leaf + 1);
}

static json_t *read_file(const char *path, struct error *err)
{
	json_t *chain = json_array();
	const struct offline_reader reader = {
		.kind = OFFLINE_CERTIFICATE, .take = add_certificate, .context = chain};

	if (offline_read(&reader, path, err) > 0) {
		put_leaf_first(chain);
		return chain;
	}
	json_decref(chain);
	return NULL;
}

/* From those that were seen */

/* As logs have it, or as other programs write it: with colons, blanks or capitals. "": no hex. */
static void read_digits(const char *name, char digits[DIGITS_SIZE])
{
	size_t len = 0;

	for (const char *c = name; *c != '\0'; c++) {
		if (*c == ':' || *c == ' ')
			continue;
		if (!isxdigit((unsigned char)*c) || len == DIGITS_SIZE - 1) {
			len = 0;
			break;
		}
		digits[len++] = (char)tolower((unsigned char)*c);
	}
	digits[len] = '\0';
}

static bool has_serial(const json_t *seen, const char *digits)
{
	X509 *leaf = answer_certificate(json_array_get(json_object_get(seen, "chain"), 0));
	struct serial serial;
	char number[41] = "";

	if (leaf != NULL && serial_from_asn1(&serial, X509_get0_serialNumber(leaf)) == 0)
		serial_format(&serial, number);
	X509_free(leaf);
	return strncmp(number, digits, strlen(digits)) == 0;
}

static bool is_meant(const json_t *seen, const char *digits)
{
	const char *sha256 = json_string_value(json_object_get(seen, "sha256"));

	return (sha256 != NULL && strncmp(sha256, digits, strlen(digits)) == 0) ||
	       has_serial(seen, digits);
}

/* Of one page. *found is taken over by the caller. 0, or -1 with err filled. */
static int look_through(const json_t *page, const char *digits, json_t **found, struct error *err)
{
	const json_t *seen;
	size_t i;

	json_array_foreach(page, i, seen)
	{
		if (!is_meant(seen, digits))
			continue;
		if (*found != NULL)
			return error_set(err,
				"several certificates that were seen have a serial number or "
				"SHA-256 that begins with %s; give more digits, or the SHA-256 "
				"(easproxyctl seen)",
				digits);
		*found = json_incref(json_object_get(seen, "chain"));
	}
	return 0;
}

static json_t *find_seen(const char *socket_path, const char *digits, struct error *err)
{
	json_t *found = NULL;
	json_int_t after = 0;
	int result = 0;

	for (bool is_more = true; is_more && result == 0;) {
		json_t *answer = ctl_request(socket_path,
			json_pack("{s:s,s:I}", "request", "seen", "after", after), err);
		const json_t *next = json_object_get(answer, "next");

		if (answer == NULL) {
			result = -1;
			break;
		}
		result = look_through(json_object_get(answer, "certificates"), digits, &found, err);
		/* Pages go forward, or the answer makes no sense. */
		is_more = json_is_integer(next) && json_integer_value(next) > after;
		after = json_integer_value(next);
		json_decref(answer);
	}
	if (result == 0 && found == NULL)
		error_set(err,
			"no certificate that came in the last 30 days has a serial number or "
			"SHA-256 that begins with %s (easproxyctl seen lists them)",
			digits);
	if (result == 0)
		return found;
	json_decref(found);
	return NULL;
}

json_t *ctl_explain_find(const char *socket_path, const char *name, struct error *err)
{
	char digits[DIGITS_SIZE];

	if (access(name, F_OK) == 0)
		return read_file(name, err);
	read_digits(name, digits);
	if (strlen(digits) >= DIGITS_MIN)
		return find_seen(socket_path, digits, err);
	error_set(err,
		"%s: there is no such file, and it is no serial number or SHA-256 of a certificate "
		"that was seen (%d hexadecimal digits or more)",
		name, DIGITS_MIN);
	return NULL;
}
