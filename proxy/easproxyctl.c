/*
 * easproxyctl(1): one table of commands, from which the help is made.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "auth/directory.h"
#include "auth/trust_store.h"
#include "config/model.h"
#include "proxy/easproxyctl_ca.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_crl.h"
#include "proxy/easproxyctl_explain.h"
#include "proxy/easproxyctl_refusals.h"
#include "proxy/easproxyctl_status.h"
#include "proxy/easproxyctl_user.h"
#include "proxy/easproxyctl_verify.h"
#include "proxy/easproxyctl_wbxml.h"

static int ctl_version(int argc, char **argv);
static int ctl_help(int argc, char **argv);
static int ctl_check(int argc, char **argv);
static int ctl_reload(int argc, char **argv);
static int ctl_refresh(int argc, char **argv);

/* Each command gets its name as argv[0] and returns the exit status: 0, 1 when it failed, 2 for a
 * wrong command line. */
static const struct command {
	const char *name;
	const char *arguments;
	const char *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"check", "[-c FILE]", "check the configuration, as easproxyd -t does", ctl_check},
	{"status", "[-s SOCKET] [--json]", "show what easproxyd does and has refused", ctl_status},
	{"reload", "[-s SOCKET]", "take over the changed configuration", ctl_reload},
	{"refresh", "[-s SOCKET]", "look at all CRL locations now", ctl_refresh},
	{"crl", "list | refresh [CA]", "show the CRLs in use, or look for newer ones", ctl_crl},
	{"user", "revoke|allow|...", "shut a user's phones out, or let them in again", ctl_user},
	{"seen", "[-s SOCKET] [--json]", "list the certificates that came, and what became of them",
		ctl_seen},
	{"ca", "COMMAND [ARGUMENT...]", "see and change the certificate authorities; ca help",
		ctl_ca},
	{"explain", "[OPTION...] CERT", "show the way of a certificate, and what would stop it",
		ctl_explain},
	{"refusals", "[NAME | --markdown]", "explain the codes by which phones are refused",
		ctl_refusals},
	{"verify", "--ca DIR --crl DIR FILE...", "judge a certificate as easproxyd would",
		ctl_verify},
	{"decode", "[OPTION...] [FILE|-]", "show a WBXML document as XML", ctl_decode},
	{"encode", "[OPTION...] [FILE|-]", "make a WBXML document from XML", ctl_encode},
	{"version", "", "print the version", ctl_version},
	{"help", "", "print this", ctl_help},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *stream)
{
	fputs("usage: easproxyctl COMMAND [ARGUMENT...]\n\n", stream);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-9s %-21s %s\n", commands[i].name, commands[i].arguments,
			commands[i].summary);
	fprintf(stream,
		"\nFILE of check is " EASPROXY_CONFIG " and SOCKET is %s,\n"
		"unless another is named.\n",
		CTL_DEFAULT_SOCKET);
}

static int ctl_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("easproxyctl " EASPROXY_VERSION);
	return 0;
}

static int ctl_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print_help(stdout);
	return 0;
}

static void print_fault(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

static int ctl_check(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
	const char *path = EASPROXY_CONFIG;
	struct config *config;
	int option;

	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "c:", options, NULL)) == 'c')
		path = optarg;
	if (option != -1 || optind != argc) {
		fputs("usage: easproxyctl check [-c FILE]\n", stderr);
		return 2;
	}
	config = config_load(path, trust_store_config_check, print_fault, NULL);
	if (config != NULL && directory_config_check(&config->directory, print_fault, NULL) == -1) {
		config_free(config);
		config = NULL;
	}
	if (config == NULL)
		return 1;
	printf("configuration %s is valid\n", path);
	config_free(config);
	return 0;
}

static int ctl_reload(int argc, char **argv)
{
	return ctl_simple_request(argc, argv, "reloaded");
}

static int ctl_refresh(int argc, char **argv)
{
	return ctl_simple_request(
		argc, argv, "looking at all CRL locations; see easproxyctl status");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return ctl_help(0, NULL);
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		return ctl_version(0, NULL);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))
			return ctl_help(0, NULL);
		return commands[i].run(argc - 1, argv + 1);
	}
	if (name[0] != '\0')
		fprintf(stderr, "easproxyctl: there is no command \"%s\"\n", name);
	print_help(stderr);
	return 2;
}
