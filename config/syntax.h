/*
 * From text to a tree of values, by libconfuse. For config/ alone.
 */
#ifndef CONFIG_SYNTAX_H
#define CONFIG_SYNTAX_H

#include <confuse.h>

#include "config/fault.h"
#include "config/option.h"
#include "config/text.h"

/* A value as it was written, and where. */
struct syntax_value {
	int line;
	char text[];
};

/* The tree; each option holds pointers to struct syntax_value. The caller frees it with cfg_free().
 * NULL with one fault where the grammar is broken. */
cfg_t *syntax_parse(const struct text *text, struct faults *faults);

/* The nth value of an option in a section, NULL where there are fewer. */
const struct syntax_value *syntax_value(cfg_t *section, const struct option *option, size_t nth);

#endif
