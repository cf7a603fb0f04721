#include "proxy/easproxyctl_ca_place.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/hex.h"
#include "config/lookup.h"

enum { DIGITS_MIN = 8 };

void ca_place_begin(struct ca_place *place)
{
	*place = (struct ca_place){.config = EASPROXY_CONFIG};
}

bool ca_place_take(struct ca_place *place, int option, const char *argument)
{
	switch (option) {
	case 'c': place->config = argument; return true;
	case 's': place->socket_given = argument; return true;
	case 'S': place->store_given = argument; return true;
	default: return false;
	}
}

int ca_place_find(struct ca_place *place, struct error *err)
{
	struct error ignored;

	place->store = place->store_given != NULL
			       ? strdup(place->store_given)
			       : config_lookup_path(place->config, "trust", "store", err);
	if (place->store == NULL)
		return -1;
	/* A store that was named need not be one that easproxyd uses. */
	if (place->socket_given != NULL)
		place->socket = strdup(place->socket_given);
	else if (place->store_given != NULL)
		place->socket = strdup("");
	else
		place->socket = config_lookup_path(place->config, "", "control-socket", &ignored);
	if (place->socket == NULL)
		place->socket = strdup("");
	return place->socket != NULL ? 0 : error_set(err, "out of memory");
}

void ca_place_end(struct ca_place *place)
{
	free(place->store);
	free(place->socket);
}

void ca_place_report(void *context, const char *text)
{
	size_t *fault_count = context;

	fprintf(stderr, "%s\n", text);
	if (fault_count != NULL && strncmp(text, "warning: ", strlen("warning: ")) != 0)
		(*fault_count)++;
}

void ca_place_digest(X509 *certificate, char text[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	unsigned int len = 0;

	if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1)
		len = 0;
	hex_write(span_of(digest, len), text);
}

/* Written in many ways: with colons, blanks, capitals. "" for what is no hex. */
static void read_digits(const char *name, char digits[65])
{
	size_t len = 0;

	for (const char *c = name; *c != '\0'; c++) {
		if (isxdigit((unsigned char)*c) && len < 64)
			digits[len++] = (char)tolower((unsigned char)*c);
		else if (*c != ':' && *c != ' ')
			len = 65;
		if (len > 64)
			break;
	}
	digits[len > 64 ? 0 : len] = '\0';
}

static bool has_common_name(X509 *certificate, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	bool is_same;

	if (place < 0 || ASN1_STRING_to_UTF8(&text,
				 X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place))) < 0)
		return false;
	is_same = strcasecmp((const char *)text, name) == 0;
	OPENSSL_free(text);
	return is_same;
}

static bool is_meant(const struct authority *authority, const char *name, const char *digits)
{
	char digest[65];

	ca_place_digest(authority->certificate, digest);
	return strcasecmp(authority->issuer, name) == 0 ||
	       has_common_name(authority->certificate, name) ||
	       (strlen(digits) >= DIGITS_MIN &&
		       (strncmp(authority->key_id, digits, strlen(digits)) == 0 ||
			       strncmp(digest, digits, strlen(digits)) == 0));
}

int ca_place_select(const struct trust_store *store, const char *name, struct error *err)
{
	char digits[65], *end;
	unsigned long number = strtoul(name, &end, 10);
	int found = -1;

	/* Few enough digits that they cannot be the beginning of an identifier. */
	if (name[0] != '\0' && *end == '\0' && strlen(name) < DIGITS_MIN)
		return number >= 1 && number <= store->count
			       ? (int)number - 1
			       : error_set(err, "there is no authority %s; there are %zu", name,
					 store->count);
	read_digits(name, digits);
	for (size_t i = 0; i < store->count; i++) {
		if (!is_meant(&store->authorities[i], name, digits))
			continue;
		if (found != -1)
			return error_set(err,
				"\"%.200s\" may mean authority %d or %zu; use the number "
				"(easproxyctl ca "
				"list)",
				name, found + 1, i + 1);
		found = (int)i;
	}
	return found != -1
		       ? found
		       : error_set(err,
				 "there is no authority \"%.200s\"; easproxyctl ca list shows them",
				 name);
}
