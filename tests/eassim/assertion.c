/* Who the proxy says the mailbox's owner is. A request that does not say it, or says it twice, is
 * refused: through a right proxy neither can happen. */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "certificate.h"
#include "serve.h"

enum { CREDENTIALS_MAX = 1024, CERTIFICATE_MAX = 16 * 1024 };

/* Basic: "user:password" or, for a master user, "user*master:password". */
static bool mailbox_of_basic(const char *value, char name[321])
{
	uint8_t text[CREDENTIALS_MAX];
	int len;
	size_t end = 0;

	if (strncasecmp(value, "Basic ", 6) != 0)
		return false;
	len = query_base64_decode(value + 6, strlen(value + 6), text, sizeof(text));
	while (len > 0 && end < (size_t)len && text[end] != ':' && text[end] != '*')
		end++;
	if (len <= 0 || end == (size_t)len || end > 320)
		return false;
	snprintf(name, 321, "%.*s", (int)end, (const char *)text);
	return true;
}

/* RFC 9440: the leaf as ":base64 of its DER:". */
static bool mailbox_of_client_cert(const char *value, char name[321])
{
	uint8_t *der = malloc(CERTIFICATE_MAX);
	const uint8_t *at = der;
	size_t len = strlen(value);
	X509 *certificate = NULL;
	int der_len;
	bool is_named = false;

	if (der != NULL && len > 2 && value[0] == ':' && value[len - 1] == ':' &&
		(der_len = query_base64_decode(value + 1, len - 2, der, CERTIFICATE_MAX)) > 0)
		certificate = d2i_X509(NULL, &at, der_len);
	if (certificate != NULL)
		is_named = certificate_mailbox(certificate, name);
	X509_free(certificate);
	free(der);
	return is_named;
}

unsigned int serve_mailbox_asserted(
	struct serve *serve, const struct server_request *request, char name[321])
{
	static const char *const fields[] = {
		[ASSERTION_BASIC] = "Authorization", [ASSERTION_CLIENT_CERT] = "Client-Cert"};
	enum serve_assertion assertion = serve->options.assertion;
	const char *field =
		assertion == ASSERTION_HEADER ? serve->options.mailbox_header : fields[assertion];
	size_t count;
	const char *value = server_field_find(request, field, &count);
	bool is_named = false;

	if (count > 1) {
		serve->stats.refused_ambiguous_mailbox++;
		return 400;
	}
	if (count == 1 && assertion == ASSERTION_HEADER) {
		snprintf(name, 321, "%s", value);
		is_named = value[0] != '\0' && strlen(value) < 321;
	} else if (count == 1) {
		is_named = assertion == ASSERTION_BASIC ? mailbox_of_basic(value, name)
							: mailbox_of_client_cert(value, name);
	}
	if (!is_named)
		serve->stats.refused_without_mailbox++;
	return is_named ? 0 : 403;
}
