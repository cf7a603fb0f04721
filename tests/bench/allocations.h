/*
 * How often this program has asked for memory. Linking allocations.c puts functions that count in the
 * place of glibc's malloc(), calloc() and realloc(), for all libraries of the program too.
 */
#ifndef BENCH_ALLOCATIONS_H
#define BENCH_ALLOCATIONS_H

#include <stdint.h>

/* Since the start of the program. */
uint64_t allocations_count(void);

#endif
