/*
 * UTF-8 as a state machine, one byte a step (Unicode 15, table 3-7), over the characters that XML 1.0
 * can hold. A state is all that has to be remembered between two pieces of a text. Used by reader.c.
 */
#ifndef WBXML_UTF8_H
#define WBXML_UTF8_H

#include <stdint.h>

enum { UTF8_WHOLE = 0, UTF8_WRONG = 0xFF };

/* The first byte of at to end that cannot follow, or end. *state is UTF8_WHOLE at the start of a
 * text, and again wherever a character is complete. A NUL never follows. */
const uint8_t *utf8_scan(const uint8_t *at, const uint8_t *end, uint8_t *state);

#endif
