#include "auth/ocsp.h"

#include "check.h"
#include "tests/unit/auth_ocsp_maker.h"

enum { SERIAL = 4711 };

/* An authority, others, and what a test asks and hears. */
static struct {
	struct pki root, ca, other_ca;
	struct serial serial;
	struct ocsp_request request;
	struct ocsp_result result;
	struct error err;
} it;

static struct serial serial_of(long number)
{
	struct serial serial = {{0}};

	for (int i = 0; i < 4; i++)
		serial.octets[19 - i] = (uint8_t)(number >> (8 * i));
	return serial;
}

static void ask(bool has_nonce)
{
	CU_ASSERT_EQUAL_FATAL(
		ocsp_request_make(&it.request, it.ca.certificate, &it.serial, has_nonce, &it.err),
		0);
}

static void set_up(void)
{
	it.root = pki_make_ca("Root", NULL);
	it.ca = pki_make_ca("Issuing CA", &it.root);
	it.other_ca = pki_make_ca("Other CA", &it.root);
	it.serial = serial_of(SERIAL);
	ask(false);
}

static void tear_down(void)
{
	pki_free(&it.root);
	pki_free(&it.ca);
	pki_free(&it.other_ca);
}

/* The usual answer, for a test to change. */
static struct ocsp_spec usual(void)
{
	return (struct ocsp_spec){.issuer = &it.ca, .serial = SERIAL, .reason = -1};
}

static struct pki_spec usual_delegate(void)
{
	return (struct pki_spec){.name = "Responder",
		.issuer = &it.ca,
		.basic_constraints = "critical,CA:FALSE",
		.key_usage = "critical,digitalSignature",
		.extended_key_usage = "OCSPSigning",
		.has_ocsp_no_check = true};
}

static int check_bytes(const uint8_t *data, size_t len)
{
	memset(&it.err, 0, sizeof(it.err));
	memset(&it.result, 0xff, sizeof(it.result));
	return ocsp_response_check(span_of(data, len), &it.request, it.ca.certificate, &it.serial,
		(int64_t)time(NULL), &it.result, &it.err);
}

static int check_answer(struct ocsp_spec spec)
{
	struct ocsp_der der = ocsp_make(spec);
	int outcome = check_bytes(der.data, der.len);

	OPENSSL_free(der.data);
	return outcome;
}

/* Nothing is left of an answer that does not count, and the reason is the expected one. */
static void assert_refused(int outcome, const char *reason)
{
	CU_ASSERT_EQUAL(outcome, -1);
	CU_ASSERT_EQUAL(it.result.status, OCSP_UNAVAILABLE);
	CU_ASSERT_EQUAL(it.result.next_update, 0);
	CU_ASSERT_EQUAL(it.result.has_delegate, 0);
	if (strstr(it.err.text, reason) == NULL) {
		fprintf(stderr, "\nexpected \"%s\", got \"%s\"\n", reason, it.err.text);
		CU_FAIL("another reason");
	}
}

static int check_signed_by(struct pki_spec delegate, struct ocsp_spec spec)
{
	struct pki signer = pki_make(delegate);
	int outcome;

	spec.signer = &signer;
	outcome = check_answer(spec);
	pki_free(&signer);
	return outcome;
}

static void test_good(void)
{
	int64_t now = (int64_t)time(NULL);

	set_up();
	CU_ASSERT_EQUAL(check_answer(usual()), 0);
	CU_ASSERT_EQUAL(it.result.status, OCSP_GOOD);
	CU_ASSERT(it.result.this_update >= now - 60 && it.result.this_update <= now - 58);
	CU_ASSERT(it.result.next_update >= now + 3600 && it.result.next_update <= now + 3602);
	CU_ASSERT_EQUAL(it.result.has_delegate, 0);
	CU_ASSERT(ocsp_result_is_current(&it.result, now + 3600 + 300));
	CU_ASSERT(!ocsp_result_is_current(&it.result, now + 3600 + 303));
	tear_down();
}

static void test_revoked_and_unknown(void)
{
	struct ocsp_spec spec = usual();
	int64_t now = (int64_t)time(NULL);

	set_up();
	spec.status = V_OCSP_CERTSTATUS_REVOKED;
	spec.reason = OCSP_REVOKED_STATUS_CERTIFICATEHOLD;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	CU_ASSERT_EQUAL(it.result.status, OCSP_REVOKED);
	CU_ASSERT_EQUAL(it.result.reason, 6);
	CU_ASSERT(it.result.revoked_at >= now - 7200 && it.result.revoked_at <= now - 7198);
	spec.reason = -1;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	CU_ASSERT_EQUAL(it.result.reason, 0);
	spec.status = V_OCSP_CERTSTATUS_UNKNOWN;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	CU_ASSERT_EQUAL(it.result.status, OCSP_UNKNOWN);
	tear_down();
}

