/*
 * An authority as JSON: what trust_store_read() reads again. For auth/, and for easproxyctl.
 */
#ifndef AUTH_TRUST_WRITE_H
#define AUTH_TRUST_WRITE_H

#include <jansson.h>

#include "auth/trust_store.h"

enum trust_format {
	TRUST_FORMAT_OWN,   /* Graph's members and our own beside them */
	TRUST_FORMAT_GRAPH, /* certificateBasedAuthConfiguration alone */
	TRUST_FORMAT_OLDER, /* CertificateAuthorityInformation */
};

/* The object of one authority. In our own format what is as by default is left out; the others have
 * each of their members, null where there is nothing to say, and cannot tell that an authority is a CRL
 * signer. The caller lets it go; NULL when memory runs out. */
json_t *trust_write_authority(const struct authority *authority, enum trust_format format);

/* The DER of a certificate in base64, as a JSON string. NULL when memory runs out. */
json_t *trust_write_certificate(X509 *certificate);

/* A document around a list of such objects (taken over, also when it fails): {"certificateAuthorities": […]},
 * in Graph's envelope for Graph's format, the bare list for the older one. */
json_t *trust_write_document(json_t *authorities, enum trust_format format);

#endif
