#include "journal.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

struct journal {
	size_t capacity, next;
	json_int_t count; /* ever; the last one's number */
	json_t **entries;
};

struct journal *journal_new(size_t capacity)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (journal == NULL)
		return NULL;
	journal->capacity = capacity > 0 ? capacity : 1;
	journal->entries = calloc(journal->capacity, sizeof(json_t *));
	if (journal->entries == NULL) {
		free(journal);
		return NULL;
	}
	return journal;
}

void journal_clear(struct journal *journal)
{
	for (size_t i = 0; i < journal->capacity; i++) {
		json_decref(journal->entries[i]);
		journal->entries[i] = NULL;
	}
	journal->next = 0;
}

void journal_free(struct journal *journal)
{
	if (journal == NULL)
		return;
	journal_clear(journal);
	free(journal->entries);
	free(journal);
}

json_t *json_bytes(const char *bytes, size_t len)
{
	json_t *string = json_stringn(bytes, len);
	char *utf8;
	size_t at = 0;

	if (string != NULL || (utf8 = malloc(2 * len + 1)) == NULL)
		return string;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c >= 0x80)
			utf8[at++] = (char)(0xC0 | c >> 6);
		utf8[at++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
	}
	string = json_stringn(utf8, at);
	free(utf8);
	return string;
}

static json_t *body_digest(struct span body)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned int len = 0;

	if (EVP_Digest(body.len > 0 ? body.data : (const uint8_t *)"", body.len, digest, &len,
		    EVP_sha256(), NULL) != 1)
		return json_null();
	for (unsigned int i = 0; i < len; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
	return json_string(hex);
}

void journal_add(struct journal *journal, const struct server_request *request, const char *peer,
	const char *mailbox)
{
	json_t *entry = json_object(), *fields = json_array();
	struct timeval now;

	gettimeofday(&now, NULL);
	for (size_t i = 0; i < request->field_count; i++) {
		const struct server_field *field = &request->fields[i];
		json_t *pair = json_array();

		json_array_append_new(pair, json_bytes(field->name, strlen(field->name)));
		json_array_append_new(pair, json_bytes(field->value, strlen(field->value)));
		json_array_append_new(fields, pair);
	}
	json_object_set_new(entry, "number", json_integer(++journal->count));
	json_object_set_new(
		entry, "time", json_real((double)now.tv_sec + (double)now.tv_usec / 1e6));
	json_object_set_new(entry, "peer", json_string(peer));
	json_object_set_new(entry, "method", json_bytes(request->method, strlen(request->method)));
	json_object_set_new(entry, "target", json_bytes(request->target, strlen(request->target)));
	json_object_set_new(entry, "version", json_string(request->version));
	json_object_set_new(entry, "headers", fields);
	json_object_set_new(entry, "chunked", json_boolean(request->is_chunked));
	json_object_set_new(entry, "body_length", json_integer((json_int_t)request->body.len));
	json_object_set_new(entry, "body_sha256", body_digest(request->body));
	json_object_set_new(entry, "mailbox",
		mailbox != NULL ? json_bytes(mailbox, strlen(mailbox)) : json_null());
	json_decref(journal->entries[journal->next]);
	journal->entries[journal->next] = entry;
	journal->next = (journal->next + 1) % journal->capacity;
}

json_t *journal_list(const struct journal *journal, const char *mailbox)
{
	json_t *list = json_array();

	for (size_t i = 0; i < journal->capacity; i++) {
		json_t *entry = journal->entries[(journal->next + i) % journal->capacity];
		const char *name = json_string_value(json_object_get(entry, "mailbox"));

		if (entry != NULL &&
			(mailbox == NULL || (name != NULL && strcasecmp(name, mailbox) == 0)))
			json_array_append(list, entry);
	}
	return list;
}