static void test_times(void)
{
	static const struct {
		long this_update, next_update;
		bool has_no_next_update;
		const char *reason; /* NULL: it counts */
	} cases[] = {
		{-7200, -200, false, NULL}, /* within the grace for clocks */
		{-7200, -400, false, "past its nextUpdate"},
		{200, 3600, false, NULL},
		{400, 3600, false, "from the future"},
		{-60, -120, false, "before its thisUpdate"},
		{-200, 0, true, NULL},
		{-550, 0, true, NULL}, /* 300 s, and the grace */
		{-700, 0, true, "no nextUpdate and is too old"},
		{400, 0, true, "from the future"},
	};

	set_up();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ocsp_spec spec = usual();

		spec.this_update = cases[i].this_update;
		spec.next_update = cases[i].next_update;
		spec.has_no_next_update = cases[i].has_no_next_update;
		if (cases[i].reason != NULL) {
			assert_refused(check_answer(spec), cases[i].reason);
		} else {
			CU_ASSERT_EQUAL(check_answer(spec), 0);
		}
	}
	tear_down();
}

static void test_no_next_update_ends_soon(void)
{
	struct ocsp_spec spec = usual();

	set_up();
	spec.has_no_next_update = true;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	CU_ASSERT_EQUAL(it.result.next_update, it.result.this_update + 300);
	tear_down();
}

static void test_other_certificates(void)
{
	static const char about_another[] = "about another certificate";
	struct ocsp_spec spec = usual();

	set_up();
	spec.serial = SERIAL + 1;
	assert_refused(check_answer(spec), about_another);
	spec = usual();
	spec.id_issuer = &it.other_ca;
	assert_refused(check_answer(spec), about_another);
	/* RFC 6960 4.1.1: the answer repeats the CertID that was asked for. */
	spec = usual();
	spec.id_digest = EVP_sha256();
	assert_refused(check_answer(spec), about_another);
	spec = usual();
	spec.is_single_twice = true;
	assert_refused(check_answer(spec), "two things");
	tear_down();
}

static void test_found_among_others(void)
{
	struct ocsp_spec spec = usual();

	set_up();
	spec.other_serials = 20;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	CU_ASSERT_EQUAL(it.result.status, OCSP_GOOD);
	tear_down();
}

static void test_issuer_by_name_and_by_key(void)
{
	struct ocsp_spec spec = usual();

	set_up();
	spec.is_without_signer = true;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	spec.has_responder_key = true;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	tear_down();
}

static void test_delegate(void)
{
	struct ocsp_spec spec = usual();

	set_up();
	CU_ASSERT_EQUAL(check_signed_by(usual_delegate(), spec), 0);
	CU_ASSERT_EQUAL(it.result.status, OCSP_GOOD);
	CU_ASSERT_EQUAL(it.result.has_delegate, 0);
	spec.has_responder_key = true;
	CU_ASSERT_EQUAL(check_signed_by(usual_delegate(), spec), 0);
	tear_down();
}

static void test_delegate_without_no_check_is_named(void)
{
	struct pki_spec delegate;
	struct serial serial = serial_of(77);

	set_up();
	delegate = usual_delegate();
	delegate.has_ocsp_no_check = false;
	delegate.serial = 77;
	CU_ASSERT_EQUAL(check_signed_by(delegate, usual()), 0);
	CU_ASSERT_EQUAL(it.result.has_delegate, 1);
	CU_ASSERT_EQUAL(memcmp(&it.result.delegate, &serial, sizeof(serial)), 0);
	tear_down();
}

