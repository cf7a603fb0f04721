/*
 * Structs that are mostly zeros, made small: what stands between the zeros is kept, byte for byte, and
 * where it stood. Lossless for any bytes. Pure.
 */
#ifndef PROXY_ZERO_RUN_H
#define PROXY_ZERO_RUN_H

#include <stddef.h>
#include <stdint.h>

/* The most that zero_run_pack() writes for so many bytes. */
#define ZERO_RUN_MAX(size) ((size) + (size) / 64 + 4)

/* Packs size bytes into packed, which has room for ZERO_RUN_MAX(size). Returns the packed length. */
size_t zero_run_pack(const void *data, size_t size, uint8_t *packed);

/* Brings them back: all size bytes of data are written. packed is what zero_run_pack() has made of as
 * many. */
void zero_run_unpack(const uint8_t *packed, size_t packed_len, void *data, size_t size);

#endif
