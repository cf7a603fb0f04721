#include "auth/login.h"

#include <stdarg.h>
#include <stdio.h>

const char *login_kind_name(unsigned int kind)
{
	static const char *const names[LOGIN_KIND_COUNT] = {
		[LOGIN_KERBEROS] = "kerberos",
		[LOGIN_MINTED] = "minted-certificate",
		[LOGIN_BEARER] = "bearer",
		[LOGIN_ASSERTION] = "assertion",
	};

	return kind < LOGIN_KIND_COUNT ? names[kind] : "";
}

enum login_status login_fault_set(struct login_fault *fault, enum login_status status,
	const char *hint, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	for (char *c = fault->text; *c != '\0'; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	snprintf(fault->hint, sizeof(fault->hint), "%s", hint != NULL ? hint : "");
	return status;
}
