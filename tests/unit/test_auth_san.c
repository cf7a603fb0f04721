#include <openssl/x509v3.h>
#include <string.h>

#include "auth/san.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

/* DER by hand, as the faults are in the bytes. */
struct der {
	size_t len;
	uint8_t bytes[4096];
};

static void der_put(struct der *der, const void *bytes, size_t len)
{
	CU_ASSERT_FATAL(der->len + len <= sizeof(der->bytes));
	memcpy(der->bytes + der->len, bytes, len);
	der->len += len;
}

static void der_put_header(struct der *der, uint8_t tag, size_t len)
{
	uint8_t header[4] = {tag, (uint8_t)len};
	size_t header_len = 2;

	if (len > 255) {
		header[1] = 0x82;
		header[2] = (uint8_t)(len >> 8);
		header[3] = (uint8_t)len;
		header_len = 4;
	} else if (len > 127) {
		header[1] = 0x81;
		header[2] = (uint8_t)len;
		header_len = 3;
	}
	der_put(der, header, header_len);
}

static void der_put_value(struct der *der, uint8_t tag, const void *bytes, size_t len)
{
	der_put_header(der, tag, len);
	der_put(der, bytes, len);
}

static const uint8_t upn_oid[] = {
	0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03};

enum { TAG_UTF8 = 0x0c, TAG_IA5 = 0x16, TAG_BMP = 0x1e, TAG_PRINTABLE = 0x13, TAG_RFC822 = 0x81 };

static void put_upn(struct der *names, uint8_t string_tag, const void *value, size_t len)
{
	struct der string = {0};
	struct der other = {0};

	der_put_value(&string, string_tag, value, len);
	der_put(&other, upn_oid, sizeof(upn_oid));
	der_put_value(&other, 0xa0, string.bytes, string.len);
	der_put_value(names, 0xa0, other.bytes, other.len);
}

static void put_name(struct der *names, enum identity_kind kind, const char *value, size_t len)
{
	if (kind == IDENTITY_PRINCIPAL_NAME)
		put_upn(names, TAG_UTF8, value, len);
	else
		der_put_value(names, TAG_RFC822, value, len);
}

static enum refusal read_names(const struct der *names, struct identity_names *read)
{
	struct der whole = {0};

	der_put_value(&whole, 0x30, names->bytes, names->len);
	memset(read, 0xa5, sizeof(*read));
	return san_read(span_of(whole.bytes, whole.len), read);
}

#define LONG_LABEL "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define LONG_LOCAL LONG_LABEL "x"

static const struct {
	const char *value;
	size_t len; /* where the value has a NUL; else 0 */
	bool is_good;
} address_cases[] = {
	{"alice@example.com", 0, true},
	{"Alice.O'Hara+phone@Mail.Example.COM", 0, true},
	{"a@b", 0, true},
	{"!#$%&*+-/=?^_`{|}~@example.com", 0, false}, /* the slash */
	{"!#$%&*+-=?^_`{|}~@example.com", 0, true},
	{LONG_LOCAL "@example.com", 0, true},
	{LONG_LOCAL "y@example.com", 0, false},
	{"a@" LONG_LABEL "." LONG_LABEL "." LONG_LABEL "." LONG_LABEL, 0, true},
	{"a@" LONG_LABEL "." LONG_LABEL "." LONG_LABEL "." LONG_LABEL ".com", 0, false},
	{"a@" LONG_LABEL "l.com", 0, false},
	{"", 0, false},
	{"@", 0, false},
	{"alice", 0, false},
	{"@example.com", 0, false},
	{"alice@", 0, false},
	{"alice@@example.com", 0, false},
	{"alice@example.com@evil.com", 0, false},
	{"alice@example.com\0", 18, false},
	{"alice@example.com\0.evil.com", 27, false},
	{"alice\0@example.com", 18, false},
	{"\0alice@example.com", 18, false},
	{"alice@example.com\n", 0, false},
	{"alice\t@example.com", 0, false},
	{"alice smith@example.com", 0, false},
	{" alice@example.com", 0, false},
	{"al\x7fice@example.com", 0, false},
	{"\"alice\"@example.com", 0, false},
	{"alice(x)@example.com", 0, false},
	{"alice,bob@example.com", 0, false},
	{"alice\\bob@example.com", 0, false},
	{"<alice@example.com>", 0, false},
	{"alice;@example.com", 0, false},
	{"alice:x@example.com", 0, false},
	{".alice@example.com", 0, false},
	{"alice.@example.com", 0, false},
	{"al..ice@example.com", 0, false},
	{"alice@.example.com", 0, false},
	{"alice@example.com.", 0, false},
	{"alice@example..com", 0, false},
	{"alice@-example.com", 0, false},
	{"alice@example-.com", 0, false},
	{"alice@exa_mple.com", 0, false},
	{"alice@[192.0.2.1]", 0, false},
	{"alice@exam ple.com", 0, false},
};

