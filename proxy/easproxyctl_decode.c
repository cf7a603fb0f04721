#include "proxy/easproxyctl_decode.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/hex.h"
#include "proxy/eas_command.h"
#include "proxy/easproxyctl_bytes.h"
#include "proxy/easproxyctl_usage.h"
#include "proxy/easproxyctl_wbxml.h"
#include "wbxml/xml.h"

enum { EXIT_GOOD = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, NO_PART = -1, PART_MAX = 1000000 };

/* Of the input, and, since XML is longer, of what is made of it. */
static const size_t input_max = 64 << 20, output_max = 512 << 20;

static const char usage[] =
	"decode [--command NAME] [--show-secrets] [--part N] [--dialect exact|libwbxml] "
	"[--hex|--base64] [FILE|-]";

struct arguments {
	enum wbxml_dialect dialect;
	enum bytes_form form;
	enum eas_command command; /* EAS_NO_COMMAND: not said */
	bool has_command, shows_secrets;
	int part; /* NO_PART: the document */
	const char *input;
};

const char *decode_command_of(uint16_t root)
{
	for (unsigned int i = 0; i < EAS_COMMAND_COUNT && root != 0; i++)
		if (eas_command_row((enum eas_command)i)->root == root)
			return eas_command_name((enum eas_command)i);
	return NULL;
}

static void note(const char *text)
{
	fprintf(stderr, "easproxyctl decode: %s\n", text);
}

/* What a body without a document means, MS-ASCMD 2.2.1. */
static const char *meaning_of_nothing(enum eas_command command)
{
	switch (command) {
	case EAS_SYNC:
		return "an empty body: a request for what the last one asked for, or an answer "
		       "that "
		       "nothing has changed";
	case EAS_PING:
		return "an empty body: a request with the folders and interval of the last one";
	case EAS_SEND_MAIL:
	case EAS_SMART_FORWARD:
	case EAS_SMART_REPLY: return "an empty body: an answer that the message was sent";
	case EAS_GET_ATTACHMENT:
	case EAS_GET_HIERARCHY: return "an empty body: a request";
	default: return "an empty body";
	}
}

static const char *form_word(enum body_form form)
{
	switch (form) {
	case BODY_MULTIPART: return "a multipart answer; part 0 is the document";
	case BODY_MIME:
		return "a MIME message, as SendMail, SmartReply and SmartForward send up to 12.1";
	case BODY_XML: return "XML already, as Autodiscover has it";
	case BODY_BYTES: return "a file";
	case BODY_TEXT: return "plain text";
	case BODY_EMPTY:
	case BODY_WBXML: break;
	}
	return NULL;
}

/* Whose body it is, and whether that fits what was said. */
static void note_command(
	const struct arguments *arguments, const struct body_shown *shown, enum eas_command command)
{
	const char *of = decode_command_of(shown->root);
	const struct wbxml_tag *root = wbxml_tag_find(shown->root >> 8, shown->root & 0x3F);
	char text[200];

	if (root == NULL)
		return;
	if (of == NULL)
		snprintf(text, sizeof(text), "no command has a document of root %s:%s",
			wbxml_page_name(shown->root >> 8), root->name);
	else if (command != EAS_NO_COMMAND && strcmp(of, eas_command_name(command)) != 0)
		snprintf(text, sizeof(text), "this is a document of %s, not of %s", of,
			eas_command_name(command));
	else if (!arguments->has_command && isatty(STDERR_FILENO))
		snprintf(text, sizeof(text), "a document of %s", of);
	else
		return;
	note(text);
}

/* In text, "<" and ">" are written otherwise. */
static bool has_text(const struct body_shown *shown, const char *text)
{
	return shown->text.len > 0 &&
	       memmem(shown->text.data, shown->text.len, text, strlen(text)) != NULL;
}

static void note_all(const struct arguments *arguments, const struct decode_message *message,
	const struct body_shown *shown)
{
	enum eas_command command = arguments->has_command ? arguments->command : message->command;

	if (message->is_http)
		note(message->text);
	if (shown->was_gzip)
		note("compressed with gzip");
	if (form_word(shown->form) != NULL)
		note(form_word(shown->form));
	if (shown->form == BODY_EMPTY)
		note(meaning_of_nothing(command));
	note_command(arguments, shown, command);
	if (has_text(shown, "<unknown-"))
		note("elements that ActiveSync does not have are named by their tokens");
	if (has_text(shown, " w:masked=\"secret\">"))
		note("secrets are masked; --show-secrets shows them, and encode needs them");
}

/* Where the fault is, for who has to find it in a dump. */
static void note_fault(struct span body, const char *fault)
{
	unsigned long long at;
	char text[8 * 3 + 1] = "";

	if (sscanf(fault, "byte %llu of the WBXML", &at) != 1 || at >= body.len)
		return;
	for (size_t i = 0; i < 8 && at + i < body.len; i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, " %02x", body.data[at + i]);
	fprintf(stderr, "easproxyctl decode: from there:%s\n", text);
}

