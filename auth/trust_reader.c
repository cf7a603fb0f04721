#include "auth/trust_reader.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void report_text(
	const struct trust_reader *reader, const char *prefix, const char *format, va_list args)
{
	char what[768];
	char text[1024];
	char place[40] = "";

	vsnprintf(what, sizeof(what), format, args);
	if (reader->number > 0)
		snprintf(place, sizeof(place), "authority %zu: ", reader->number);
	snprintf(text, sizeof(text), "%s%s: %s%s", prefix, reader->name, place, what);
	/* One line each, whatever the file held. */
	for (char *c = text; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	if (reader->report != NULL)
		reader->report(reader->context, text);
}

void trust_reader_fault(struct trust_reader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_text(reader, "", format, args);
	va_end(args);
	reader->fault_count++;
}

void trust_reader_warn(const struct trust_reader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_text(reader, "warning: ", format, args);
	va_end(args);
}

/* OData's annotations say nothing about an authority. */
void trust_reader_warn_unknown(const struct trust_reader *reader, const char *name)
{
	if (strchr(name, '@') == NULL)
		trust_reader_warn(reader, "%.64s: unknown, not used", name);
}
