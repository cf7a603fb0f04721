/*
 * Octets as digits: hexadecimal, in lower case. For every room and every process.
 */
#ifndef CONFIG_HEX_H
#define CONFIG_HEX_H

#include "config/span.h"

/* Two digits for each octet, then a NUL: text has room for 2 * octets.len + 1. */
void hex_write(struct span octets, char *text);

/* The same for a number, the highest octet first: without octets of zero in front, "" for 0. */
void hex_write_number(struct span octets, char *text);

/* What a digit stands for, in either case; -1 for what is none. */
int hex_value(char digit);

/* Exactly len octets from exactly twice as many digits, in either case. 0, or -1. */
int hex_read(const char *text, uint8_t *octets, size_t len);

#endif
