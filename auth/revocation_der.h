/*
 * A cursor over DER: one element after the other, borrowed from the input. Definite and shortest
 * lengths and one-octet tags only; what X.509 does not use is malformed here. For the revocation
 * compiler alone.
 */
#ifndef AUTH_REVOCATION_DER_H
#define AUTH_REVOCATION_DER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/span.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_CONTEXT_0 = 0xa0,
};

struct der_item {
	uint8_t tag;
	struct span value;
	struct span whole; /* with tag and length */
};

/* Takes the next element off the input. 0, or -1 (input unchanged): at the end, or malformed. */
int der_next(struct span *input, struct der_item *item);

/* The same, where only that tag will do. */
int der_expect(struct span *input, uint8_t tag, struct der_item *item);

/* Whether the next element has that tag. */
bool der_is_next(struct span input, uint8_t tag);

/* An OPTIONAL or DEFAULT FALSE boolean: *value false where it is absent. 0, or -1 where it is
 * malformed. FALSE written out is let pass, as many CAs do that. */
int der_boolean(struct span *input, bool *value);

/* UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 wants them: seconds, "Z", no fraction. */
int der_time(const struct der_item *item, int64_t *seconds);

/* An integer's content into size octets, right-aligned and sign-extended. One more octet that only
 * holds the sign is let go, so 2^159 and more fit in 20. 0, or -1: empty, not the shortest form, or
 * larger. */
int der_integer(struct span value, uint8_t *octets, size_t size);

#endif
