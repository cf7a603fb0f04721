#include "proxy/easproxyctl_ca.h"

#include <stdio.h>
#include <string.h>

#include "proxy/easproxyctl_usage.h"

static const char terms[] =
	"\n"
	"  --crl URL [--delta-crl URL]  where its CRL is, and its delta; more than once where it "
	"is\n"
	"                               divided; \"\" for none\n"
	"  --check chain|leaf|none      whose revocation is looked at\n"
	"  --grace TIME                 how long after its nextUpdate a CRL is good enough\n"
	"  --exempt-until MOMENT        until then nothing is checked; \"\" ends it\n"
	"  --exempt-reason TEXT         and why\n"
	"  --crl-size-limit SIZE, --crl-time-limit TIME\n"
	"  --ocsp off|soft|hard         whether a responder is asked too\n"
	"  --ocsp-url URL               which\n"
	"  --rule [POLICY=]NAME,...     for which domains and mailboxes it may vouch; more than "
	"once\n"
	"                               for several rules; \"\" for all\n";

static const struct sub_command {
	const char *name;
	const char *arguments;
	const char *summary;
	int (*run)(int argc, char **argv);
	const char *details;
} sub_commands[] = {
	{"list", "[--json]", "show the authorities", ctl_ca_list, ""},
	{"add", "FILE --root|--intermediate|--crl-signer [--dry-run] [TERM...]",
		"add those in a file (DER, PEM or PKCS#7)", ctl_ca_add, terms},
	{"set", "CA [--dry-run] TERM...", "change the terms of one", ctl_ca_set, terms},
	{"remove", "CA [--dry-run]", "remove one", ctl_ca_remove, ""},
	{"import", "FILE|- [--replace] [--dry-run]", "take over an export of Entra, or of ours",
		ctl_ca_import, ""},
	{"export", "[--format own|graph|legacy]", "write what import reads", ctl_ca_export, ""},
	{"lint", "[CA] [--json]", "try every CRL location, and look at what is there", ctl_ca_lint,
		""},
};

enum { SUB_COMMAND_COUNT = sizeof(sub_commands) / sizeof(sub_commands[0]) };

int ctl_ca_usage(int argc, char **argv)
{
	for (size_t i = 0; i < SUB_COMMAND_COUNT; i++)
		if (strcmp(sub_commands[i].name, argv[0]) == 0)
			fprintf(ctl_usage_stream(argc, argv),
				"usage: easproxyctl ca %s %s\n       [-c FILE] [--store FILE] [-s "
				"SOCKET]\n%s",
				argv[0], sub_commands[i].arguments, sub_commands[i].details);
	return ctl_usage_status(argc, argv);
}

static void print_help(FILE *stream)
{
	fputs("usage: easproxyctl ca COMMAND [ARGUMENT...] [-c FILE] [--store FILE] [-s "
	      "SOCKET]\n\n",
		stream);
	for (size_t i = 0; i < SUB_COMMAND_COUNT; i++)
		fprintf(stream, "  %-7s %s\n  %-7s   %s\n", sub_commands[i].name,
			sub_commands[i].arguments, "", sub_commands[i].summary);
	fprintf(stream,
		"\nCA is a number of the list, a key identifier or SHA-256 (8 digits or more), a\n"
		"subject or a common name. easproxyctl ca set --help lists the TERMs.\n"
		"The trust store is that of the configuration FILE (" EASPROXY_CONFIG ").\n");
}

int ctl_ca(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	/* What is said on standard error belongs between it. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_help(stdout);
		return 0;
	}
	for (size_t i = 0; i < SUB_COMMAND_COUNT; i++)
		if (strcmp(sub_commands[i].name, name) == 0)
			return sub_commands[i].run(argc - 1, argv + 1);
	if (name[0] != '\0')
		fprintf(stderr, "easproxyctl: ca has no command \"%s\"\n", name);
	print_help(stderr);
	return 2;
}
