#include "proxy/profile_report.h"

#include <stdarg.h>
#include <stdio.h>

void profile_tell(
	const struct profile_report *report, enum profile_grade grade, const char *format, ...)
{
	char text[1024];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	/* Values of a profile stand in it. */
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	report->tell(report->context, grade, text);
}
