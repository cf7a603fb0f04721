/* `eassim load`: its options, and what its modes share. */
#include "load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "proxy/tls_library.h"

static const char usage[] =
	"eassim load --connect HOST:PORT --ca FILE (--cert FILE --key FILE | --issuer FILE\n"
	"            --issuer-key FILE --phones N) [option...] MODE [option...]\n"
	"\n"
	"Phones that ask the same over and over, for measuring what is between them and eassim "
	"serve\n"
	"--bench. Every answer is compared, byte by byte. Prints JSON. Exit status: 0 every answer "
	"was\n"
	"right, 1 not, 2 wrong options.\n"
	"\n"
	"  handshakes                 connect, full handshake, OPTIONS, close; each time the next "
	"phone\n"
	"  requests                   over kept connections, one phone each\n"
	"  park                       sleep in Ping; then commands on standard input, a line of "
	"JSON\n"
	"                             for each: park N, ping-check, wake [idle], reconnect\n"
	"                             [all], quit\n"
	"\n"
	"  --count N                  handshakes, requests or parked phones (1000)\n"
	"  --warm-up N                before them, not counted (0); park: phones that ask once "
	"and go,\n"
	"                             in turn, before any of them sleeps\n"
	"  --hold                     after the warm-up wait for a line on standard input; "
	"park: nobody\n"
	"                             sleeps until told to\n"
	"  --connections N            at a time (handshakes 1, requests 32, before park 8)\n"
	"  --kind KIND                sync200, answer100k, foldersync, sendmail5m (sync200)\n"
	"  --pace N                   phones that come to park in a second (0: as fast as they "
	"can)\n"
	"  --cert FILE --key FILE     one certificate, with its chain, for all phones\n"
	"  --issuer FILE --issuer-key FILE   a CA that makes one for each phone\n"
	"  --intermediates FILE       sent beside it (the issuer is always)\n"
	"  --phones N                 so many (1000); then the first one comes again\n"
	"  --key-type ec|rsa          P-256 or RSA 2048 (ec)\n"
	"  --size N                   bytes of a made certificate, at least (0: as it comes)\n"
	"  --domain NAME              of the mailboxes phone0@NAME and so on (contoso.test)\n"
	"  --server-name NAME         SNI and the name in the server's certificate (the host)\n"
	"  --tls 1.2|1.3              no other version\n"
	"  --sources A-B              local IPv4 addresses, in turn, as 127.0.0.2-127.0.0.9\n"
	"  --timeout SECONDS          for an answer, and without progress (60)\n"
	"  --plain                    HTTP, straight to eassim serve --bench, with\n"
	"  --assert-header NAME       the field that names the mailbox there\n";

enum {
	OPTION_CONNECT = 256,
	OPTION_CA,
	OPTION_CERT,
	OPTION_KEY,
	OPTION_ISSUER,
	OPTION_ISSUER_KEY,
	OPTION_INTERMEDIATES,
	OPTION_PHONES,
	OPTION_KEY_TYPE,
	OPTION_SIZE,
	OPTION_DOMAIN,
	OPTION_SERVER_NAME,
	OPTION_TLS,
	OPTION_SOURCES,
	OPTION_COUNT,
	OPTION_WARM_UP,
	OPTION_HOLD,
	OPTION_CONNECTIONS,
	OPTION_KIND,
	OPTION_PACE,
	OPTION_TIMEOUT,
	OPTION_PLAIN,
	OPTION_ASSERT_HEADER,
	OPTION_HELP
};

