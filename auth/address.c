#include "auth/address.h"

#include <string.h>

#include "auth/unicode.h"

enum { LOCAL_PART_MAX = 64 /* RFC 5321 4.5.3.1.1 */ };

/* RFC 5321 4.1.2, Dot-string, without characters that another program might take for syntax.
 * Quoted strings are left out: no mailbox of ours needs them, and programs differ in reading them. */
static bool is_local_part(struct span local)
{
	static const char syntax[] = "\"<>,;:\\/()[]@";

	if (local.len == 0 || local.len > LOCAL_PART_MAX)
		return false;
	for (size_t i = 0; i < local.len; i++) {
		uint8_t c = local.data[i];

		if (c < 0x21 || c == 0x7f || (c < 0x80 && strchr(syntax, c) != NULL))
			return false;
		if (c == '.' && (i == 0 || i + 1 == local.len || local.data[i - 1] == '.'))
			return false;
	}
	return unicode_is_ascii(local) ||
	       (unicode_is_plain(local, false) && !unicode_hides_ascii(local));
}

static bool split(struct span address, struct span *local, struct span *domain)
{
	const uint8_t *at = address.len > 0 ? memchr(address.data, '@', address.len) : NULL;

	if (at == NULL)
		return false;
	*local = span_of(address.data, (size_t)(at - address.data));
	*domain = span_of(at + 1, address.len - local->len - 1);
	return true;
}

int address_fold(struct span address, char folded[IDENTITY_ADDRESS_MAX + 1])
{
	char labels[UNICODE_DOMAIN_MAX + 1];
	struct span local, domain;
	int local_len, domain_len;

	folded[0] = '\0';
	if (!split(address, &local, &domain) || !is_local_part(local))
		return -1;
	domain_len = unicode_domain(domain, labels);
	local_len = domain_len == -1 ? -1 : unicode_fold(local, folded, LOCAL_PART_MAX + 1);
	/* What normalization made of it is looked at again: it can make syntax of a lookalike. */
	if (local_len == -1 || !is_local_part(span_of(folded, (size_t)local_len))) {
		folded[0] = '\0';
		return -1;
	}
	folded[local_len] = '@';
	memcpy(folded + local_len + 1, labels, (size_t)domain_len + 1);
	return 0;
}

bool address_is_sound(struct span address, enum address_form form)
{
	char folded[IDENTITY_ADDRESS_MAX + 1];
	struct span local, domain;

	if (!split(address, &local, &domain))
		return false;
	if (form == ADDRESS_ASCII && !unicode_is_ascii(address))
		return false;
	if (form == ADDRESS_UTF8_LOCAL && (unicode_is_ascii(local) || !unicode_is_ascii(domain)))
		return false;
	return address_fold(address, folded) == 0;
}