static void test_delegates_that_do_not_count(void)
{
	struct ocsp_spec spec = usual();
	struct pki_spec delegate;
	struct pki impostor;

	set_up();
	delegate = usual_delegate();
	delegate.extended_key_usage = NULL;
	assert_refused(check_signed_by(delegate, spec), "lacks the extended key usage OCSPSigning");
	delegate.extended_key_usage = "clientAuth,anyExtendedKeyUsage";
	assert_refused(check_signed_by(delegate, spec), "lacks the extended key usage OCSPSigning");
	delegate = usual_delegate();
	delegate.issuer = &it.other_ca;
	assert_refused(check_signed_by(delegate, spec), "not issued by the authority itself");
	delegate.issuer = &it.root; /* above it, but RFC 6960 4.2.2.2 says directly */
	assert_refused(check_signed_by(delegate, spec), "not issued by the authority itself");
	impostor = pki_make_ca("Issuing CA", NULL);
	delegate.issuer = &impostor; /* the same name, another key */
	assert_refused(check_signed_by(delegate, spec), "not issued by the authority itself");
	pki_free(&impostor);
	delegate = usual_delegate();
	delegate.key_usage = "critical,keyAgreement";
	assert_refused(check_signed_by(delegate, spec), "not for signatures");
	delegate = usual_delegate();
	delegate.not_after = -60;
	assert_refused(check_signed_by(delegate, spec), "expired or is not yet valid");
	delegate = usual_delegate();
	delegate.not_before = 60;
	assert_refused(check_signed_by(delegate, spec), "expired or is not yet valid");
	delegate = usual_delegate();
	delegate.digest = EVP_sha1();
	assert_refused(check_signed_by(delegate, spec), "weak key or signature");
	delegate = usual_delegate();
	delegate.rsa_bits = 1024;
	assert_refused(check_signed_by(delegate, spec), "weak key or signature");
	spec.is_without_signer = true;
	assert_refused(check_signed_by(usual_delegate(), spec), "neither the authority nor");
	tear_down();
}

static void test_signatures_that_do_not_hold(void)
{
	struct ocsp_spec spec = usual();
	struct ocsp_der der;
	struct pki other_key;

	set_up();
	spec.digest = EVP_sha1();
	assert_refused(check_answer(spec), "too weak");
	/* Another authority altogether, which is what its certificate says. */
	spec = usual();
	spec.signer = &it.other_ca;
	assert_refused(check_answer(spec), "not issued by the authority itself");
	/* The issuer's name over another key. */
	other_key = pki_make_ca("Issuing CA", &it.root);
	spec.signer = &other_key;
	spec.is_without_signer = true;
	assert_refused(check_answer(spec), "does not hold");
	pki_free(&other_key);
	/* One bit of the signature, which is last where no certificate follows. */
	spec = usual();
	spec.is_without_signer = true;
	der = ocsp_make(spec);
	der.data[der.len - 1] ^= 1;
	assert_refused(check_bytes(der.data, der.len), "does not hold");
	OPENSSL_free(der.data);
	tear_down();
}

static void test_critical_extension(void)
{
	struct ocsp_spec spec = usual();

	set_up();
	spec.has_critical_extension = true;
	assert_refused(check_answer(spec), "critical extension");
	tear_down();
}

static void test_nonce(void)
{
	uint8_t other[OCSP_NONCE_SIZE] = {1};
	struct ocsp_spec spec = usual();

	set_up();
	spec.nonce = other; /* of another's question: nothing is wrong with that */
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	ask(true);
	assert_refused(check_answer(spec), "nonce");
	assert_refused(check_answer(usual()), "nonce");
	spec.nonce = it.request.nonce;
	CU_ASSERT_EQUAL(check_answer(spec), 0);
	tear_down();
}

static void test_nonces_differ(void)
{
	uint8_t first[OCSP_NONCE_SIZE];

	set_up();
	ask(true);
	memcpy(first, it.request.nonce, sizeof(first));
	ask(true);
	CU_ASSERT_NOT_EQUAL(memcmp(first, it.request.nonce, sizeof(first)), 0);
	tear_down();
}

static void test_refusals_of_the_responder(void)
{
	static const struct {
		int status;
		const char *reason;
	} cases[] = {
		{OCSP_RESPONSE_STATUS_TRYLATER, "trylater"},
		{OCSP_RESPONSE_STATUS_UNAUTHORIZED, "unauthorized"},
		{OCSP_RESPONSE_STATUS_INTERNALERROR, "internalerror"},
		{OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, "malformedrequest"},
		{OCSP_RESPONSE_STATUS_SIGREQUIRED, "sigrequired"},
	};

	set_up();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ocsp_der der = ocsp_make_error(cases[i].status);

		assert_refused(check_bytes(der.data, der.len), cases[i].reason);
		OPENSSL_free(der.data);
	}
	tear_down();
}

static size_t put_head(uint8_t *to, uint8_t tag, size_t len)
{
	to[0] = tag;
	to[1] = 0x82;
	to[2] = (uint8_t)(len >> 8);
	to[3] = (uint8_t)len;
	return 4;
}

