#include "auth/openssl_error.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_openssl(struct error *err, const char *format, ...)
{
	unsigned long code = ERR_peek_error();
	const char *reason = NULL;
	char number[32];
	va_list args;
	int written;

	ERR_clear_error();
	if (err == NULL)
		return -1;
	va_start(args, format);
	written = vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	if (code == 0 || written < 0 || (size_t)written >= sizeof(err->text))
		return -1;
	/* A system error has no reason text in OpenSSL: its number is errno. */
	if (ERR_SYSTEM_ERROR(code))
		reason = strerror_r((int)ERR_GET_REASON(code), number, sizeof(number));
	else
		reason = ERR_reason_error_string(code);
	if (reason == NULL) {
		snprintf(number, sizeof(number), "OpenSSL error %lx", code);
		reason = number;
	}
	snprintf(err->text + written, sizeof(err->text) - (size_t)written, ": %s", reason);
	return -1;
}