static const struct option long_options[] = {
	{"connect", required_argument, NULL, OPTION_CONNECT},
	{"ca", required_argument, NULL, OPTION_CA},
	{"cert", required_argument, NULL, OPTION_CERT},
	{"key", required_argument, NULL, OPTION_KEY},
	{"issuer", required_argument, NULL, OPTION_ISSUER},
	{"issuer-key", required_argument, NULL, OPTION_ISSUER_KEY},
	{"intermediates", required_argument, NULL, OPTION_INTERMEDIATES},
	{"phones", required_argument, NULL, OPTION_PHONES},
	{"key-type", required_argument, NULL, OPTION_KEY_TYPE},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"domain", required_argument, NULL, OPTION_DOMAIN},
	{"server-name", required_argument, NULL, OPTION_SERVER_NAME},
	{"tls", required_argument, NULL, OPTION_TLS},
	{"sources", required_argument, NULL, OPTION_SOURCES},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"warm-up", required_argument, NULL, OPTION_WARM_UP},
	{"hold", no_argument, NULL, OPTION_HOLD},
	{"connections", required_argument, NULL, OPTION_CONNECTIONS},
	{"kind", required_argument, NULL, OPTION_KIND},
	{"pace", required_argument, NULL, OPTION_PACE},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"plain", no_argument, NULL, OPTION_PLAIN},
	{"assert-header", required_argument, NULL, OPTION_ASSERT_HEADER},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static int key_type_read(const char *text, bool *is_rsa, struct error *err)
{
	*is_rsa = strcmp(text, "rsa") == 0;
	return *is_rsa || strcmp(text, "ec") == 0
		       ? 0
		       : error_set(err, "%s is neither ec nor rsa", text);
}

static int tls_read_version(const char *text, uint32_t *version, struct error *err)
{
	*version = strcmp(text, "1.2") == 0   ? CONFIG_TLS_1_2
		   : strcmp(text, "1.3") == 0 ? CONFIG_TLS_1_3
					      : 0;
	return *version != 0 ? 0 : error_set(err, "%s is neither 1.2 nor 1.3", text);
}

static int kind_read(const char *text, enum bench_kind *kind, struct error *err)
{
	*kind = bench_kind_find(span_of_string(text));
	if (*kind != BENCH_KIND_COUNT && *kind != BENCH_OPTIONS && *kind != BENCH_PING)
		return 0;
	return error_set(err, "%s is none of sync200, answer100k, foldersync and sendmail5m", text);
}

static int option_take(struct load_options *options, int option, struct error *err)
{
	struct mint_options *mint = &options->mint;

	switch (option) {
	case OPTION_CONNECT: options->connect = optarg; return 0;
	case OPTION_CA: options->ca = optarg; return 0;
	case OPTION_CERT: options->certificate = optarg; return 0;
	case OPTION_KEY: options->key = optarg; return 0;
	case OPTION_ISSUER: mint->issuer = optarg; return 0;
	case OPTION_ISSUER_KEY: mint->issuer_key = optarg; return 0;
	case OPTION_INTERMEDIATES: mint->intermediates = optarg; return 0;
	case OPTION_PHONES: return option_number(optarg, 1, 10000000, &mint->phones, err);
	case OPTION_KEY_TYPE: return key_type_read(optarg, &mint->is_rsa, err);
	case OPTION_SIZE: return option_number(optarg, 0, 5000, &mint->size, err);
	case OPTION_DOMAIN: mint->domain = optarg; return 0;
	case OPTION_SERVER_NAME: options->server_name = optarg; return 0;
	case OPTION_TLS: return tls_read_version(optarg, &options->tls_version, err);
	case OPTION_SOURCES: options->sources = optarg; return 0;
	case OPTION_COUNT: return option_number(optarg, 1, 1000000000, &options->count, err);
	case OPTION_WARM_UP: return option_number(optarg, 0, 1000000000, &options->warm_up, err);
	case OPTION_HOLD: options->holds = true; return 0;
	case OPTION_CONNECTIONS:
		return option_number(optarg, 1, 100000, &options->connections, err);
	case OPTION_KIND: return kind_read(optarg, &options->kind, err);
	case OPTION_PACE: return option_number(optarg, 0, 1000000, &options->pace, err);
	case OPTION_TIMEOUT: return option_number(optarg, 1, 86400, &options->timeout_s, err);
	case OPTION_PLAIN: options->is_plain = true; return 0;
	case OPTION_ASSERT_HEADER: options->assert_header = optarg; return 0;
	default: return error_set(err, "see eassim load --help");
	}
}

