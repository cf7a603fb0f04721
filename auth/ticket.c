#include "auth/ticket.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "auth/sealed_index.h"

enum {
	MAGIC_SIZE = 8,
	KEY_TYPE_AT = 8,
	FLAGS_AT = 12,
	TIMES_AT = 16,
	LENGTHS_AT = 40,
	/* Kerberos counts seconds in 32 bits (RFC 4120 5.2.3 does not, its library does). */
	TIME_BITS = 32,
};

static const uint8_t magic[MAGIC_SIZE] = {'E', 'A', 'S', 'T', 'K', 'T', '0', '1'};

static bool is_time(int64_t time)
{
	return time >= 0 && time >> TIME_BITS == 0;
}

/* A name becomes a string of C. */
static bool is_name(struct span name)
{
	return name.len >= 1 && name.len <= TICKET_NAME_MAX &&
	       memchr(name.data, '\0', name.len) == NULL;
}

static bool are_sound(const struct ticket_parts *parts)
{
	return is_time(parts->login_time) && is_time(parts->begin_time) &&
	       is_time(parts->end_time) && parts->key.len >= 1 &&
	       parts->key.len <= TICKET_KEY_MAX && is_name(parts->user) &&
	       is_name(parts->service) && parts->encrypted.len >= 1 &&
	       parts->encrypted.len <= TICKET_ENCRYPTED_MAX;
}

static uint8_t *append(uint8_t *at, struct span part)
{
	memcpy(at, part.data, part.len);
	return at + part.len;
}

int ticket_write(const struct ticket_parts *parts, struct ticket *ticket)
{
	uint8_t *at;

	*ticket = (struct ticket){0};
	if (!are_sound(parts))
		return -1;
	ticket->len = TICKET_HEAD_SIZE + parts->key.len + parts->user.len + parts->service.len +
		      parts->encrypted.len;
	ticket->bytes = malloc(ticket->len);
	if (ticket->bytes == NULL)
		return -1;
	ticket->valid_until = parts->end_time;
	memcpy(ticket->bytes, magic, MAGIC_SIZE);
	sealed_index_put(ticket->bytes + KEY_TYPE_AT, 4, (uint32_t)parts->key_type);
	sealed_index_put(ticket->bytes + FLAGS_AT, 4, parts->flags);
	sealed_index_put(ticket->bytes + TIMES_AT, 8, (uint64_t)parts->login_time);
	sealed_index_put(ticket->bytes + TIMES_AT + 8, 8, (uint64_t)parts->begin_time);
	sealed_index_put(ticket->bytes + TIMES_AT + 16, 8, (uint64_t)parts->end_time);
	sealed_index_put(ticket->bytes + LENGTHS_AT, 2, parts->key.len);
	sealed_index_put(ticket->bytes + LENGTHS_AT + 2, 2, parts->user.len);
	sealed_index_put(ticket->bytes + LENGTHS_AT + 4, 2, parts->service.len);
	sealed_index_put(ticket->bytes + LENGTHS_AT + 6, 4, parts->encrypted.len);
	at = append(ticket->bytes + TICKET_HEAD_SIZE, parts->key);
	at = append(at, parts->user);
	at = append(at, parts->service);
	append(at, parts->encrypted);
	return 0;
}

/* The next size bytes; false where there are fewer. */
static bool take(struct span *rest, size_t size, struct span *part)
{
	if (size > rest->len)
		return false;
	*part = span_of(rest->data, size);
	*rest = span_of(rest->data + size, rest->len - size);
	return true;
}

int ticket_read(struct span bytes, struct ticket_parts *parts)
{
	const uint8_t *head = bytes.data;
	struct span rest;

	if (bytes.len < TICKET_HEAD_SIZE || memcmp(head, magic, MAGIC_SIZE) != 0)
		return -1;
	parts->key_type = (int32_t)(uint32_t)sealed_index_get(head + KEY_TYPE_AT, 4);
	parts->flags = (uint32_t)sealed_index_get(head + FLAGS_AT, 4);
	parts->login_time = (int64_t)sealed_index_get(head + TIMES_AT, 8);
	parts->begin_time = (int64_t)sealed_index_get(head + TIMES_AT + 8, 8);
	parts->end_time = (int64_t)sealed_index_get(head + TIMES_AT + 16, 8);
	rest = span_of(head + TICKET_HEAD_SIZE, bytes.len - TICKET_HEAD_SIZE);
	if (!take(&rest, sealed_index_get(head + LENGTHS_AT, 2), &parts->key) ||
		!take(&rest, sealed_index_get(head + LENGTHS_AT + 2, 2), &parts->user) ||
		!take(&rest, sealed_index_get(head + LENGTHS_AT + 4, 2), &parts->service) ||
		!take(&rest, sealed_index_get(head + LENGTHS_AT + 6, 4), &parts->encrypted))
		return -1;
	return rest.len == 0 && are_sound(parts) ? 0 : -1;
}

void ticket_clear(struct ticket *ticket)
{
	if (ticket->bytes != NULL)
		OPENSSL_cleanse(ticket->bytes, ticket->len);
	free(ticket->bytes);
	*ticket = (struct ticket){0};
}
