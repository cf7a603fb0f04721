/*
 * The commands of ActiveSync by their names, as options name them. A set of them is a mask with bit n
 * for the command whose code in a base64 query is n (MS-ASHTTP 2.2.1.1.1.1.2). For config/ and proxy/.
 */
#ifndef CONFIG_COMMAND_H
#define CONFIG_COMMAND_H

enum { COMMAND_COUNT = 24 };

/* COMMAND_COUNT where there is none of that name; the case is that of the specification. */
unsigned int command_find(const char *name);

/* "Sync"; command is below COMMAND_COUNT. */
const char *command_name(unsigned int command);

#endif
