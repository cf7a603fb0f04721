/*
 * easproxyd(8): the command line. What it does is in supervisor.c.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/directory.h"
#include "auth/login_check.h"
#include "auth/ticket_desk.h"
#include "auth/trust_store.h"
#include "config/model.h"
#include "proxy/identity_minter.h"
#include "proxy/policy.h"
#include "proxy/privacy.h"
#include "proxy/supervisor.h"

enum { EXIT_BAD_CONFIG = 1, EXIT_USAGE = 2 };

static const char usage[] =
	"usage: easproxyd [-c FILE] [--pid-file FILE] [--no-sandbox]\n"
	"       easproxyd -t [-c FILE]\n"
	"\n"
	"  -c, --config FILE   configuration (default: " EASPROXY_CONFIG ")\n"
	"  -t, --test          check the configuration and exit\n"
	"      --pid-file FILE write the process id here, whatever is configured\n"
	"      --no-sandbox    leave out Landlock and seccomp; for debugging only\n"
	"  -V, --version       print the version and exit\n"
	"  -h, --help          print this and exit\n";

static void print_fault(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

static int test(const char *path, bool has_sandbox)
{
	struct config *config = config_load(path, trust_store_config_check, print_fault, NULL);

	if (config != NULL &&
		(directory_config_check(&config->directory, print_fault, NULL) == -1 ||
			login_config_check(config, print_fault, NULL) == -1 ||
			policy_config_check(config, print_fault, NULL) == -1 ||
			ticket_desk_check(config, print_fault, NULL) == -1 ||
			identity_minter_check(config, has_sandbox, print_fault, NULL) == -1)) {
		config_free(config);
		config = NULL;
	}
	if (config == NULL)
		return EXIT_BAD_CONFIG;
	printf("configuration %s is valid\n", path);
	config_free(config);
	return 0;
}

int main(int argc, char **argv)
{
	enum { OPTION_NO_SANDBOX = 256, OPTION_PID_FILE };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"test", no_argument, NULL, 't'},
		{"no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX},
		{"pid-file", required_argument, NULL, OPTION_PID_FILE},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct supervisor_options wanted = {.config_path = EASPROXY_CONFIG, .has_sandbox = true};
	bool is_test = false;
	struct error err;
	int option;

	if (privacy_begin(&err) == -1) {
		fprintf(stderr, "easproxyd: %s\n", err.text);
		return EXIT_FAILURE;
	}

	while ((option = getopt_long(argc, argv, "c:tVh", options, NULL)) != -1)
		switch (option) {
		case 'c': wanted.config_path = optarg; break;
		case 't': is_test = true; break;
		case OPTION_NO_SANDBOX: wanted.has_sandbox = false; break;
		case OPTION_PID_FILE: wanted.pid_file = optarg; break;
		case 'V': puts("easproxyd " EASPROXY_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	if (optind != argc) {
		fprintf(stderr, "easproxyd: what is \"%s\"?\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	return is_test ? test(wanted.config_path, wanted.has_sandbox) : supervisor_run(&wanted);
}