static void test_addresses_are_taken_whole_or_not_at_all(void)
{
	for (size_t i = 0; i < sizeof(address_cases) / sizeof(address_cases[0]); i++) {
		const char *value = address_cases[i].value;
		size_t len = address_cases[i].len != 0 ? address_cases[i].len : strlen(value);

		for (enum identity_kind kind = IDENTITY_PRINCIPAL_NAME;
			kind <= IDENTITY_RFC822_NAME; kind++) {
			struct der names = {0};
			struct identity_names read;
			enum refusal refusal;

			put_name(&names, kind, value, len);
			refusal = read_names(&names, &read);
			if ((refusal == REFUSAL_NONE) != address_cases[i].is_good)
				fprintf(stderr, "case %zu kind %d: %s\n", i, kind, value);
			if (!address_cases[i].is_good) {
				CU_ASSERT_EQUAL(refusal, REFUSAL_NAME_INVALID);
				CU_ASSERT_EQUAL(read.count, 0);
				continue;
			}
			CU_ASSERT_EQUAL(refusal, REFUSAL_NONE);
			CU_ASSERT_EQUAL(read.count, 1);
			CU_ASSERT_EQUAL(read.names[0].kind, kind);
			CU_ASSERT_STRING_EQUAL(identity_names_text(&read, 0), value);
		}
	}
}

enum { IN_RFC822 = 1, IN_UPN = 2, IN_SMTP_UTF8 = 4 };

