/* What the subcommands' options have in common. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "commands.h"

int option_number(const char *text, uint32_t min, uint32_t max, uint32_t *number, struct error *err)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || text[0] == '-' || value < min || value > max)
		return error_set(err, "%s is not a number from %u to %u", text, min, max);
	*number = (uint32_t)value;
	return 0;
}

int source_range_read(const char *text, uint32_t *first, uint32_t *count, struct error *err)
{
	char from_text[64];
	size_t len;
	struct in_addr from, to;

	*count = 0;
	if (text == NULL)
		return 0;
	len = strcspn(text, "-");
	snprintf(from_text, sizeof(from_text), "%.*s", (int)(len < 63 ? len : 63), text);
	if (inet_pton(AF_INET, from_text, &from) != 1 ||
		inet_pton(AF_INET, text[len] == '-' ? text + len + 1 : from_text, &to) != 1 ||
		ntohl(to.s_addr) < ntohl(from.s_addr))
		return error_set(err, "%s: not addresses, as 127.0.0.2-127.0.0.20", text);
	*first = ntohl(from.s_addr);
	*count = ntohl(to.s_addr) - *first + 1;
	return 0;
}

void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	/* root may go past its hard limit; others may not, and take what there is */
	if (limit.rlim_max < 200000)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){200000, 200000});
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