/* A response around the basic response and more bytes in its OCTET STRING; none: as it should be. */
static int check_with_more_inside(size_t more)
{
	static const uint8_t head[] = {0x0a, 0x01, 0x00};
	static const uint8_t oid[] = {
		0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};
	struct ocsp_spec spec = usual();
	OCSP_BASICRESP *basic = ocsp_make_basic(&spec);
	uint8_t der[4096] = {0};
	size_t inner = (size_t)i2d_OCSP_BASICRESP(basic, NULL) + more;
	uint8_t *end;
	size_t at;

	at = put_head(der, 0x30, sizeof(head) + 8 + sizeof(oid) + 4 + inner);
	memcpy(der + at, head, sizeof(head));
	at += sizeof(head);
	at += put_head(der + at, 0xa0, 4 + sizeof(oid) + 4 + inner);
	at += put_head(der + at, 0x30, sizeof(oid) + 4 + inner);
	memcpy(der + at, oid, sizeof(oid));
	at += sizeof(oid);
	at += put_head(der + at, 0x04, inner);
	end = der + at;
	i2d_OCSP_BASICRESP(basic, &end);
	OCSP_BASICRESP_free(basic);
	return check_bytes(der, at + inner);
}

static void test_trailing_bytes(void)
{
	struct ocsp_der der;
	uint8_t *longer;

	set_up();
	der = ocsp_make(usual());
	longer = OPENSSL_malloc(der.len + 1);
	memcpy(longer, der.data, der.len);
	longer[der.len] = 0;
	assert_refused(check_bytes(longer, der.len + 1), "not an OCSP response");
	assert_refused(check_bytes(der.data, der.len - 1), "not an OCSP response");
	OPENSSL_free(longer);
	OPENSSL_free(der.data);
	CU_ASSERT_EQUAL(check_with_more_inside(0), 0);
	assert_refused(check_with_more_inside(2), "more bytes follow");
	tear_down();
}

static void test_sizes(void)
{
	uint8_t *large = calloc(1, OCSP_RESPONSE_MAX + 1);

	set_up();
	assert_refused(check_bytes(large, 0), "empty or larger");
	assert_refused(check_bytes(large, OCSP_RESPONSE_MAX + 1), "empty or larger");
	assert_refused(check_bytes(large, OCSP_RESPONSE_MAX), "not an OCSP response");
	free(large);
	tear_down();
}

static void test_every_cut_is_refused(void)
{
	struct ocsp_der der;

	set_up();
	der = ocsp_make(usual());
	for (size_t len = 0; len < der.len; len++) {
		uint8_t *exact = malloc(len + 1);

		memcpy(exact, der.data, len);
		CU_ASSERT_EQUAL(check_bytes(exact, len), -1);
		free(exact);
	}
	OPENSSL_free(der.data);
	tear_down();
}

/* What a serial number of ours is in a CertID, in hex. */
static void assert_asked_serial(const struct serial *serial, const char *expected)
{
	const uint8_t *at = it.request.der;
	ASN1_INTEGER *number = NULL;
	OCSP_REQUEST *request;
	BIGNUM *value;
	char *hex;

	it.serial = *serial;
	ask(false);
	request = d2i_OCSP_REQUEST(NULL, &at, (long)it.request.len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(request);
	OCSP_id_get0_info(NULL, NULL, NULL, &number,
		OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0)));
	value = ASN1_INTEGER_to_BN(number, NULL);
	hex = BN_bn2hex(value);
	CU_ASSERT_STRING_EQUAL(hex, expected);
	OPENSSL_free(hex);
	BN_free(value);
	OCSP_REQUEST_free(request);
}

static void test_serial_numbers(void)
{
	struct serial longest = {{0xab, 0xcd}};
	struct serial negative;
	struct serial high;

	set_up();
	assert_asked_serial(&(struct serial){{0}}, "0");
	high = serial_of(0x80);
	assert_asked_serial(&high, "80");
	longest.octets[19] = 1;
	assert_asked_serial(&longest, "ABCD000000000000000000000000000000000001");
	memset(negative.octets, 0xff, sizeof(negative.octets));
	negative.octets[19] = 0xfe;
	assert_asked_serial(&negative, "-02");
	tear_down();
}