/* Of the kinds, in which the value is an address. */
static const struct {
	const char *what, *value;
	unsigned int good;
} utf8_cases[] = {
	{"ASCII alone", "alice@example.com", IN_RFC822 | IN_UPN},
	{"a letter of Latin-1", "\xc3\xa4lice@example.com", IN_UPN | IN_SMTP_UTF8},
	{"the same as two characters", "a\xcc\x88lice@example.com", IN_UPN | IN_SMTP_UTF8},
	{"Chinese", "\xe7\x94\xa8\xe6\x88\xb7@example.com", IN_UPN | IN_SMTP_UTF8},
	{"with an A-label", "\xe7\x94\xa8@xn--mnchen-3ya.example", IN_UPN | IN_SMTP_UTF8},
	{"with an A-label, in ASCII", "a@XN--MNCHEN-3YA.example", IN_RFC822 | IN_UPN},
	{"with an A-label that is none", "a@xn--a.example", 0},
	{"with an A-label of ASCII letters", "a@xn--abc-.example", 0},
	{"a reserved label", "a@ab--cd.example", 0},
	{"a U-label, which RFC 9598 has as an A-label", "\xe7\x94\xa8@m\xc3\xbcnchen.example",
		IN_UPN},
	{"a U-label", "a@m\xc3\xbcnchen.example", IN_UPN},
	{"a symbol in the domain", "a@\xe2\x98\x83.example", 0},
	{"a lookalike of the at sign",
		"a\xef\xbc\xa0"
		"b.example",
		0},
	{"one beside it", "\xef\xbc\xa0@example.com", 0},
	{"a lookalike of the dot",
		"a@b\xe3\x80\x82"
		"example",
		0},
	{"a fullwidth letter", "\xc3\xa4\xef\xbd\x81@example.com", 0},
	{"a ligature", "\xef\xac\x81@example.com", 0},
	{"an at sign behind a U-label",
		"mu@m\xc3\xbc"
		"b@c",
		0},
	{"a lookalike of it behind one",
		"a@m\xc3\xbc\xef\xbc\xa0"
		"c",
		0},
	{"a U-label in capitals, ASCII ones", "a@M\xc3\xbcNCHEN.example", IN_UPN},
	{"a U-label in capitals, others", "a@m\xc3\x9cnchen.example", 0},
	{"a byte order mark", "\xef\xbb\xbf\xc3\xa4@example.com", 0},
	{"right to left override", "\xc3\xa4\xe2\x80\xae\xe2\x80\xac@example.com", 0},
	{"an isolate", "\xe2\x81\xa6\xc3\xa4\xe2\x81\xa9@example.com", 0},
	{"a zero width space", "\xc3\xa4\xe2\x80\x8b@example.com", 0},
	{"a zero width joiner", "\xc3\xa4\xe2\x80\x8d@example.com", 0},
	{"a soft hyphen", "\xc3\xa4\xc2\xad@example.com", 0},
	{"a variation selector", "\xc3\xa4\xef\xb8\x8f@example.com", 0},
	{"a Hangul filler", "\xc3\xa4\xe3\x85\xa4@example.com", 0},
	{"a tag character", "\xc3\xa4\xf3\xa0\x81\x81@example.com", 0},
	{"a control character of C1", "\xc3\xa4\xc2\x85@example.com", 0},
	{"a no-break space", "\xc3\xa4\xc2\xa0@example.com", 0},
	{"a line separator", "\xc3\xa4\xe2\x80\xa8@example.com", 0},
	{"something private", "\xc3\xa4\xee\x80\x80@example.com", 0},
	{"something unassigned", "\xc3\xa4\xf3\xbf\xbf\xbe@example.com", 0},
	{"a byte that is not UTF-8", "\xc3\xa4\xff@example.com", 0},
	{"Latin-1", "\xe4lice@example.com", 0},
	{"UTF-8 that is cut", "\xc3@example.com", 0},
	{"UTF-8 that is too long", "\xc0\xaf\xc3\xa4@example.com", 0},
	{"a surrogate", "\xed\xa0\x80\xc3\xa4@example.com", 0},
	{"beyond Unicode", "\xf4\x90\x80\x80\xc3\xa4@example.com", 0},
	{"a quote", "\"\xc3\xa4\"@example.com", 0},
	{"a dot at the end", "\xc3\xa4.@example.com", 0},
	{"64 bytes", "\xc3\xa4" LONG_LABEL "@example.com", 0},
};

static void put_smtp_utf8(struct der *names, uint8_t string_tag, const void *value, size_t len)
{
	static const uint8_t oid[] = {0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x09};
	struct der string = {0};
	struct der other = {0};

	der_put_value(&string, string_tag, value, len);
	der_put(&other, oid, sizeof(oid));
	der_put_value(&other, 0xa0, string.bytes, string.len);
	der_put_value(names, 0xa0, other.bytes, other.len);
}

static void expect_kind(const char *what, const struct der *names, enum identity_kind kind,
	const char *value, bool is_good)
{
	struct identity_names read;
	enum refusal refusal = read_names(names, &read);

	if ((refusal == REFUSAL_NONE) != is_good)
		fprintf(stderr, "%s: %s %s\n", identity_kind_name(kind), what, value);
	CU_ASSERT_EQUAL(refusal, is_good ? REFUSAL_NONE : REFUSAL_NAME_INVALID);
	if (!is_good)
		return;
	CU_ASSERT_PTR_NOT_NULL_FATAL(identity_names_first(&read, kind));
	CU_ASSERT_STRING_EQUAL(identity_names_first(&read, kind), value);
}

