/*
 * What an endpoint's answer to OPTIONS says of it, in words for an operator: whether it speaks ActiveSync,
 * whether our login was good, which server it was, and what can be done. For workers.
 */
#ifndef PROXY_UPSTREAM_OPTIONS_H
#define PROXY_UPSTREAM_OPTIONS_H

#include <stdbool.h>

#include "config/model.h"
#include "proxy/http.h"

enum { UPSTREAM_TEXT_MAX = 319, UPSTREAM_HINT_MAX = 319 };

/* Printable ASCII, cut where it does not fit. A hint beside what is good is a warning. */
struct upstream_options {
	bool is_good;
	char text[UPSTREAM_TEXT_MAX + 1]; /* what it is */
	char hint[UPSTREAM_HINT_MAX + 1]; /* what to do about it; "": nothing */
};

/* The answer to a request with this login. */
void upstream_options_judge(
	const struct http_head *head, enum config_login login, struct upstream_options *options);

/* The answer to a request without any: it should be refused. Where it is not, that is a warning, as there
 * are servers to which a header's word is enough. */
void upstream_options_judge_anonymous(
	const struct http_head *head, struct upstream_options *options);

/* The names of the ways to log in that the WWW-Authenticate fields offer, "Negotiate, Basic", without
 * what stands behind them (RFC 9110 11.6.1); "" where there are none. size > 0. */
void upstream_options_schemes(const struct http_head *head, char *text, size_t size);

#endif
