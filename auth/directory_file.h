/*
 * A directory in a text file, easproxy-directory(5): one line for each mailbox, with its addresses and
 * bindings. For directory.c and tests; the backend itself is directory_file in directory.h.
 */
#ifndef AUTH_DIRECTORY_FILE_H
#define AUTH_DIRECTORY_FILE_H

#include "auth/directory.h"
#include "auth/directory_groups.h"
#include "config/span.h"

enum {
	DIRECTORY_FILE_SIZE_MAX = 256 * 1024 * 1024,
	DIRECTORY_FILE_LINE_MAX = 16 * 1024,
	DIRECTORY_FILE_FAULTS_MAX = 20, /* that are reported */
};

struct directory_table; /* what the file says; opaque */

/* Parses the text, for which name stands in messages. Faults are reported in the order of the file,
 * "name:line: …"; NULL when there is any. report may be NULL; groups, too: nobody asks for them. */
struct directory_table *directory_table_parse(struct span text, const char *name,
	const struct directory_groups *groups, config_report *report, void *report_context);
void directory_table_free(struct directory_table *table);          /* NULL is allowed */
size_t directory_table_count(const struct directory_table *table); /* mailboxes */

void directory_table_ask(const struct directory_table *table,
	const struct directory_question *question, struct directory_answer *answer);

/* Reads and parses the file at path and lets go of it. 0, or -1 with the faults reported. */
int directory_file_check(const char *path, config_report *report, void *report_context);

#endif