static void test_letters_beyond_ascii_are_taken_where_they_show_what_they_are(void)
{
	for (size_t i = 0; i < sizeof(utf8_cases) / sizeof(utf8_cases[0]); i++) {
		const char *what = utf8_cases[i].what, *value = utf8_cases[i].value;
		struct der rfc822 = {0}, upn = {0}, smtp_utf8 = {0};

		put_name(&rfc822, IDENTITY_RFC822_NAME, value, strlen(value));
		put_name(&upn, IDENTITY_PRINCIPAL_NAME, value, strlen(value));
		put_smtp_utf8(&smtp_utf8, TAG_UTF8, value, strlen(value));
		expect_kind(what, &rfc822, IDENTITY_RFC822_NAME, value,
			(utf8_cases[i].good & IN_RFC822) != 0);
		expect_kind(what, &upn, IDENTITY_PRINCIPAL_NAME, value,
			(utf8_cases[i].good & IN_UPN) != 0);
		expect_kind(what, &smtp_utf8, IDENTITY_SMTP_UTF8_MAILBOX, value,
			(utf8_cases[i].good & IN_SMTP_UTF8) != 0);
	}
}

static void test_smtp_utf8_mailbox_of_another_string_type_is_refused(void)
{
	static const uint8_t tags[] = {TAG_IA5, TAG_BMP, TAG_PRINTABLE, 0x04, 0x14, 0x30};
	struct identity_names read;

	for (size_t i = 0; i < sizeof(tags); i++) {
		struct der names = {0};

		put_smtp_utf8(&names, tags[i], "\xc3\xa4@example.co", 14);
		CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NAME_INVALID);
	}
}

static void test_sid_in_a_tag_uri_is_taken(void)
{
	static const char good[] = "tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104";
	static const char bad[] = "tag:microsoft.com,2022-09-14:sid:S-1-5-21-x";
	struct identity_names read;
	struct der names = {0};

	der_put_value(&names, 0x86, good, sizeof(good) - 1);
	CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NONE);
	CU_ASSERT_STRING_EQUAL(identity_names_first(&read, IDENTITY_SID), "S-1-5-21-1-2-3-1104");
	/* One that is none is remembered as such, and refused by whoever asks for it. */
	names.len = 0;
	der_put_value(&names, 0x86, bad, sizeof(bad) - 1);
	CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NONE);
	CU_ASSERT_STRING_EQUAL(identity_names_first(&read, IDENTITY_SID), "");
}

static void test_address_in_the_subject_is_ignored(void)
{
	struct pki leaf = pki_make((struct pki_spec){.name = "Alice", .san = "DNS:example.com"});
	X509_NAME *subject = X509_get_subject_name(leaf.certificate);
	struct identity_names read;

	CU_ASSERT_EQUAL_FATAL(
		X509_NAME_add_entry_by_NID(subject, NID_pkcs9_emailAddress, MBSTRING_ASC,
			(const unsigned char *)"bob@example.com", -1, -1, 0),
		1);
	CU_ASSERT_EQUAL(san_read_certificate(leaf.certificate, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL(read.count, 0);
	pki_free(&leaf);
}

static void test_principal_name_of_another_string_type_is_refused(void)
{
	static const uint8_t tags[] = {TAG_IA5, TAG_BMP, TAG_PRINTABLE, 0x04, 0x14, 0x30};
	struct identity_names read;

	for (size_t i = 0; i < sizeof(tags); i++) {
		struct der names = {0};

		/* An even number of bytes, so that a BMPString is well-formed. */
		put_upn(&names, tags[i], "alice@example.co", 16);
		CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NAME_INVALID);
		CU_ASSERT_EQUAL(read.count, 0);
	}
}

static void test_several_names_keep_their_order_and_kind(void)
{
	struct der names = {0};
	struct identity_names read;

	der_put_value(&names, 0x82, "mail.example.com", 16);
	put_name(&names, IDENTITY_RFC822_NAME, "Alice@Example.com", 17);
	der_put_value(&names, 0x86, "urn:x", 5);
	put_name(&names, IDENTITY_PRINCIPAL_NAME, "alice@corp.example", 18);
	put_name(&names, IDENTITY_PRINCIPAL_NAME, "ALICE@corp.example", 18);
	CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL_FATAL(read.count, 3);
	CU_ASSERT_EQUAL(read.names[0].kind, IDENTITY_RFC822_NAME);
	CU_ASSERT_STRING_EQUAL(identity_names_text(&read, 0), "Alice@Example.com");
	CU_ASSERT_EQUAL(read.names[1].kind, IDENTITY_PRINCIPAL_NAME);
	CU_ASSERT_STRING_EQUAL(identity_names_text(&read, 1), "alice@corp.example");
	CU_ASSERT_STRING_EQUAL(identity_names_text(&read, 2), "ALICE@corp.example");
}

static void test_one_invalid_name_refuses_all(void)
{
	struct der names = {0};
	struct identity_names read;

	put_name(&names, IDENTITY_PRINCIPAL_NAME, "alice@example.com", 17);
	put_name(&names, IDENTITY_RFC822_NAME, "bob@example.com\0", 16);
	CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NAME_INVALID);
	CU_ASSERT_EQUAL(read.count, 0);
}

