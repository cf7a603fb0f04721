#include "proxy/easproxyctl_wbxml.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/easproxyctl_bytes.h"
#include "proxy/easproxyctl_usage.h"
#include "wbxml/xml.h"

enum { EXIT_GOOD = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static const size_t input_max = 64 << 20, output_max = 512 << 20;

struct arguments {
	enum wbxml_dialect dialect;
	const char *input, *output; /* "-": standard input and output */
};

int ctl_dialect_read(const char *text, enum wbxml_dialect *dialect)
{
	if (strcmp(text, "exact") == 0)
		*dialect = WBXML_DIALECT_EXACT;
	else if (strcmp(text, "libwbxml") == 0)
		*dialect = WBXML_DIALECT_LIBWBXML;
	else
		return -1;
	return 0;
}

static int encode(const struct arguments *arguments, const char *command)
{
	const struct wbxml_xml_options options = {
		.dialect = arguments->dialect, .limits = {.lets_unknown_pass = true}};
	struct wbxml_buffer input = {.limit = input_max}, output = {.limit = output_max};
	struct error err = {""};
	int result = bytes_load(arguments->input, &input, &err);

	if (result == 0)
		result = wbxml_from_xml(span_of(input.data, input.len), &options, &output, &err);
	if (result == 0)
		result = bytes_save(arguments->output, span_of(output.data, output.len), &err);
	if (result != 0)
		fprintf(stderr, "easproxyctl %s: %s\n", command, err.text);
	wbxml_buffer_free(&output);
	wbxml_buffer_free(&input);
	return result == 0 ? EXIT_GOOD : EXIT_REFUSED;
}

static int arguments_read(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {{"dialect", required_argument, NULL, 'd'},
		{"output", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	int option;

	*arguments = (struct arguments){.output = "-"};
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (option == '?')
			return -1;
		if (option == 'd' && ctl_dialect_read(optarg, &arguments->dialect) != 0)
			return -1;
		if (option == 'o')
			arguments->output = optarg;
	}
	if (optind < argc - 1)
		return -1;
	arguments->input = optind < argc ? argv[optind] : "-";
	return 0;
}

int ctl_encode(int argc, char **argv)
{
	struct arguments arguments;

	if (arguments_read(argc, argv, &arguments) != 0)
		return ctl_usage(
			argc, argv, "encode [--dialect exact|libwbxml] [-o FILE] [FILE|-]");
	if (strcmp(arguments.output, "-") == 0 && isatty(STDOUT_FILENO)) {
		fprintf(stderr,
			"easproxyctl %s: WBXML is binary: name a file with -o, or redirect the "
			"output\n",
			argv[0]);
		return EXIT_USAGE;
	}
	return encode(&arguments, argv[0]);
}
