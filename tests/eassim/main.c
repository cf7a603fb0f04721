#include <stdio.h>
#include <string.h>

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
