/* GeneralNames (RFC 5280 4.2.1.6) in their one DER encoding. For auth/ alone. */
#ifndef AUTH_GENERAL_NAMES_H
#define AUTH_GENERAL_NAMES_H

#include <openssl/x509v3.h>

#include "config/refusal.h"
#include "config/span.h"

/* NULL where the bytes are not GeneralNames in DER. The caller frees it (GENERAL_NAMES_free). */
GENERAL_NAMES *general_names_read(struct span der);

/* The value of an extension that may stand once (RFC 5280 4.2). REFUSAL_NONE with *value pointing into
 * the certificate (data NULL: it is not there), or CERTIFICATE_UNREADABLE: it stands twice. */
enum refusal general_names_extension(
	const X509 *certificate, const ASN1_OBJECT *oid, struct span *value);

#endif
