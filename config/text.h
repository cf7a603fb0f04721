/*
 * The text of a configuration file, before libconfuse sees it. Three things are done here because
 * libconfuse cannot do them: comments are blanked (it takes none inside a list and miscounts lines
 * after some), what its scanner would silently drop or expand is refused, and unknown or repeated
 * options are reported and blanked one by one (it stops at the first). For config/ alone.
 */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include <stddef.h>

#include "config/fault.h"
#include "config/option.h"

enum { TEXT_SIZE_MAX = 1024 * 1024 };

struct text_section {
	enum option_section section;
	int line; /* where it begins */
};

struct text {
	char *data; /* NUL-terminated */
	size_t len;
	int line_count;
	size_t section_count;
	struct text_section *sections; /* in the order of the file */
};

/* Reads the file. -1 with a fault where it cannot be. */
int text_read(struct text *text, const char *path, struct faults *faults);

/* Blanks comments and refuses what cannot be read as easproxy.conf. -1 with one fault. */
int text_clean(struct text *text, struct faults *faults);

/* Reports and blanks what the table of options does not know, and what stands twice. Where the
 * grammar is broken it stops; libconfuse will say so. -1 with one fault where a section is not
 * closed. */
int text_strip_unknown(struct text *text, struct faults *faults);

/* The line where the nth section (from 0) of that kind begins; the last line if there is none. */
int text_section_line(const struct text *text, enum option_section section, size_t nth);

void text_free(struct text *text);

#endif
