/*
 * What the control process knows of CRLs, and its requests "crl-list" and "crl-refresh".
 */
#ifndef PROXY_CONTROL_CRL_H
#define PROXY_CONTROL_CRL_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/control_request.h"
#include "proxy/message.h"

/* What the revocation process has said of one CRL location. */
struct control_crl {
	bool has_index;
	struct message_index index;
	bool has_report[2]; /* of the base CRL, of the delta CRL */
	struct message_crl reports[2];
};

struct control_authority {
	struct control_crl crls[CRL_LOCATION_MAX];
};

/* In which state an authority's CRL location is, from the best to the worst; each has a word. */
enum control_crl_state {
	CONTROL_CRL_NO_LOCATION, /* none is configured */
	CONTROL_CRL_NOT_CHECKED, /* nor looked at: the authority's check is none */
	CONTROL_CRL_EXEMPT,      /* until a date */
	CONTROL_CRL_CURRENT,
	CONTROL_CRL_GRACE, /* past nextUpdate, and still good for the grace that is configured */
	CONTROL_CRL_STALE,
	CONTROL_CRL_NEVER_FETCHED,
};

/* The worst of all its locations. */
enum control_crl_state control_authority_state(
	const struct authority *authority, const struct control_authority *known, int64_t now);
const char *control_crl_word(enum control_crl_state state);

/* How new the news of an authority is that decides over its users, as revocation_set_effective() has it
 * in the workers: UNIX seconds; 0: there is none. */
int64_t control_effective(const struct authority *authority, const struct control_authority *known);

/* What went wrong last with any of its locations; "": nothing. */
const char *control_authority_error(
	const struct authority *authority, const struct control_authority *known);

/* Has an authority's locations looked at now (UINT32_MAX: those of all). False when the supervisor
 * does not take it. */
bool control_refresh(const struct control *control, uint32_t authority);

/* A report has come: who waits for the result of a refresh may have it now. */
void control_crl_reported(struct control *control);

control_handler control_request_crl_list;
control_handler control_request_crl_refresh;

#endif
