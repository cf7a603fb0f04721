/* The subcommands of eassim; each reads its own options and returns the exit status. */
#ifndef EASSIM_COMMANDS_H
#define EASSIM_COMMANDS_H

#include <stdint.h>

#include "config/error.h"

int serve_main(int argc, char **argv);
int run_main(int argc, char **argv);
int load_main(int argc, char **argv);

/* A whole decimal number within bounds. 0, or -1 with err. */
int option_number(
	const char *text, uint32_t min, uint32_t max, uint32_t *number, struct error *err);

/* "127.0.0.2-127.0.0.20", or one address: the first one in host order, and how many. Text NULL: 0 of
 * them. 0, or -1 with err. */
int source_range_read(const char *text, uint32_t *first, uint32_t *count, struct error *err);

/* Raises the limit of open files as far as it goes: each phone is one. */
void raise_file_limit(void);

#endif