static void test_names_of_other_kinds_are_passed_over(void)
{
	static const uint8_t other_oid[] = {0x06, 0x03, 0x2a, 0x03, 0x04};
	struct der other = {0};
	struct der names = {0};
	struct identity_names read;

	/* An otherName of an unknown type with the same text is not a Principal Name. */
	der_put(&other, other_oid, sizeof(other_oid));
	der_put_value(&other, 0xa0,
		"\x0c\x03"
		"a@b",
		5);
	der_put_value(&names, 0xa0, other.bytes, other.len);
	der_put_value(&names, 0x82, "alice@example.com", 17);
	CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL(read.count, 0);
}

static void test_more_names_than_are_kept_are_refused(void)
{
	struct der names = {0};
	struct identity_names read;

	for (int i = 0; i < SAN_COUNT_MAX; i++)
		put_name(&names, IDENTITY_RFC822_NAME, "a@b.c", 5);
	CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL(read.count, SAN_COUNT_MAX);
	put_name(&names, IDENTITY_RFC822_NAME, "a@b.c", 5);
	CU_ASSERT_EQUAL(read_names(&names, &read), REFUSAL_NAME_INVALID);
	CU_ASSERT_EQUAL(read.count, 0);
}

#define BYTES(text) (text), sizeof(text) - 1

static const struct {
	const char *what;
	const char *bytes;
	size_t len;
} broken_cases[] = {
	{"nothing", BYTES("")},
	{"one byte", BYTES("\x30")},
	{"a set", BYTES("\x31\x05\x81\x03"
			"a@b")},
	{"a length beyond the end", BYTES("\x30\x06\x81\x03"
					  "a@b")},
	{"an inner length beyond the end", BYTES("\x30\x05\x81\x04"
						 "a@b")},
	{"bytes after the end", BYTES("\x30\x05\x81\x03"
				      "a@b\x05")},
	{"an end-of-contents after the end", BYTES("\x30\x05\x81\x03"
						   "a@b\x00\x00")},
	{"indefinite length", BYTES("\x30\x80\x81\x03"
				    "a@b\x00\x00")},
	{"a length that is not the shortest", BYTES("\x30\x81\x05\x81\x03"
						    "a@b")},
	{"an inner length that is not the shortest", BYTES("\x30\x06\x81\x81\x03"
							   "a@b")},
	{"a huge length", BYTES("\x30\x84\xff\xff\xff\xff\x81\x03"
				"a@b")},
	{"a constructed string", BYTES("\x30\x07\xa1\x05\x16\x03"
				       "a@b")},
	{"an unknown choice", BYTES("\x30\x05\x8f\x03"
				    "a@b")},
	{"an otherName without a value",
		BYTES("\x30\x0e\xa0\x0c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03")},
};