static int decode_part(struct span body, const struct arguments *arguments, struct error *err)
{
	struct wbxml_buffer plain = {.limit = input_max};
	struct span part;
	int result = 0;

	if (body_is_gzip(body)) {
		result = body_gunzip(body, &plain, err);
		body = span_of(plain.data, plain.len);
	}
	if (result == 0 && body_part(body, (uint32_t)arguments->part, &part) != 0)
		result = body_part_count(body, true) == 0
				 ? error_set(err, "it is no multipart answer, and has no parts")
				 : error_set(err, "it has %u parts, which are counted from 0",
					   (unsigned int)body_part_count(body, true));
	if (result == 0)
		result = bytes_save("-", part, err);
	wbxml_buffer_free(&plain);
	return result;
}

static int decode_document(struct span body, const struct arguments *arguments,
	const struct decode_message *message, struct error *err)
{
	enum eas_command command = arguments->has_command ? arguments->command : message->command;
	const struct body_show_options options = {
		.redact = arguments->shows_secrets ? 0 : WBXML_REDACT_SECRETS,
		.may_be_anything = command == EAS_GET_ATTACHMENT,
		.output_max = output_max};
	struct body_shown shown;
	int result = 0;

	/* Nothing was sent, and nobody said whose nothing it is. */
	if (body.len == 0 && !arguments->has_command && !message->is_http)
		return error_set(err,
			"byte 0 of the WBXML: the document ends too early; --command says "
			"whose body may be empty");
	if (body_show(body, &options, &shown) != 0)
		result = error_set(err, "%s", shown.fault.text);
	note_all(arguments, message, &shown);
	if (result != 0 && !shown.was_gzip)
		note_fault(body, shown.fault.text);
	if (result == 0 && shown.form == BODY_BYTES)
		result = bytes_save("-", body, err);
	else if (result == 0)
		result = bytes_save("-", span_of(shown.text.data, shown.text.len), err);
	body_shown_free(&shown);
	return result;
}

static int decode_libwbxml(struct span body, const struct arguments *arguments, struct error *err)
{
	const struct wbxml_xml_options options = {.dialect = WBXML_DIALECT_LIBWBXML,
		.indent = true,
		.redact = arguments->shows_secrets ? 0 : WBXML_REDACT_SECRETS};
	struct wbxml_buffer output = {.limit = output_max};
	int result = wbxml_to_xml(body, &options, &output, err);

	if (result == 0)
		result = bytes_save("-", span_of(output.data, output.len), err);
	wbxml_buffer_free(&output);
	return result;
}

static int decode(const struct arguments *arguments)
{
	struct wbxml_buffer input = {.limit = input_max};
	struct decode_message message = {.command = EAS_NO_COMMAND};
	struct error err = {""};
	int result = bytes_load(arguments->input, &input, &err);
	struct span body;

	if (result == 0)
		result = bytes_unwrap(&input, arguments->form, &err);
	if (result == 0)
		result = decode_unwrap_http(&input, &message, &err);
	body = span_of(input.data, input.len);
	if (result == 0 && arguments->part != NO_PART)
		result = decode_part(body, arguments, &err);
	else if (result == 0 && arguments->dialect == WBXML_DIALECT_LIBWBXML)
		result = decode_libwbxml(body, arguments, &err);
	else if (result == 0)
		result = decode_document(body, arguments, &message, &err);
	if (result != 0)
		note(err.text);
	wbxml_buffer_free(&input);
	return result == 0 ? EXIT_GOOD : EXIT_REFUSED;
}

/* Command lines */

static int part_read(const char *text, int *part)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end != '\0' || number < 0 || number > PART_MAX)
		return -1;
	*part = (int)number;
	return 0;
}

static int command_read(const char *text, struct arguments *arguments)
{
	arguments->has_command = true;
	arguments->command = eas_command_find(span_of_string(text));
	if (arguments->command != EAS_NO_COMMAND || strcmp(text, "Autodiscover") == 0 ||
		strcmp(text, "OPTIONS") == 0)
		return 0;
	fprintf(stderr, "easproxyctl decode: --command: '%s' is not a command, such as Sync\n",
		text);
	return -1;
}

static int form_read(enum bytes_form form, struct arguments *arguments)
{
	if (arguments->form != BYTES_PLAIN)
		return -1;
	arguments->form = form;
	return 0;
}

static int option_read(int option, struct arguments *arguments)
{
	switch (option) {
	case 'c': return command_read(optarg, arguments);
	case 'd': return ctl_dialect_read(optarg, &arguments->dialect);
	case 'p': return part_read(optarg, &arguments->part);
	case 's': arguments->shows_secrets = true; return 0;
	case 'x': return form_read(BYTES_HEX, arguments);
	case 'b': return form_read(BYTES_BASE64, arguments);
	default: return -1;
	}
}

int ctl_decode(int argc, char **argv)
{
	static const struct option options[] = {{"command", required_argument, NULL, 'c'},
		{"dialect", required_argument, NULL, 'd'}, {"part", required_argument, NULL, 'p'},
		{"show-secrets", no_argument, NULL, 's'}, {"hex", no_argument, NULL, 'x'},
		{"base64", no_argument, NULL, 'b'}, {NULL, 0, NULL, 0}};
	struct arguments arguments = {.command = EAS_NO_COMMAND, .part = NO_PART};
	int option;

	optind = 0;
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option_read(option, &arguments) != 0)
			return ctl_usage(argc, argv, usage);
	if (optind < argc - 1)
		return ctl_usage(argc, argv, usage);
	arguments.input = optind < argc ? argv[optind] : "-";
	return decode(&arguments);
}
