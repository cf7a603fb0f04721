#include "auth/revocation_reason.h"

#include <stddef.h>

const char *revocation_reason_name(unsigned int reason)
{
	static const char *const names[] = {"unspecified", "keyCompromise", "cACompromise",
		"affiliationChanged", "superseded", "cessationOfOperation", "certificateHold", NULL,
		"removeFromCRL", "privilegeWithdrawn", "aACompromise"};

	return reason < sizeof(names) / sizeof(names[0]) && names[reason] != NULL ? names[reason]
										  : "unknown";
}