static void test_what_is_not_der_is_unreadable(void)
{
	struct identity_names read;

	for (size_t i = 0; i < sizeof(broken_cases) / sizeof(broken_cases[0]); i++) {
		struct span span = span_of(broken_cases[i].bytes, broken_cases[i].len);

		memset(&read, 0xa5, sizeof(read));
		if (san_read(span, &read) != REFUSAL_CERTIFICATE_UNREADABLE)
			fprintf(stderr, "not refused: %s\n", broken_cases[i].what);
		CU_ASSERT_EQUAL(san_read(span, &read), REFUSAL_CERTIFICATE_UNREADABLE);
		CU_ASSERT_EQUAL(read.count, 0);
	}
}

static void test_certificate_without_the_extension_has_no_names(void)
{
	struct pki leaf = pki_make((struct pki_spec){.name = "alice@example.com"});
	struct identity_names read;

	CU_ASSERT_EQUAL(san_read_certificate(leaf.certificate, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL(read.count, 0);
	pki_free(&leaf);
}

static void test_certificate_names_are_read(void)
{
	struct pki leaf = pki_make((struct pki_spec){.name = "Alice",
		.san = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:alice@corp.example,"
		       "email:alice@example.com"});
	struct identity_names read;

	CU_ASSERT_EQUAL(san_read_certificate(leaf.certificate, &read), REFUSAL_NONE);
	CU_ASSERT_EQUAL_FATAL(read.count, 2);
	CU_ASSERT_STRING_EQUAL(identity_names_text(&read, 0), "alice@corp.example");
	CU_ASSERT_STRING_EQUAL(identity_names_text(&read, 1), "alice@example.com");
	pki_free(&leaf);
}

static void test_second_extension_is_refused(void)
{
	struct pki leaf = pki_make((struct pki_spec){.name = "Alice", .san = "email:a@b.c"});
	struct identity_names read;
	X509_EXTENSION *second = X509_EXTENSION_dup(X509_get_ext(
		leaf.certificate, X509_get_ext_by_NID(leaf.certificate, NID_subject_alt_name, -1)));

	CU_ASSERT_EQUAL_FATAL(X509_add_ext(leaf.certificate, second, -1), 1);
	CU_ASSERT_EQUAL(
		san_read_certificate(leaf.certificate, &read), REFUSAL_CERTIFICATE_UNREADABLE);
	CU_ASSERT_EQUAL(read.count, 0);
	X509_EXTENSION_free(second);
	pki_free(&leaf);
}

static const struct check checks[] = {
	{"addresses are taken whole or not at all", test_addresses_are_taken_whole_or_not_at_all},
	{"a Principal Name of another string type is refused",
		test_principal_name_of_another_string_type_is_refused},
	{"letters beyond ASCII are taken where they show what they are",
		test_letters_beyond_ascii_are_taken_where_they_show_what_they_are},
	{"a SmtpUTF8Mailbox of another string type is refused",
		test_smtp_utf8_mailbox_of_another_string_type_is_refused},
	{"a SID in a tag URI is taken", test_sid_in_a_tag_uri_is_taken},
	{"an address in the subject is ignored", test_address_in_the_subject_is_ignored},
	{"several names keep their order and kind", test_several_names_keep_their_order_and_kind},
	{"one invalid name refuses all", test_one_invalid_name_refuses_all},
	{"names of other kinds are passed over", test_names_of_other_kinds_are_passed_over},
	{"more names than are kept are refused", test_more_names_than_are_kept_are_refused},
	{"what is not DER is unreadable", test_what_is_not_der_is_unreadable},
	{"a certificate without the extension has no names",
		test_certificate_without_the_extension_has_no_names},
	{"a certificate's names are read", test_certificate_names_are_read},
	{"a second extension is refused", test_second_extension_is_refused},
};

int main(void)
{
	return check_run("auth/san", checks, sizeof(checks) / sizeof(checks[0]));
}
