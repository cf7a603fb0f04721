/*
 * OCSP responses. The seeds are answers of `openssl ocsp` about one certificate of the authority below
 * (serial number 4711), some of which hold at the moment below: signatures are checked last, so that
 * all that can be read of an answer is read before.
 */
#include <openssl/pem.h>
#include <stdlib.h>

#include "auth/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t now = 1795705400;

static const char ca_pem[] = "-----BEGIN CERTIFICATE-----\n"
			     "MIIBiTCCAS+gAwIBAgIUZ8PiCt2DbGNxZHga/XFFogf2I/owCgYIKoZIzj0EAwIw\n"
			     "EjEQMA4GA1UEAwwHRnV6eiBDQTAeFw0yNjExMjYxNDU5MzlaFw00ODEwMjExNDU5\n"
			     "MzlaMBIxEDAOBgNVBAMMB0Z1enogQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
			     "AAS7wfsbi4/U4p49gviXTUmfgwGUKSEONCjRgPfm4yeYzc4rYM0WMgPdQDn2SvtQ\n"
			     "pyVVR4QvmMBa39kK57NO2wZ4o2MwYTAdBgNVHQ4EFgQUUWRx3CrzkmrXuM8iJxHX\n"
			     "5mpqYm0wHwYDVR0jBBgwFoAUUWRx3CrzkmrXuM8iJxHX5mpqYm0wDwYDVR0TAQH/\n"
			     "BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAYYwCgYIKoZIzj0EAwIDSAAwRQIgHis6uMXo\n"
			     "HRYuqtBAsuoGoB44VFV0PTuGdI3jw+NMFPwCIQDNwLimSkFBkdW2IryU+N6jOV3b\n"
			     "O+COKAiUVKwKH1R0FA==\n"
			     "-----END CERTIFICATE-----\n";

static X509 *read_ca(void)
{
	BIO *bio = BIO_new_mem_buf(ca_pem, -1);
	X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	if (ca == NULL)
		abort();
	return ca;
}

static void check(struct span response, X509 *ca, bool has_nonce)
{
	static const struct serial serial = {.octets = {[18] = 0x12, [19] = 0x67}};
	struct ocsp_request request;
	struct ocsp_result result;
	struct error err = {""};

	if (ocsp_request_make(&request, ca, &serial, has_nonce, &err) == -1)
		abort();
	if (ocsp_response_check(response, &request, ca, &serial, now, &result, &err) == -1) {
		if (err.text[0] == '\0' || result.status != OCSP_UNAVAILABLE ||
			result.next_update != 0 || result.has_delegate != 0)
			abort();
		return;
	}
	/* Nobody knows our nonce. */
	if (has_nonce || !ocsp_result_is_current(&result, now) ||
		result.status >= OCSP_STATUS_COUNT)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static X509 *ca;

	if (ca == NULL)
		ca = read_ca();
	check(span_of(data, size), ca, false);
	check(span_of(data, size), ca, true);
	return 0;
}
