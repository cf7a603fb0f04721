/*
 * Files of certificates and CRLs as an operator hands them to easproxyctl verify, which may come from
 * anywhere: what is taken out of them lies within them, once, and is parsed without a trace.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "auth/offline_files.h"
#include "auth/revocation_compile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int is_so)
{
	if (!is_so)
		abort();
}

static int take(void *context, const char *name, struct span der, struct error *err)
{
	size_t *total = context;
	const unsigned char *at = der.data;
	X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
	struct revocation_peek peek;

	(void)name;
	(void)err;
	require(at <= der.data + der.len);
	if (certificate != NULL)
		X509_check_purpose(certificate, -1, 0);
	X509_free(certificate);
	(void)revocation_crl_peek(der, &peek);
	*total += der.len;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int kind = OFFLINE_CERTIFICATE; kind <= OFFLINE_CRL; kind++) {
		size_t total = 0;
		const struct offline_reader reader = {
			.kind = (enum offline_kind)kind, .take = take, .context = &total};
		struct error err;

		require(offline_split(&reader, "file", span_of(data, size), &err) >= 0);
		require(total <= size);
	}
	ERR_clear_error();
	return 0;
}