static void test_get_url(void)
{
	char url[256];
	char base[256];
	char *at;

	set_up();
	CU_ASSERT(ocsp_request_url(&it.request, "http://ocsp.example/", url));
	CU_ASSERT_EQUAL(strncmp(url, "http://ocsp.example/M", 21), 0);
	CU_ASSERT_PTR_NULL(strpbrk(url + 20, "/+="));
	CU_ASSERT(ocsp_request_url(&it.request, "http://ocsp.example/ca", url));
	CU_ASSERT_EQUAL(strncmp(url, "http://ocsp.example/ca/M", 24), 0);
	/* RFC 5019 5: at most 255 octets. */
	at = stpcpy(base, "http://ocsp.example/");
	memset(at, 'a', 200);
	at[200] = '\0';
	CU_ASSERT(!ocsp_request_url(&it.request, base, url));
	CU_ASSERT(!ocsp_request_url(&it.request, "http://ocsp.example/?ca=1", url));
	ask(true);
	CU_ASSERT(!ocsp_request_url(&it.request, "http://ocsp.example/", url));
	tear_down();
}

static void test_usable_urls(void)
{
	char longest[OCSP_URL_MAX + 2];

	CU_ASSERT(ocsp_url_is_usable("http://ocsp.example"));
	CU_ASSERT(ocsp_url_is_usable("HTTP://[::1]:8080/ocsp"));
	CU_ASSERT(!ocsp_url_is_usable("https://ocsp.example/"));
	CU_ASSERT(!ocsp_url_is_usable("file:///etc/passwd"));
	CU_ASSERT(!ocsp_url_is_usable("ldap://ocsp.example/"));
	CU_ASSERT(!ocsp_url_is_usable("http://"));
	CU_ASSERT(!ocsp_url_is_usable("http:///path"));
	CU_ASSERT(!ocsp_url_is_usable("http://a b/"));
	CU_ASSERT(!ocsp_url_is_usable("http://a/\r\nHost: b"));
	CU_ASSERT(!ocsp_url_is_usable("http://\xc3\xa4/"));
	CU_ASSERT(!ocsp_url_is_usable(""));
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "http://", 7);
	longest[OCSP_URL_MAX] = '\0';
	CU_ASSERT(ocsp_url_is_usable(longest));
	longest[OCSP_URL_MAX] = 'a';
	longest[OCSP_URL_MAX + 1] = '\0';
	CU_ASSERT(!ocsp_url_is_usable(longest));
}

static void test_url_of_a_certificate(void)
{
	struct pki_spec spec;
	struct pki phone;
	char url[OCSP_URL_MAX + 1];

	set_up();
	spec = pki_phone(&it.ca);
	phone = pki_make(spec);
	ocsp_url_read(phone.certificate, url);
	CU_ASSERT_STRING_EQUAL(url, "");
	pki_free(&phone);
	spec.authority_info = "caIssuers;URI:http://ca.example/ca.cer,OCSP;URI:https://no.example/,"
			      "OCSP;URI:http://ocsp.example/a,OCSP;URI:http://ocsp.example/b";
	phone = pki_make(spec);
	ocsp_url_read(phone.certificate, url);
	CU_ASSERT_STRING_EQUAL(url, "http://ocsp.example/a");
	pki_free(&phone);
	tear_down();
}

static const struct check checks[] = {
	{"a good answer counts and says until when", test_good},
	{"revoked and unknown are told apart, with reason and date", test_revoked_and_unknown},
	{"answers that are too old or from the future do not count", test_times},
	{"an answer without nextUpdate ends soon", test_no_next_update_ends_soon},
	{"an answer about another certificate does not count", test_other_certificates},
	{"the certificate is found among others", test_found_among_others},
	{"the issuer signs itself, named by name or key", test_issuer_by_name_and_by_key},
	{"a delegate of the issuer signs, named by name or key", test_delegate},
	{"a delegate without nocheck is named, to be looked up in the CRL",
		test_delegate_without_no_check_is_named},
	{"other delegates do not count", test_delegates_that_do_not_count},
	{"weak, foreign and broken signatures do not count", test_signatures_that_do_not_hold},
	{"an answer with a critical extension does not count", test_critical_extension},
	{"a nonce that was sent must come back", test_nonce},
	{"every question has another nonce", test_nonces_differ},
	{"a responder's refusal is no answer", test_refusals_of_the_responder},
	{"bytes behind or within an answer that do not belong there", test_trailing_bytes},
	{"empty and oversized answers are not looked at", test_sizes},
	{"an answer cut anywhere does not count", test_every_cut_is_refused},
	{"long, negative and zero serial numbers are asked for as they are", test_serial_numbers},
	{"small questions are asked by GET, others by POST", test_get_url},
	{"only plain http: URLs are used", test_usable_urls},
	{"the first usable responder of a certificate is taken", test_url_of_a_certificate},
};

int main(void)
{
	return check_run("auth/ocsp", checks, sizeof(checks) / sizeof(checks[0]));
}
