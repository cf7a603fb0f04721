/* The subcommands of eassim; each reads its own options and returns the exit status. */
#ifndef EASSIM_COMMANDS_H
#define EASSIM_COMMANDS_H

int serve_main(int argc, char **argv);
int run_main(int argc, char **argv);

/* Raises the limit of open files as far as it goes: each phone is one. */
void raise_file_limit(void);

#endif
