/*
 * On which terms an authority may vouch: its CRL locations, what is checked, how long something may be
 * missing, OCSP. For the files auth/trust_*.c alone.
 */
#ifndef AUTH_TRUST_TERMS_H
#define AUTH_TRUST_TERMS_H

#include "auth/trust_member.h"
#include "config/option.h"

/* The words of revocationCheck and ocsp, as OPTION_CHOICE. */
extern const struct option trust_check_option;
extern const struct option trust_ocsp_option;

/* Those of crlSizeLimit and crlTimeLimit: the rows of size-limit and time-limit in easproxy.conf. */
const struct option *trust_size_option(void);
const struct option *trust_time_option(void);

/* Fills these fields of the authority, each as the default where it is not given. 0, or -1 where a fault
 * was reported; strings may be NULL then. */
int trust_terms_read(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct authority *authority);

#endif
