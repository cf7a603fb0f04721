/*
 * Faults in a configuration, collected while it is read and checked, then reported in the order of
 * the file. For config/ alone.
 */
#ifndef CONFIG_FAULT_H
#define CONFIG_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/model.h"

struct fault {
	int line;
	char *text;
};

struct faults {
	const char *file; /* borrowed, for "file:line: " */
	size_t count;
	struct fault *list;
	bool has_error; /* a warning is none */
	bool is_cut;    /* there were more than are worth reading */
};

/* Line 0: the file as a whole. */
void faults_begin(struct faults *faults, const char *file);
void fault_add(struct faults *faults, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void fault_warn(struct faults *faults, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A text that names its own file; reported as it is, at its place in the order. */
void fault_add_foreign(struct faults *faults, int line, const char *text);

/* Forgets all that was found so far. */
void faults_clear(struct faults *faults);

/* Reports all and forgets them. Returns 0, or -1 where something was more than a warning. */
int faults_report(struct faults *faults, config_report *report, void *context);

#endif
