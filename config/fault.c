#include "config/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/memory.h"

enum { FAULTS_MAX = 500, FAULT_TEXT_MAX = 1024 };

void faults_begin(struct faults *faults, const char *file)
{
	*faults = (struct faults){.file = file};
}

static void keep(struct faults *faults, int line, const char *text)
{
	if (faults->count == FAULTS_MAX) {
		faults->is_cut = true;
		return;
	}
	faults->list = memory_grow(faults->list, faults->count, sizeof(*faults->list));
	faults->list[faults->count++] = (struct fault){line, memory_copy(text)};
}

static void keep_words(struct faults *faults, int line, const char *mark, const char *words)
{
	char text[FAULT_TEXT_MAX + 300];
	char number[16] = "";

	if (line > 0)
		snprintf(number, sizeof(number), ":%d", line);
	snprintf(text, sizeof(text), "%.250s%s: %s%s", faults->file, number, mark, words);
	keep(faults, line, text);
}

void fault_add(struct faults *faults, int line, const char *format, ...)
{
	char words[FAULT_TEXT_MAX];
	va_list args;

	faults->has_error = true;
	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	keep_words(faults, line, "", words);
}

void fault_warn(struct faults *faults, int line, const char *format, ...)
{
	char words[FAULT_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	keep_words(faults, line, "warning: ", words);
}

void fault_add_foreign(struct faults *faults, int line, const char *text)
{
	keep(faults, line, text);
}

void faults_clear(struct faults *faults)
{
	for (size_t i = 0; i < faults->count; i++)
		free(faults->list[i].text);
	free(faults->list);
	faults_begin(faults, faults->file);
}

/* Stable, so that faults of one line stay as they were found; the list is short. */
static void sort_by_line(struct faults *faults)
{
	for (size_t i = 1; i < faults->count; i++) {
		struct fault fault = faults->list[i];
		size_t at = i;

		for (; at > 0 && faults->list[at - 1].line > fault.line; at--)
			faults->list[at] = faults->list[at - 1];
		faults->list[at] = fault;
	}
}

int faults_report(struct faults *faults, config_report *report, void *context)
{
	int result = faults->has_error ? -1 : 0;

	sort_by_line(faults);
	for (size_t i = 0; report != NULL && i < faults->count; i++)
		report(context, faults->list[i].text);
	if (report != NULL && faults->is_cut)
		report(context, "and more; only the first 500 are shown");
	faults_clear(faults);
	return result;
}
