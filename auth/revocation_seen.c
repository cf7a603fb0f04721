#include "auth/revocation_seen.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/revocation_state.h"
#include "config/hex.h"

/* The digest and the index's checksum in hex, the validators, and a word that ends it, a line each. */
enum {
	HEX_SIZE = 2 * REVOCATION_SEEN_SUM_SIZE + 1,
	TEXT_SIZE = 2 * HEX_SIZE + 2 * REVOCATION_VALIDATOR_SIZE + 8,
};
_Static_assert(
	(int)REVOCATION_FILE_CHECKSUM_SIZE == (int)REVOCATION_SEEN_SUM_SIZE, "both are SHA-256");
static const char end_word[] = "end";

bool revocation_seen_knows(struct revocation_seen *seen, struct span crl)
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	bool is_known;

	if (EVP_Digest(crl.data, crl.len, sum, NULL, EVP_sha256(), NULL) != 1) {
		seen->has_sum = false;
		return false;
	}
	is_known = seen->has_sum && memcmp(sum, seen->sum, sizeof(seen->sum)) == 0;
	memcpy(seen->sum, sum, sizeof(seen->sum));
	seen->has_sum = true;
	return is_known;
}

void revocation_seen_save(const struct revocation_seen *seen,
	const uint8_t index_sum[REVOCATION_FILE_CHECKSUM_SIZE], int directory, const char *name)
{
	char hex[HEX_SIZE], index_hex[HEX_SIZE];
	char text[TEXT_SIZE];
	struct error err;
	int len;

	if (!seen->has_sum)
		return;
	hex_write(span_of(seen->sum, sizeof(seen->sum)), hex);
	hex_write(span_of(index_sum, REVOCATION_FILE_CHECKSUM_SIZE), index_hex);
	len = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%s\n", hex, index_hex, seen->etag,
		seen->last_modified, end_word);
	revocation_state_save_bytes(
		directory, name, span_of((const uint8_t *)text, (size_t)len), &err);
}

/* Cuts the next line off; NULL where there is none, or it does not fit. */
static const char *next_line(char **text, size_t size)
{
	char *line = *text;
	char *end = line == NULL ? NULL : strchr(line, '\n');

	if (end == NULL || (size_t)(end - line) >= size)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

static int text_read(char *text, struct revocation_seen *seen,
	const uint8_t index_sum[REVOCATION_FILE_CHECKSUM_SIZE])
{
	const char *hex = next_line(&text, HEX_SIZE);
	const char *index_hex = hex == NULL ? NULL : next_line(&text, HEX_SIZE);
	const char *etag = index_hex == NULL ? NULL : next_line(&text, sizeof(seen->etag));
	const char *last_modified =
		etag == NULL ? NULL : next_line(&text, sizeof(seen->last_modified));
	const char *end = last_modified == NULL ? NULL : next_line(&text, sizeof(end_word));
	char expected[HEX_SIZE];

	hex_write(span_of(index_sum, REVOCATION_FILE_CHECKSUM_SIZE), expected);
	if (end == NULL || strcmp(end, end_word) != 0 || strcmp(index_hex, expected) != 0 ||
		hex_read(hex, seen->sum, sizeof(seen->sum)) == -1)
		return -1;
	snprintf(seen->etag, sizeof(seen->etag), "%s", etag);
	snprintf(seen->last_modified, sizeof(seen->last_modified), "%s", last_modified);
	seen->has_sum = true;
	return 0;
}

void revocation_seen_load(struct revocation_seen *seen,
	const uint8_t index_sum[REVOCATION_FILE_CHECKSUM_SIZE], int directory, const char *name)
{
	struct error err;
	uint8_t *data;
	size_t len;
	char *text;

	memset(seen, 0, sizeof(*seen));
	if (revocation_state_load_bytes(directory, name, TEXT_SIZE, &data, &len, &err) == -1)
		return;
	text = strndup((const char *)data, len);
	free(data);
	if (text != NULL && text_read(text, seen, index_sum) == -1)
		memset(seen, 0, sizeof(*seen));
	free(text);
}
