#include "auth/identity_names.h"

#include <string.h>

#include "auth/binding.h"
#include "auth/san.h"

const char *identity_kind_name(enum identity_kind kind)
{
	static const char *const names[IDENTITY_KIND_COUNT] = {
		[IDENTITY_PRINCIPAL_NAME] = "principal-name",
		[IDENTITY_RFC822_NAME] = "rfc822-name",
		[IDENTITY_SMTP_UTF8_MAILBOX] = "smtp-utf8-mailbox",
		[IDENTITY_SKI] = "ski",
		[IDENTITY_KEY_SHA1] = "sha1-public-key",
		[IDENTITY_ISSUER] = "issuer",
		[IDENTITY_SERIAL] = "serial",
		[IDENTITY_SUBJECT] = "subject",
		[IDENTITY_SID] = "sid",
	};

	return (unsigned int)kind < IDENTITY_KIND_COUNT ? names[kind] : "unknown";
}

const char *identity_names_text(const struct identity_names *names, size_t i)
{
	return names->text + names->names[i].at;
}

const char *identity_names_first(const struct identity_names *names, enum identity_kind kind)
{
	for (size_t i = 0; i < names->count; i++)
		if (names->names[i].kind == kind)
			return identity_names_text(names, i);
	return NULL;
}

int identity_names_add(struct identity_names *names, enum identity_kind kind, struct span value)
{
	struct identity_name *name;

	if (names->count == IDENTITY_COUNT_MAX || value.len > IDENTITY_NAME_MAX ||
		value.len + 1 > sizeof(names->text) - names->used ||
		(value.len > 0 && memchr(value.data, '\0', value.len) != NULL))
		return -1;
	name = &names->names[names->count++];
	name->kind = (uint16_t)kind;
	name->at = names->used;
	if (value.len > 0)
		memcpy(names->text + names->used, value.data, value.len);
	names->used = (uint16_t)(names->used + value.len + 1); /* the NUL is there already */
	return 0;
}

/* Of each name its kind, counted from 1, and its text with the NUL; at the end a 0. */
size_t identity_names_packed_size(const struct identity_names *names, uint32_t kinds)
{
	size_t size = 1;

	for (size_t i = 0; i < names->count; i++)
		if ((kinds >> names->names[i].kind & 1) != 0)
			size += 1 + strlen(identity_names_text(names, i)) + 1;
	return size;
}

void identity_names_pack(const struct identity_names *names, uint32_t kinds, uint8_t *packed)
{
	uint8_t *at = packed;

	for (size_t i = 0; i < names->count; i++) {
		const char *text = identity_names_text(names, i);

		if ((kinds >> names->names[i].kind & 1) == 0)
			continue;
		*at++ = (uint8_t)(names->names[i].kind + 1);
		memcpy(at, text, strlen(text) + 1);
		at += strlen(text) + 1;
	}
	*at = 0;
}

void identity_names_unpack(const uint8_t *packed, struct identity_names *names)
{
	memset(names, 0, sizeof(*names));
	while (*packed != 0) {
		enum identity_kind kind = (enum identity_kind)(*packed - 1);
		const char *text = (const char *)packed + 1;

		identity_names_add(names, kind, span_of_string(text));
		packed += 1 + strlen(text) + 1;
	}
}

bool identity_names_are_sound(const struct identity_names *names)
{
	if (names->count > IDENTITY_COUNT_MAX || names->used > sizeof(names->text) ||
		(names->count > 0 && names->used == 0) ||
		(names->used > 0 && names->text[names->used - 1] != '\0'))
		return false;
	for (size_t i = 0; i < names->count; i++) {
		const struct identity_name *name = &names->names[i];

		if (name->kind >= IDENTITY_KIND_COUNT || name->at >= names->used ||
			strlen(names->text + name->at) > IDENTITY_NAME_MAX)
			return false;
	}
	return true;
}

enum refusal identity_names_read(X509 *certificate, struct identity_names *names)
{
	enum refusal refusal = san_read_certificate(certificate, names);

	if (refusal == REFUSAL_NONE)
		refusal = binding_read_certificate(certificate, names);
	if (refusal != REFUSAL_NONE)
		memset(names, 0, sizeof(*names));
	return refusal;
}
