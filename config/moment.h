/*
 * Moments as people write them: ISO 8601, to the second. For every room and every process.
 */
#ifndef CONFIG_MOMENT_H
#define CONFIG_MOMENT_H

#include <stddef.h>
#include <stdint.h>

#include "config/error.h"

enum { MOMENT_TEXT_SIZE = 32 };

/* "2026-12-31T23:59:59Z", with an offset ("+01:00") for the Z, without seconds, or a day alone, which
 * means its first moment in UTC. UNIX seconds; years 1970 to 9999. -1 with err filled. */
int moment_read(const char *text, int64_t *moment, struct error *err);

/* "2026-12-31T23:59:59Z". */
void moment_write(int64_t moment, char text[MOMENT_TEXT_SIZE]);

#endif
