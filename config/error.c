#include "config/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, const char *format, ...)
{
	va_list args;

	if (err == NULL)
		return -1;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -1;
}

int error_sys(struct error *err, const char *format, ...)
{
	int reason = errno;
	char cause[128];
	va_list args;
	int written;

	if (err == NULL)
		return -1;
	va_start(args, format);
	written = vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	if (written >= 0 && (size_t)written < sizeof(err->text))
		snprintf(err->text + written, sizeof(err->text) - (size_t)written, ": %s",
			strerror_r(reason, cause, sizeof(cause)));
	errno = reason;
	return -1;
}