/* Says which option's value it is that err is about. Returns -1. */
static int option_blame(const char *name, struct error *err)
{
	const struct error why = *err;

	return error_set(err, "--%s: %.400s", name, why.text);
}

static int mode_take(struct load_options *options, const char *text, struct error *err)
{
	static const char *const names[] = {"handshakes", "requests", "park"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			options->mode = (enum load_mode)i;
			return 0;
		}
	}
	return error_set(err, "%s: handshakes, requests or park", text);
}

static int options_check(struct load_options *options, struct error *err)
{
	static const uint32_t defaults[] = {
		[LOAD_HANDSHAKES] = 1, [LOAD_REQUESTS] = 32, [LOAD_PARK] = 8};
	const struct mint_options *mint = &options->mint;

	if (options->connections == 0)
		options->connections = defaults[options->mode];
	if (options->is_plain)
		return 0;
	if (options->ca == NULL)
		return error_set(err, "--ca FILE is missing: the authority of the server");
	if ((options->certificate == NULL) == (mint->issuer == NULL))
		return error_set(err, "either --cert or --issuer says who the phones are");
	if (options->certificate != NULL && options->key == NULL)
		return error_set(err, "--cert needs --key");
	if (mint->issuer != NULL && mint->issuer_key == NULL)
		return error_set(err, "--issuer needs --issuer-key");
	return 0;
}

/* Opening */

static int address_find(struct load *load, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	const char *text = load->options.connect, *colon;
	int result;

	if (text == NULL)
		return error_set(err, "--connect HOST:PORT is missing");
	colon = strrchr(text, ':');
	if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(load->host_text))
		return error_set(err, "--connect %s: not HOST:PORT", text);
	snprintf(load->host_text, sizeof(load->host_text), "%.*s", (int)(colon - text), text);
	result = getaddrinfo(load->host_text, colon + 1, &hints, &found);
	if (result != 0)
		return error_set(err, "looking up %s: %s", text, gai_strerror(result));
	memcpy(&load->address, found->ai_addr, found->ai_addrlen);
	load->address_len = found->ai_addrlen;
	freeaddrinfo(found);
	load->host =
		load->options.server_name != NULL ? load->options.server_name : load->host_text;
	return 0;
}

static int tls_open(struct load *load, struct error *err)
{
	char path[] = "the authority";
	struct config_file ca = {.path = path, .fd = -1};

	if (load->options.is_plain)
		return 0;
	ca.fd = open(load->options.ca, O_RDONLY | O_CLOEXEC);
	if (ca.fd == -1)
		return error_sys(err, "opening %s", load->options.ca);
	/* In a context of few algorithms the client's part of a handshake costs a quarter less. */
	OSSL_LIB_CTX_set0_default(tls_library());
	load->tls = tls_client_new(&ca, true, err);
	close(ca.fd);
	if (load->tls == NULL)
		return -1;
	if (load->options.tls_version != 0)
		tls_client_use_version(
			load->tls, (enum config_tls_version)load->options.tls_version);
	return 0;
}

static int identities_open(struct load *load, struct error *err)
{
	const struct load_options *options = &load->options;
	char mailbox[321];

	if (options->is_plain)
		return 0;
	load->identities = identities_new();
	if (load->identities == NULL)
		return error_set(err, "out of memory");
	if (options->mint.issuer != NULL)
		return identities_mint(load->identities, &options->mint, err);
	if (identities_add(load->identities, options->certificate, options->key, err) != 0)
		return -1;
	identities_mailbox(load->identities, 0, mailbox);
	return mailbox[0] != '\0' ? 0 : error_set(err, "%s names no mailbox", options->certificate);
}

