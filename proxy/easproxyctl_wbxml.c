#include "proxy/easproxyctl_wbxml.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/hex.h"
#include "proxy/easproxyctl_usage.h"
#include "wbxml/base64.h"
#include "wbxml/xml.h"

enum { EXIT_GOOD = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* Of the input, and, since XML is longer, of what is made of it. */
static const size_t input_max = 64 << 20, output_max = 512 << 20;

enum input_form { INPUT_BYTES, INPUT_HEX, INPUT_BASE64 };

struct arguments {
	enum wbxml_dialect dialect;
	enum input_form form;
	const char *input, *output; /* "-": standard input and output */
};

static int input_read(int fd, struct wbxml_buffer *input)
{
	char chunk[65536];
	ssize_t got;

	while ((got = read(fd, chunk, sizeof(chunk))) != 0) {
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		wbxml_buffer_append(input, chunk, (size_t)got);
		if (input->has_failed) {
			errno = EFBIG;
			return -1;
		}
	}
	return 0;
}

static int input_load(const char *path, struct wbxml_buffer *input, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	const char *name = is_stdin ? "standard input" : path;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	int result = 0;

	if (fd == -1)
		return error_sys(err, "opening %s", name);
	if (input_read(fd, input) != 0)
		result = errno == EFBIG
				 ? error_set(err, "%s is larger than %zu MB", name, input_max >> 20)
				 : error_sys(err, "reading %s", name);
	if (!is_stdin)
		close(fd);
	return result;
}

/* Pairs of digits; white space and colons between them are what tools print there. */
static int pairs_read(struct span text, struct wbxml_buffer *out)
{
	int high = -1, value;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t byte;

		if (high == -1 && text.data[i] != 0 && strchr(" \t\r\n:", text.data[i]) != NULL)
			continue;
		value = hex_value((char)text.data[i]);
		if (value == -1)
			return -1;
		if (high == -1) {
			high = value;
			continue;
		}
		byte = (uint8_t)(high << 4 | value);
		wbxml_buffer_append(out, &byte, 1);
		high = -1;
	}
	return high == -1 ? 0 : -1;
}

/* Replaces text by the bytes that it stands for. */
static int input_unwrap(struct wbxml_buffer *input, enum input_form form, struct error *err)
{
	struct wbxml_buffer bytes = {.limit = input_max};
	struct span text = span_of(input->data, input->len);
	int result = 0;

	if (form == INPUT_BYTES)
		return 0;
	if ((form == INPUT_HEX ? pairs_read(text, &bytes) : base64_read(text, &bytes)) != 0)
		result = error_set(err, "the input is not %s",
			form == INPUT_HEX ? "pairs of hexadecimal digits" : "base64");
	wbxml_buffer_free(input);
	*input = bytes;
	return result;
}

static int output_write(int fd, const struct wbxml_buffer *output)
{
	size_t at = 0;

	while (at < output->len) {
		ssize_t put = write(fd, output->data + at, output->len - at);

		if (put == -1 && errno != EINTR)
			return -1;
		at += put > 0 ? (size_t)put : 0;
	}
	return 0;
}

static int output_save(const char *path, const struct wbxml_buffer *output, struct error *err)
{
	int fd, result;

	if (strcmp(path, "-") == 0)
		return output_write(STDOUT_FILENO, output) == 0
			       ? 0
			       : error_sys(err, "writing to standard output");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd == -1)
		return error_sys(err, "opening %s", path);
	result = output_write(fd, output);
	if (close(fd) != 0 || result != 0)
		return error_sys(err, "writing %s", path);
	return 0;
}

typedef int convert(struct span document, const struct wbxml_xml_options *options,
	struct wbxml_buffer *out, struct error *err);

static int run(const char *command, const struct arguments *arguments, convert *convert_document)
{
	struct wbxml_xml_options options = {.dialect = arguments->dialect, .indent = true};
	struct wbxml_buffer input = {.limit = input_max}, output = {.limit = output_max};
	struct error err = {""};
	int result;

	result = input_load(arguments->input, &input, &err);
	if (result == 0)
		result = input_unwrap(&input, arguments->form, &err);
	if (result == 0)
		result = convert_document(span_of(input.data, input.len), &options, &output, &err);
	if (result == 0)
		result = output_save(arguments->output, &output, &err);
	if (result != 0)
		fprintf(stderr, "easproxyctl %s: %s\n", command, err.text);
	wbxml_buffer_free(&output);
	wbxml_buffer_free(&input);
	return result == 0 ? EXIT_GOOD : EXIT_REFUSED;
}

static int dialect_read(const char *text, enum wbxml_dialect *dialect)
{
	if (strcmp(text, "exact") == 0)
		*dialect = WBXML_DIALECT_EXACT;
	else if (strcmp(text, "libwbxml") == 0)
		*dialect = WBXML_DIALECT_LIBWBXML;
	else
		return -1;
	return 0;
}

/* allowed: the short letters of the options that the command has. */
static int arguments_read(int argc, char **argv, const char *allowed, struct arguments *arguments)
{
	static const struct option options[] = {{"dialect", required_argument, NULL, 'd'},
		{"hex", no_argument, NULL, 'x'}, {"base64", no_argument, NULL, 'b'},
		{"output", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	int option;

	*arguments = (struct arguments){.output = "-"};
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (option == '?' || strchr(allowed, option) == NULL)
			return -1;
		if (option == 'd' && dialect_read(optarg, &arguments->dialect) != 0)
			return -1;
		if ((option == 'x' || option == 'b') && arguments->form != INPUT_BYTES)
			return -1;
		if (option == 'x' || option == 'b')
			arguments->form = option == 'x' ? INPUT_HEX : INPUT_BASE64;
		if (option == 'o')
			arguments->output = optarg;
	}
	if (optind < argc - 1)
		return -1;
	arguments->input = optind < argc ? argv[optind] : "-";
	return 0;
}

int ctl_decode(int argc, char **argv)
{
	struct arguments arguments;

	if (arguments_read(argc, argv, "dxb", &arguments) != 0)
		return ctl_usage(
			argc, argv, "decode [--dialect exact|libwbxml] [--hex|--base64] [FILE|-]");
	return run(argv[0], &arguments, wbxml_to_xml);
}

int ctl_encode(int argc, char **argv)
{
	struct arguments arguments;

	if (arguments_read(argc, argv, "do", &arguments) != 0)
		return ctl_usage(
			argc, argv, "encode [--dialect exact|libwbxml] [-o FILE] [FILE|-]");
	if (strcmp(arguments.output, "-") == 0 && isatty(STDOUT_FILENO)) {
		fprintf(stderr,
			"easproxyctl %s: WBXML is binary: name a file with -o, or redirect the "
			"output\n",
			argv[0]);
		return EXIT_USAGE;
	}
	return run(argv[0], &arguments, wbxml_from_xml);
}
