/*
 * One path out of a configuration that need not be whole: for tools that make what it still lacks, or
 * mend what is wrong in it. For easproxyctl.
 */
#ifndef CONFIG_LOOKUP_H
#define CONFIG_LOOKUP_H

#include "config/error.h"

/* The value of an option that is a path, in a section ("": in none) as config_load() would take it, or its default. Faults in other
 * options are passed over. The caller frees it; NULL with err filled where the file cannot be read as a
 * configuration, or does not give it a value. */
char *config_lookup_path(
	const char *config_path, const char *section, const char *name, struct error *err);

#endif
