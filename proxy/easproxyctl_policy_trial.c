#include "proxy/easproxyctl_policy_trial.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "auth/x509_text.h"
#include "config/moment.h"
#include "proxy/eas_command.h"
#include "proxy/easproxyctl_bytes.h"
#include "proxy/policy_body.h"
#include "proxy/policy_rule.h"
#include "proxy/policy_texts.h"
#include "proxy/policy_words.h"

enum { INPUT_MAX = 64 << 20 };

/* The command line */

int trial_read_arguments(int argc, char **argv, struct trial_arguments *arguments)
{
	static const struct option options[] = {{"request", required_argument, NULL, 'r'},
		{"command", required_argument, NULL, 'C'},
		{"version", required_argument, NULL, 'v'},
		{"mailbox", required_argument, NULL, 'm'}, {"device", required_argument, NULL, 'd'},
		{"device-type", required_argument, NULL, 't'},
		{"model", required_argument, NULL, 'M'}, {"os", required_argument, NULL, 'o'},
		{"user-agent", required_argument, NULL, 'u'},
		{"source", required_argument, NULL, 's'}, {"time", required_argument, NULL, 'T'},
		{"group", required_argument, NULL, 'g'}, {"class", required_argument, NULL, 'l'},
		{"issuer", required_argument, NULL, 'i'}, {"cert", required_argument, NULL, 'x'},
		{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	const char **const texts[] = {['r'] = &arguments->request,
		['C'] = &arguments->command,
		['v'] = &arguments->version,
		['m'] = &arguments->mailbox,
		['d'] = &arguments->device,
		['t'] = &arguments->device_type,
		['M'] = &arguments->model,
		['o'] = &arguments->os,
		['u'] = &arguments->user_agent,
		['s'] = &arguments->source,
		['T'] = &arguments->time,
		['i'] = &arguments->issuer,
		['x'] = &arguments->certificate,
		['c'] = &arguments->config_path};
	int option;

	*arguments = (struct trial_arguments){.config_path = EASPROXY_CONFIG};
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (option == 'j')
			arguments->wants_json = true;
		else if (option == 'g' && arguments->group_count < TRIAL_GROUPS_MAX)
			arguments->groups[arguments->group_count++] = optarg;
		else if (option == 'l' && arguments->class_count < TRIAL_CLASSES_MAX)
			arguments->classes[arguments->class_count++] = optarg;
		else if ((size_t)option < sizeof(texts) / sizeof(texts[0]) && texts[option] != NULL)
			*texts[option] = optarg;
		else
			return -1;
	}
	return optind == argc ? 0 : -1;
}

/* The request */

static bool begins_with(const struct wbxml_buffer *input, const char *text)
{
	size_t len = strlen(text);

	return input->len >= len && memcmp(input->data, text, len) == 0;
}

/* The content without its chunks. */
static int take_content(struct trial *trial, size_t head_len, struct error *err)
{
	const char *data = (const char *)trial->input.data + head_len;
	size_t len = trial->input.len - head_len;
	struct http_body body;

	trial->body.limit = INPUT_MAX;
	http_body_begin(&body, &trial->head);
	while (!http_body_is_done(&body)) {
		struct span piece = {0};
		enum http_result got = http_body_next(&body, &data, &len, &piece);

		if (got == HTTP_REFUSED || (piece.len == 0 && got == HTTP_MORE))
			return error_set(err, "the body of the HTTP request is not whole");
		wbxml_buffer_append(&trial->body, piece.data, piece.len);
	}
	trial->content = span_of(trial->body.data, trial->body.len);
	return 0;
}

static int take_http(struct trial *trial, struct error *err)
{
	size_t scanned = 0, head_len = 0;
	const char *data = (const char *)trial->input.data;
	enum refusal refusal;

	if (http_head_find_end(data, trial->input.len, &scanned, &head_len) != HTTP_DONE ||
		http_request_parse(&trial->head, data, head_len) != HTTP_DONE)
		return error_set(err, "its head is none that easproxyd takes; lines end in CR LF");
	refusal = eas_request_read(&trial->head, &trial->request);
	if (refusal == REFUSAL_NONE)
		refusal = eas_request_body_kind(&trial->request, &trial->head, &trial->kind);
	if (refusal != REFUSAL_NONE)
		return error_set(err, "it is refused before any rule: %s: %s",
			refusal_row(refusal)->name, refusal_row(refusal)->cause);
	(void)http_field_find(&trial->head, "user-agent", &trial->facts.user_agent);
	return take_content(trial, head_len, err);
}

/* A file may be a whole HTTP request, or its body alone. */
static int take_request(struct trial *trial, const char *path, struct error *err)
{
	static const char wbxml[] = {0x03, 0x01, 0x6A, 0x00};

	trial->input.limit = INPUT_MAX;
	if (bytes_load(path, &trial->input, err) == -1)
		return -1;
	trial->has_body = true;
	if (begins_with(&trial->input, "POST ") || begins_with(&trial->input, "OPTIONS "))
		return take_http(trial, err);
	trial->content = span_of(trial->input.data, trial->input.len);
	if (trial->input.len == 0)
		trial->kind = EAS_BODY_NONE;
	else if (trial->input.len >= sizeof(wbxml) &&
		 memcmp(trial->input.data, wbxml, sizeof(wbxml)) == 0)
		trial->kind = EAS_BODY_WBXML;
	else
		trial->kind = EAS_BODY_MIME;
	return 0;
}

/* What the document's root says, where nothing else does. */
static enum eas_command command_of_root(uint16_t root)
{
	for (unsigned int i = 0; i < EAS_COMMAND_COUNT; i++)
		if (root != 0 && eas_command_row((enum eas_command)i)->root == root)
			return (enum eas_command)i;
	return EAS_NO_COMMAND;
}

static int look_into(struct trial *trial, const struct config *config, struct error *err)
{
	const struct eas_body_terms terms = {.limits = {.depth = config->limits.wbxml_depth,
						     .elements = config->limits.wbxml_elements},
		.kind = trial->kind,
		.command = trial->request.command,
		.version = trial->request.version};
	enum refusal refusal;

	if (trial->kind != EAS_BODY_WBXML && trial->kind != EAS_BODY_MIME)
		return 0;
	if (trial->kind == EAS_BODY_MIME && trial->request.command != EAS_NO_COMMAND &&
		eas_command_row(trial->request.command)->form != EAS_FORM_MIME)
		return error_set(err,
			"--request: it is neither WBXML nor an HTTP request, as "
			"the body of a %s is",
			eas_command_name(trial->request.command));
	trial->view = eas_body_new(&terms);
	if (trial->view == NULL)
		return error_set(err, "out of memory");
	refusal = eas_body_feed(trial->view, trial->content);
	if (refusal == REFUSAL_NONE)
		refusal = eas_body_end(trial->view);
	if (refusal != REFUSAL_NONE)
		return error_set(err, "it is refused before any rule: %s: %s",
			refusal_row(refusal)->name,
			eas_body_fault_text(trial->view) == NULL
				? refusal_row(refusal)->cause
				: eas_body_fault_text(trial->view));
	return 0;
}

/* The command line goes before what the file says. */

static int take_command(
	struct trial *trial, const struct trial_arguments *arguments, struct error *err)
{
	uint32_t bits;

	if (arguments->command == NULL)
		return 0;
	if (policy_command_bits(arguments->command, &bits, err) == -1)
		return -1;
	trial->facts.is_autodiscover = bits == UINT32_C(1) << POLICY_AUTODISCOVER;
	trial->request.command = bits >> EAS_COMMAND_COUNT != 0
					 ? EAS_NO_COMMAND
					 : (enum eas_command)__builtin_ctz(bits);
	if (trial->request.command == EAS_NO_COMMAND)
		trial->request.version = 0;
	return 0;
}

static int take_version(
	struct trial *trial, const struct trial_arguments *arguments, struct error *err)
{
	if (arguments->version == NULL)
		return 0;
	trial->request.version = policy_version_read(arguments->version);
	return trial->request.version != 0
		       ? 0
		       : error_set(err, "--version: '%.20s' is no protocol version, such as 16.1",
				 arguments->version);
}

static int take_source(
	struct trial *trial, const struct trial_arguments *arguments, struct error *err)
{
	struct in6_addr *source = &trial->facts.source;
	struct in_addr v4;

	if (arguments->source == NULL || inet_pton(AF_INET6, arguments->source, source) == 1)
		return 0;
	if (inet_pton(AF_INET, arguments->source, &v4) != 1)
		return error_set(err, "--source: '%.50s' is not an address, such as 192.0.2.7",
			arguments->source);
	/* As the listener's sockets say it: RFC 4291 2.5.5.2. */
	memset(source, 0, sizeof(*source));
	source->s6_addr[10] = source->s6_addr[11] = 0xFF;
	memcpy(&source->s6_addr[12], &v4, sizeof(v4));
	return 0;
}

static int take_time(
	struct trial *trial, const struct trial_arguments *arguments, struct error *err)
{
	struct error cause;

	trial->facts.now = time(NULL);
	if (arguments->time == NULL || moment_read(arguments->time, &trial->facts.now, &cause) == 0)
		return 0;
	return error_set(err, "--time: %s", cause.text);
}

static int take_groups(
	struct trial *trial, const struct trial_arguments *arguments, struct error *err)
{
	const struct config_policy *policy = &trial->policy->config->policy;

	for (size_t i = 0; i < arguments->group_count; i++) {
		bool is_known = false;

		for (size_t n = 0; n < policy->group_count; n++) {
			if (strcasecmp(policy->groups[n], arguments->groups[i]) != 0)
				continue;
			trial->facts.groups |= UINT64_C(1) << n;
			is_known = true;
		}
		if (!is_known)
			fprintf(stderr, "easproxyctl policy test: no rule names the group '%s'\n",
				arguments->groups[i]);
	}
	for (size_t i = 0; i < arguments->class_count; i++) {
		uint32_t bits;

		if (policy_class_bits(arguments->classes[i], &bits, err) == -1)
			return -1;
		trial->classes |= bits;
	}
	return 0;
}

static int take_certificate(
	struct trial *trial, const struct trial_arguments *arguments, struct error *err)
{
	FILE *file;
	X509 *certificate;

	if (arguments->issuer != NULL)
		snprintf(trial->issuer, sizeof(trial->issuer), "%s", arguments->issuer);
	if (arguments->certificate == NULL)
		return 0;
	file = fopen(arguments->certificate, "r");
	if (file == NULL)
		return error_sys(err, "--cert: opening %.100s", arguments->certificate);
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	if (certificate == NULL)
		return error_set(
			err, "--cert: %.100s has no certificate in PEM", arguments->certificate);
	x509_name_format(X509_get_issuer_name(certificate), trial->issuer, sizeof(trial->issuer));
	trial->facts.oids = policy_oids_of(trial->policy, certificate);
	X509_free(certificate);
	return 0;
}

static const char *first(const char *given, const char *found)
{
	return given != NULL ? given : found;
}

static unsigned int class_as_given(void *context, struct span id)
{
	(void)context;
	(void)id;
	return 0; /* EAS_CLASS_UNSAID */
}

static void take_body(struct trial *trial)
{
	struct policy_facts *facts = &trial->facts;

	facts->has_body = trial->kind != EAS_BODY_NONE;
	if (trial->view != NULL)
		policy_take_body(facts, trial->view, class_as_given, NULL);
	if (trial->classes != 0)
		facts->classes = (uint8_t)((facts->classes & ~1U) | trial->classes);
	if (trial->kind == EAS_BODY_WBXML) {
		facts->document = trial->content;
		facts->document_is_too_large =
			trial->content.len > policy_document_size(trial->policy);
	}
	/* Nothing is known of a body that is not there, unless there never is one. */
	if (!trial->has_body)
		facts->has_body = facts->command != EAS_NO_COMMAND &&
				  eas_command_row(facts->command)->form != EAS_FORM_NONE;
}

int trial_take(struct trial *trial, const struct trial_arguments *arguments, struct error *err)
{
	struct policy_facts *facts = &trial->facts;

	trial->request.command = EAS_NO_COMMAND;
	if (arguments->request != NULL && take_request(trial, arguments->request, err) == -1)
		return -1;
	if (arguments->mailbox != NULL && strchr(arguments->mailbox, '@') == NULL)
		return error_set(err,
			"--mailbox: '%.100s' is not the address of one, such as bob@example.com",
			arguments->mailbox);
	if (take_command(trial, arguments, err) == -1 ||
		take_version(trial, arguments, err) == -1 ||
		look_into(trial, trial->policy->config, err) == -1)
		return -1;
	if (arguments->command == NULL && trial->request.command == EAS_NO_COMMAND &&
		trial->view != NULL)
		trial->request.command = trial->kind == EAS_BODY_MIME
						 ? EAS_SEND_MAIL
						 : command_of_root(trial->view->root);
	facts->command = trial->request.command;
	facts->is_autodiscover |= trial->request.path == EAS_PATH_AUTODISCOVER;
	facts->version = trial->request.version;
	facts->device_id = first(arguments->device, trial->request.device_id);
	facts->device_type = first(arguments->device_type, trial->request.device_type);
	facts->model = first(arguments->model, "");
	facts->os = first(arguments->os, "");
	if (arguments->user_agent != NULL)
		facts->user_agent = span_of_string(arguments->user_agent);
	snprintf(trial->mailbox, sizeof(trial->mailbox), "%s",
		first(arguments->mailbox, trial->request.user));
	for (char *c = trial->mailbox; *c != '\0'; c++)
		*c = (char)policy_lower((uint8_t)*c);
	facts->mailbox = trial->mailbox;
	facts->issuer = trial->issuer;
	if (take_source(trial, arguments, err) == -1 || take_time(trial, arguments, err) == -1 ||
		take_groups(trial, arguments, err) == -1 ||
		take_certificate(trial, arguments, err) == -1)
		return -1;
	take_body(trial);
	return 0;
}

void trial_free(struct trial *trial)
{
	eas_body_free(trial->view);
	wbxml_buffer_free(&trial->body);
	wbxml_buffer_free(&trial->input);
}
