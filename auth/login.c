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

bool login_kind_is_used(const struct config *config, unsigned int kind)
{
	switch (kind) {
	case LOGIN_KERBEROS: return config->upstream.login == CONFIG_LOGIN_KERBEROS;
	case LOGIN_MINTED: return config->upstream.login == CONFIG_LOGIN_MINTED;
	case LOGIN_BEARER: return config->upstream.login == CONFIG_LOGIN_BEARER;
	case LOGIN_ASSERTION: return config->assertion.header[0] != '\0';
	default: return false;
	}
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
