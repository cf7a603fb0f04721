#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "commands.h"

static const char usage[] =
	"eassim plays both ends of Exchange ActiveSync, to try a proxy between them.\n"
	"\n"
	"  eassim serve [option...]   a small ActiveSync server, a stand-in for Exchange\n"
	"  eassim run [option...]     a fleet of simulated phones\n"
	"  eassim phone [option...]   one phone that tells each step: run --devices 1 --verbose\n"
	"  eassim load [option...]    many phones that ask the same over and over, for a "
	"benchmark\n"
	"  eassim version\n"
	"\n"
	"serve, run and load list their options with --help. Manual: eassim(1).\n";

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

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "serve") == 0)
		return serve_main(argc - 1, argv + 1);
	if (strcmp(command, "run") == 0 || strcmp(command, "phone") == 0)
		return run_main(argc - 1, argv + 1);
	if (strcmp(command, "load") == 0)
		return load_main(argc - 1, argv + 1);
	if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
		printf("eassim %s\n", EASPROXY_VERSION);
		return 0;
	}
	fputs(usage, strcmp(command, "--help") == 0 ? stdout : stderr);
	return strcmp(command, "--help") == 0 ? 0 : 2;
}
