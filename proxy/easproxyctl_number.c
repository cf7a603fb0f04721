#include "proxy/easproxyctl_number.h"

#include <stdio.h>

#include "config/option.h"

static int read_number(
	enum option_type type, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const struct option option = {.type = type, .min = min, .max = max};
	struct error err;

	if (option_read_number(&option, text, value, &err) == 0)
		return 0;
	fprintf(stderr, "easproxyctl: %s\n", err.text);
	return -1;
}

int ctl_read_time(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *time_ms)
{
	return read_number(OPTION_TIME, text, min_ms, max_ms, time_ms);
}

int ctl_read_size(const char *text, uint64_t min, uint64_t max, uint64_t *size)
{
	return read_number(OPTION_SIZE, text, min, max, size);
}
