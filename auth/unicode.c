#include "auth/unicode.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

enum { LABEL_MAX = 63 /* RFC 1035 2.3.4 */ };

bool unicode_is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] >= 0x80)
			return false;
	return true;
}

static bool is_plain(ucs4_t c)
{
	static const uint32_t refused =
		UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Z; /* Cc, Cf, Cs, Co, Cn; Zs, Zl, Zp */

	return !uc_is_general_category_withtable(c, refused) &&
	       !uc_is_property_default_ignorable_code_point(c);
}

bool unicode_is_plain(struct span text, bool with_space)
{
	size_t at = 0;

	while (at < text.len) {
		ucs4_t c;
		int len = u8_mbtoucr(&c, text.data + at, text.len - at);

		if (len <= 0)
			return false;
		if (!(c == ' ' && with_space) && !is_plain(c))
			return false;
		at += (size_t)len;
	}
	return true;
}

bool unicode_hides_ascii(struct span text)
{
	size_t at = 0;

	while (at < text.len) {
		uint8_t room[64]; /* more than any character becomes */
		size_t size = sizeof(room);
		ucs4_t c;
		int len = u8_mbtoucr(&c, text.data + at, text.len - at);
		uint8_t *plain;
		bool hides = false;

		if (len <= 0)
			return true;
		if (c >= 0x80) {
			plain = u8_normalize(
				UNINORM_NFKC, text.data + at, (size_t)len, room, &size);
			for (size_t i = 0; plain != NULL && i < size; i++)
				hides |= plain[i] < 0x80;
			hides |= plain == NULL;
			if (plain != room)
				free(plain);
		}
		if (hides)
			return true;
		at += (size_t)len;
	}
	return false;
}

static void lower_ascii(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] |= 0x20; /* the bit that makes an ASCII capital a small letter */
}

/* In place. Lower case comes first: some marks go with a small letter and not with its capital (U+01F0,
 * U+1E96), and what is folded again has to stay as it is. */
static int normalize(char *text, size_t len, size_t size)
{
	uint8_t *normal;
	size_t normal_len = 0;
	int result = -1;

	if (u8_check((const uint8_t *)text, len) != NULL)
		return -1;
	lower_ascii(text, len);
	normal = u8_normalize(UNINORM_NFC, (const uint8_t *)text, len, NULL, &normal_len);
	if (normal != NULL && normal_len < size) {
		memcpy(text, normal, normal_len);
		result = (int)normal_len;
	}
	free(normal);
	return result;
}

int unicode_fold(struct span text, char *out, size_t size)
{
	int len = (int)text.len;

	if (size == 0 || text.len >= size)
		return -1;
	if (text.len > 0)
		memcpy(out, text.data, text.len);
	if (!unicode_is_ascii(text))
		len = normalize(out, text.len, size);
	if (len == -1)
		return -1;
	out[len] = '\0';
	lower_ascii(out, (size_t)len); /* U+212A became a capital */
	return len;
}

static bool is_label(const char *label, size_t len)
{
	if (len == 0 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!(label[i] >= 'a' && label[i] <= 'z') &&
			!(label[i] >= '0' && label[i] <= '9') && label[i] != '-')
			return false;
	/* RFC 5890 2.3.1: what has "--" there is reserved, and A-labels are the one kind in use. */
	return len < 4 || label[2] != '-' || label[3] != '-' || strncmp(label, "xn--", 4) == 0;
}

static bool are_labels(const char *domain)
{
	bool has_a_label = false;

	for (const char *label = domain;; label++) {
		size_t len = strcspn(label, ".");

		if (!is_label(label, len))
			return false;
		has_a_label |= len >= 4 && memcmp(label, "xn--", 4) == 0;
		label += len;
		if (*label == '\0')
			break;
	}
	if (has_a_label) {
		/* An A-label that no U-label has would be shown as what it is not. */
		char *u_labels = NULL;
		int status = idn2_to_unicode_8z8z(domain, &u_labels, 0);
		char *again = NULL;

		if (status == IDN2_OK)
			status = idn2_to_ascii_8z(u_labels, &again, IDN2_NO_TR46);
		has_a_label = status == IDN2_OK && strcmp(again, domain) == 0;
		idn2_free(u_labels);
		idn2_free(again);
		return has_a_label;
	}
	return true;
}

int unicode_domain(struct span domain, char out[UNICODE_DOMAIN_MAX + 1])
{
	char given[4 * UNICODE_DOMAIN_MAX + 1]; /* in UTF-8 */
	char *labels = NULL;
	size_t len;

	if (domain.len == 0 || domain.len >= sizeof(given) || !unicode_is_plain(domain, false))
		return -1;
	memcpy(given, domain.data, domain.len);
	given[domain.len] = '\0';
	lower_ascii(given, domain.len);
	/* Without the mappings of UTS 46, which make one name of another, and leave characters out:
	 * what IDNA 2008 does not register is refused. */
	if (!unicode_is_ascii(domain) &&
		idn2_to_ascii_8z(given, &labels, IDN2_NFC_INPUT | IDN2_NO_TR46) != IDN2_OK)
		return -1;
	len = strlen(labels != NULL ? labels : given);
	if (len <= UNICODE_DOMAIN_MAX)
		memcpy(out, labels != NULL ? labels : given, len + 1);
	idn2_free(labels);
	if (len > UNICODE_DOMAIN_MAX)
		return -1;
	lower_ascii(out, len);
	return are_labels(out) ? (int)len : -1;
}
