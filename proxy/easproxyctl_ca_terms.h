/*
 * The terms of an authority on easproxyctl's command line, and how they get into its JSON object. What
 * they are worth is left to trust_store_read().
 */
#ifndef PROXY_EASPROXYCTL_CA_TERMS_H
#define PROXY_EASPROXYCTL_CA_TERMS_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>

#include "auth/trust_member.h"

enum {
	CA_TERM_CRL = 256, /* getopt_long()'s values: letters are below */
	CA_TERM_DELTA_CRL,
	CA_TERM_CHECK,
	CA_TERM_GRACE,
	CA_TERM_EXEMPT_UNTIL,
	CA_TERM_EXEMPT_REASON,
	CA_TERM_CRL_SIZE_LIMIT,
	CA_TERM_CRL_TIME_LIMIT,
	CA_TERM_OCSP,
	CA_TERM_OCSP_URL,
	CA_TERM_RULE,
	CA_TERM_END
};

#define CA_TERM_OPTIONS                                                                            \
	{"crl", required_argument, NULL, CA_TERM_CRL},                                             \
		{"delta-crl", required_argument, NULL, CA_TERM_DELTA_CRL},                         \
		{"check", required_argument, NULL, CA_TERM_CHECK},                                 \
		{"grace", required_argument, NULL, CA_TERM_GRACE},                                 \
		{"exempt-until", required_argument, NULL, CA_TERM_EXEMPT_UNTIL},                   \
		{"exempt-reason", required_argument, NULL, CA_TERM_EXEMPT_REASON},                 \
		{"crl-size-limit", required_argument, NULL, CA_TERM_CRL_SIZE_LIMIT},               \
		{"crl-time-limit", required_argument, NULL, CA_TERM_CRL_TIME_LIMIT},               \
		{"ocsp", required_argument, NULL, CA_TERM_OCSP},                                   \
		{"ocsp-url", required_argument, NULL, CA_TERM_OCSP_URL},                           \
	{                                                                                          \
		"rule", required_argument, NULL, CA_TERM_RULE                                      \
	}

/* What was given; borrowed from the command line. */
struct ca_terms {
	size_t count;                          /* of all options */
	const char *texts[TRUST_MEMBER_COUNT]; /* of members that are one text; NULL: not given */
	size_t crl_count;                      /* locations after the first are in more */
	json_t *more;                          /* owned: additionalCertificateRevocationLists */
	json_t *rules;                         /* owned */
	bool has_rules;
};

void ca_terms_begin(struct ca_terms *terms);
void ca_terms_end(struct ca_terms *terms);

/* Takes one of the options; false for any other. */
bool ca_terms_take(struct ca_terms *terms, int option, const char *argument);

/* Whether a CRL location is among them: it can be that of one authority only. */
bool ca_terms_has_crl(const struct ca_terms *terms);

/* Changes the authority's object. 0, or -1 when memory runs out. */
int ca_terms_apply(const struct ca_terms *terms, json_t *entry);

#endif
