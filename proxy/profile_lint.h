/*
 * Looks at a configuration profile: its form, its keys, and whether an ActiveSync account in it can get
 * past easproxyd. What is inside its certificates is somebody else's to judge. For easproxyctl.
 */
#ifndef PROXY_PROFILE_LINT_H
#define PROXY_PROFILE_LINT_H

#include "config/error.h"
#include "config/span.h"
#include "proxy/profile_report.h"

struct profile_lint {
	struct profile_report report;
	const char *host; /* that phones should be sent to; NULL: not known */
	/* Called for each identity that an account uses: address is the account's, NULL without one;
	 * password that of the payload, NULL without one. */
	void (*identity)(
		void *context, struct span pkcs12, const char *password, const char *address);
	/* Called for each certificate of an authority. */
	void (*authority)(void *context, struct span content);
	void *context;
};

/* document is the property list itself, not signed. 0, however much was told; -1 with err filled: it
 * cannot be read at all. */
int profile_lint(struct span document, const struct profile_lint *lint, struct error *err);

#endif