static int load_open(struct load *load, struct error *err)
{
	if (source_range_read(
		    load->options.sources, &load->source_first, &load->source_count, err) != 0)
		return option_blame("sources", err);
	if (identities_open(load, err) != 0 || address_find(load, err) != 0 ||
		tls_open(load, err) != 0 || poller_open(&load->poller, err) != 0)
		return -1;
	return bench_content_make(&load->content, err);
}

static void load_close(struct load *load)
{
	for (uint32_t i = 0; i < load->line_count; i++)
		load_line_close(&load->lines[i]);
	free(load->lines);
	bench_content_free(&load->content);
	tls_client_free(load->tls);
	identities_free(load->identities);
	poller_close(&load->poller);
}

int load_lines_make(struct load *load, uint32_t count, struct error *err)
{
	load->lines = calloc(count, sizeof(*load->lines));
	if (load->lines == NULL)
		return error_set(err, "out of memory");
	load->line_count = count;
	for (uint32_t i = 0; i < count; i++) {
		load->lines[i].load = load;
		load->lines[i].item.fd = -1;
		load->lines[i].phone = i;
	}
	return 0;
}

/* A parked Ping may take as long as it likes. */
static void end_the_slow(struct load *load, uint64_t now)
{
	uint64_t limit = (uint64_t)load->options.timeout_s * 1000000;

	for (uint32_t i = 0; i < load->line_count; i++) {
		struct load_line *line = &load->lines[i];
		bool is_under_way = line->state != LINE_CLOSED && line->state != LINE_IDLE &&
				    !(line->state == LINE_READING && line->kind == BENCH_PING);

		if (!is_under_way || now - line->asked_us < limit)
			continue;
		load_line_close(line);
		load->on_end(line, LOAD_TIMED_OUT, "no answer in time");
	}
}

void load_step(struct load *load, int timeout_ms)
{
	static uint64_t looked_us;
	uint64_t now;

	poller_run(&load->poller, timeout_ms);
	now = load_now_us();
	if (now - looked_us >= 1000000) {
		looked_us = now;
		end_the_slow(load, now);
	}
}

void load_warm(struct load *load)
{
	char byte;

	if (!load->options.holds)
		return;
	load_print(json_pack("{s:I}", "warm", (json_int_t)load_result_ended(load)));
	while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
		;
}

static int load_run(struct load *load, struct error *err)
{
	static int (*const modes[])(struct load *, struct error *) = {
		load_handshakes, load_requests, load_park};

	return modes[load->options.mode](load, err);
}

int load_main(int argc, char **argv)
{
	struct load *load = calloc(1, sizeof(*load));
	struct error err = {""};
	int option, place = 0, status = 2;
	bool has_mode = false;

	if (load == NULL)
		return 1;
	load->poller.fd = -1;
	load->options = (struct load_options){.count = 1000,
		.timeout_s = 60,
		.kind = BENCH_SYNC200,
		.mint = {.phones = 1000, .domain = "contoso.test"}};
	while ((option = getopt_long(argc, argv, "", long_options, &place)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage, stdout);
			free(load);
			return 0;
		}
		if (option_take(&load->options, option, &err) != 0) {
			if (option != '?') /* of those getopt_long() has spoken */
				option_blame(long_options[place].name, &err);
			goto refused;
		}
	}
	for (; optind < argc; optind++) {
		if (has_mode)
			error_set(&err, "%s: no such argument", argv[optind]);
		if (has_mode || mode_take(&load->options, argv[optind], &err) != 0)
			goto refused;
		has_mode = true;
	}
	if (!has_mode) {
		error_set(&err, "handshakes, requests or park?");
		goto refused;
	}
	if (options_check(&load->options, &err) != 0)
		goto refused;
	raise_file_limit();
	signal(SIGPIPE, SIG_IGN);
	if (load_open(load, &err) == 0 && (status = load_run(load, &err)) >= 0)
		goto out;
	status = 2;
refused:
	fprintf(stderr, "eassim load: %s\n", err.text);
out:
	load_close(load);
	free(load);
	return status;
}
