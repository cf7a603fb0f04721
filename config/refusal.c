#include "config/refusal.h"

static const struct refusal_row rows[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = {"none", 0, 0, 0, "", "", ""},
#define REFUSAL(code, name, alert, http, eas, aadsts, cause, remedy)                               \
	[REFUSAL_##code] = {name, alert, http, eas, aadsts, cause, remedy},
#include "config/refusal.def"
#undef REFUSAL
};

const struct refusal_row *refusal_row(enum refusal code)
{
	if ((unsigned int)code >= REFUSAL_COUNT)
		code = REFUSAL_INTERNAL;
	return &rows[code];
}
