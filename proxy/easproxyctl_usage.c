#include "proxy/easproxyctl_usage.h"

#include <string.h>

bool ctl_asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

FILE *ctl_usage_stream(int argc, char **argv)
{
	return ctl_asks_for_help(argc, argv) ? stdout : stderr;
}

int ctl_usage_status(int argc, char **argv)
{
	return ctl_asks_for_help(argc, argv) ? 0 : 2;
}

int ctl_usage(int argc, char **argv, const char *text)
{
	fprintf(ctl_usage_stream(argc, argv), "usage: easproxyctl %s\n", text);
	return ctl_usage_status(argc, argv);
}
