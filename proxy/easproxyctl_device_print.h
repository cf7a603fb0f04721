/*
 * How easproxyctl device shows what easproxyd has answered, for a person to read.
 */
#ifndef PROXY_EASPROXYCTL_DEVICE_PRINT_H
#define PROXY_EASPROXYCTL_DEVICE_PRINT_H

#include <jansson.h>

/* The titles of the columns, then one device. */
void ctl_print_devices_head(void);
void ctl_print_device_line(const json_t *device);

/* All that is known of one. */
void ctl_print_device(const json_t *device);

/* What became of an order, a line for each device. done: "is blocked". */
void ctl_print_ordered(const json_t *answer, const char *done, const char *not_done);

#endif
