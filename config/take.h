/*
 * From values as they were written to the fields of the model, one option at a time, by the table.
 * For config/ alone.
 */
#ifndef CONFIG_TAKE_H
#define CONFIG_TAKE_H

#include "config/fault.h"
#include "config/model.h"
#include "config/option.h"
#include "config/syntax.h"

struct taking {
	struct config *config;
	struct faults *faults;
	const char *dir; /* where relative paths start */
};

/* Fills all fields of a section's struct, base, from its options or their defaults. line: where the
 * section begins, for what is missing. */
void take_section(
	const struct taking *taking, enum option_section section, cfg_t *cfg, void *base, int line);

#endif
