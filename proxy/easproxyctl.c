/*
 * easproxyctl(1): one table of commands, from which the help is made.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "auth/directory.h"
#include "auth/login_check.h"
#include "auth/trust_store.h"
#include "config/model.h"
#include "proxy/easproxyctl_ca.h"
#include "proxy/easproxyctl_client.h"
#include "proxy/easproxyctl_crl.h"
#include "proxy/easproxyctl_device.h"
#include "proxy/easproxyctl_explain.h"
#include "proxy/easproxyctl_history.h"
#include "proxy/easproxyctl_policy.h"
#include "proxy/easproxyctl_profile.h"
#include "proxy/easproxyctl_refusals.h"
#include "proxy/easproxyctl_status.h"
#include "proxy/easproxyctl_trace.h"
#include "proxy/easproxyctl_upstream.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/easproxyctl_user.h"
#include "proxy/easproxyctl_verify.h"
#include "proxy/easproxyctl_wbxml.h"
#include "proxy/policy.h"

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
	{"status", "", "show what easproxyd does and has refused", ctl_status},
	{"reload", "", "take over the changed configuration", ctl_reload},
	{"refresh", "", "look at all CRL locations now, without waiting", ctl_refresh},
	{"ca", "COMMAND...", "see and change the certificate authorities", ctl_ca},
	{"crl", "list | refresh [CA]", "show the CRLs in use, or look for newer ones", ctl_crl},
	{"user", "COMMAND...", "shut a user's phones out, or let them in again", ctl_user},
	{"upstream", "list | test", "show the mail servers, or go the whole way to them as a user",
		ctl_upstream},
	{"trace", "DEVICE|MAILBOX", "follow what a phone and its server say to each other",
		ctl_trace},
	{"device", "COMMAND...", "see devices, and block, quarantine or wipe them", ctl_device},
	{"policy", "list | test", "show the rules, and what they would make of a request",
		ctl_policy},
	{"seen", "", "list the certificates that came, and what became of them", ctl_seen},
	{"explain", "CERT", "show the way of a certificate, and what would stop it", ctl_explain},
	{"profile", "... | lint FILE", "make or check a configuration profile for a phone",
		ctl_profile},
	{"refusals", "[NAME]", "explain the names of refusals", ctl_refusals},
	{"verify", "CERT...", "judge a certificate without a running easproxyd", ctl_verify},
	{"decode", "[FILE|-]", "show a body of ActiveSync as XML", ctl_decode},
	{"encode", "[FILE|-]", "make a WBXML document from XML", ctl_encode},
	{"version", "", "print the version", ctl_version},
	{"help", "[COMMAND...]", "print this, or how a command is used", ctl_help},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *stream)
{
	fputs("usage: easproxyctl COMMAND [ARGUMENT...]\n\n", stream);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-9s %-19s  %s\n", commands[i].name, commands[i].arguments,
			commands[i].summary);
	fprintf(stream,
		"\neasproxyctl COMMAND --help says what else a command takes; most take\n"
		"  -s SOCKET  the control socket of easproxyd (%s)\n"
		"  -c FILE    the configuration (" EASPROXY_CONFIG ")\n"
		"  --json     answer in JSON\n",
		CTL_DEFAULT_SOCKET);
}

static int ctl_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("easproxyctl " EASPROXY_VERSION);
	return 0;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	fprintf(stderr, "easproxyctl: there is no command \"%s\"\n", name);
	return NULL;
}

/* "help ca add" is "ca add --help". */
static int ctl_help(int argc, char **argv)
{
	char option[] = "--help";
	char *arguments[] = {argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : option,
		argc > 2 ? option : NULL, NULL};
	const struct command *command;

	if (argc == 1 || argv[1][0] == '-' || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	command = argc <= 3 ? find_command(argv[1]) : NULL;
	if (command != NULL)
		return command->run(argc == 2 ? 2 : 3, arguments);
	print_help(stderr);
	return 2;
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
	if (option != -1 || optind != argc)
		return ctl_usage(argc, argv, "check [-c FILE]");
	config = config_load(path, trust_store_config_check, print_fault, NULL);
	if (config != NULL &&
		(directory_config_check(&config->directory, print_fault, NULL) == -1 ||
			login_config_check(config, print_fault, NULL) == -1 ||
			policy_config_check(config, print_fault, NULL) == -1)) {
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
		argc, argv, "looking at all CRL locations; see easproxyctl crl list");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct command *command = NULL;

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return ctl_help(1, argv);
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		return ctl_version(0, NULL);
	if (name[0] != '\0')
		command = find_command(name);
	if (command != NULL)
		return command->run(argc - 1, argv + 1);
	print_help(stderr);
	return 2;
}
