#include "serve.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "commands.h"

static const char usage[] =
	"eassim serve [option...]\n"
	"\n"
	"A small Exchange ActiveSync server for trying a proxy against: a stand-in for Exchange "
	"that\n"
	"says so (X-EAS-Stand-In: eassim), keeps its state in memory and believes whatever mailbox "
	"a\n"
	"request asserts. Never show it to a network.\n"
	"\n"
	"  --listen ADDRESS:PORT      where (127.0.0.1:8080); port 0 takes a free one\n"
	"  --tls-cert FILE            serve HTTPS with this chain (PEM)\n"
	"  --tls-key FILE             its key\n"
	"  --mailbox-header NAME      the field that names the mailbox (x-webobjects-remote-user)\n"
	"  --mailbox-from HOW         header, basic (the user of Authorization: Basic; of a "
	"master\n"
	"                             user's \"user*master\" the first) or client-cert (RFC 9440)\n"
	"  --mails N                  mails in a new mailbox (5)\n"
	"  --require-provision        commands need a current policy key\n"
	"  --heartbeat-min SECONDS    of Ping and long Sync (60, as Exchange)\n"
	"  --heartbeat-max SECONDS    (3540)\n"
	"  --chunked                  answer in chunks\n"
	"  --no-chunked-requests      answer chunked requests with 500, as SOGo does\n"
	"  --close                    close after each answer without saying so, as SOGo does\n"
	"  --xml                      take text/xml bodies and answer them in kind\n"
	"  --record N                 requests kept for GET /eassim/requests (1000)\n"
	"  --bench                    the upstream of a benchmark: answers eassim load and nothing "
	"else,\n"
	"                             from bytes made once, and compares what it sends\n"
	"  --quiet                    print nothing about what comes\n"
	"\n"
	"For tests, on the same port: POST /eassim/mail?mailbox=&subject=&count=; GET or DELETE\n"
	"/eassim/requests?mailbox=; GET /eassim/stats; POST or DELETE\n"
	"/eassim/fault?kind=&count=&command=&mailbox=&status=, kind one of flip cut drop garbage "
	"slow hang\n"
	"chunked until-close wbxml status; with --bench POST /eassim/wake?pace=.\n";

enum {
	OPTION_LISTEN,
	OPTION_TLS_CERT,
	OPTION_TLS_KEY,
	OPTION_MAILBOX_HEADER,
	OPTION_MAILBOX_FROM,
	OPTION_MAILS,
	OPTION_REQUIRE_PROVISION,
	OPTION_HEARTBEAT_MIN,
	OPTION_HEARTBEAT_MAX,
	OPTION_CHUNKED,
	OPTION_NO_CHUNKED_REQUESTS,
	OPTION_CLOSE,
	OPTION_XML,
	OPTION_RECORD,
	OPTION_BENCH,
	OPTION_QUIET,
	OPTION_HELP
};

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"tls-cert", required_argument, NULL, OPTION_TLS_CERT},
	{"tls-key", required_argument, NULL, OPTION_TLS_KEY},
	{"mailbox-header", required_argument, NULL, OPTION_MAILBOX_HEADER},
	{"mailbox-from", required_argument, NULL, OPTION_MAILBOX_FROM},
	{"mails", required_argument, NULL, OPTION_MAILS},
	{"require-provision", no_argument, NULL, OPTION_REQUIRE_PROVISION},
	{"heartbeat-min", required_argument, NULL, OPTION_HEARTBEAT_MIN},
	{"heartbeat-max", required_argument, NULL, OPTION_HEARTBEAT_MAX},
	{"chunked", no_argument, NULL, OPTION_CHUNKED},
	{"no-chunked-requests", no_argument, NULL, OPTION_NO_CHUNKED_REQUESTS},
	{"close", no_argument, NULL, OPTION_CLOSE},
	{"xml", no_argument, NULL, OPTION_XML},
	{"record", required_argument, NULL, OPTION_RECORD},
	{"bench", no_argument, NULL, OPTION_BENCH},
	{"quiet", no_argument, NULL, OPTION_QUIET},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static int assertion_read(const char *text, enum serve_assertion *assertion, struct error *err)
{
	static const char *const names[] = {"header", "basic", "client-cert"};

	for (int i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0) {
			*assertion = (enum serve_assertion)i;
			return 0;
		}
	}
	return error_set(err, "--mailbox-from %s: header, basic or client-cert", text);
}

static int option_take(struct serve_options *options, int option, struct error *err)
{
	uint32_t record = 0;

	switch (option) {
	case OPTION_LISTEN: options->http.listen = optarg; return 0;
	case OPTION_TLS_CERT: options->tls_cert = optarg; return 0;
	case OPTION_TLS_KEY: options->tls_key = optarg; return 0;
	case OPTION_MAILBOX_HEADER: options->mailbox_header = optarg; return 0;
	case OPTION_MAILBOX_FROM: return assertion_read(optarg, &options->assertion, err);
	case OPTION_MAILS: return option_number(optarg, 0, 100000, &options->mails, err);
	case OPTION_REQUIRE_PROVISION: options->requires_provision = true; return 0;
	case OPTION_HEARTBEAT_MIN:
		return option_number(optarg, 0, 3540, &options->heartbeat_min_s, err);
	case OPTION_HEARTBEAT_MAX:
		return option_number(optarg, 0, 86400, &options->heartbeat_max_s, err);
	case OPTION_CHUNKED: options->http.answers_chunked = true; return 0;
	case OPTION_NO_CHUNKED_REQUESTS: options->http.refuses_chunked = true; return 0;
	case OPTION_CLOSE: options->http.closes_each = true; return 0;
	case OPTION_XML: options->reads_xml = true; return 0;
	case OPTION_RECORD:
		if (option_number(optarg, 0, 1000000, &record, err) != 0)
			return -1;
		options->record = record;
		return 0;
	case OPTION_BENCH: options->is_bench = true; return 0;
	case OPTION_QUIET: options->is_quiet = true; return 0;
	default: return error_set(err, "see eassim serve --help");
	}
}

static SSL_CTX *tls_context(const struct serve_options *options, struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context != NULL && options->tls_key != NULL &&
		SSL_CTX_use_certificate_chain_file(context, options->tls_cert) == 1 &&
		SSL_CTX_use_PrivateKey_file(context, options->tls_key, SSL_FILETYPE_PEM) == 1) {
		SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
		return context;
	}
	error_set(err, "reading the certificate %s and its key %s", options->tls_cert,
		options->tls_key != NULL ? options->tls_key : "(--tls-key is missing)");
	SSL_CTX_free(context);
	return NULL;
}

void serve_record(struct serve *serve, const struct server_conn *conn,
	const struct server_request *request, const char *mailbox)
{
	if (serve->options.record > 0)
		journal_add(serve->journal, request, server_conn_peer(conn), mailbox);
}

/* Other paths exist nowhere here, but a test may want to know that they were asked for. */
static void serve_not_found(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	struct server_answer answer = {.status = 404};
	char name[321];

	serve->stats.not_found++;
	serve_record(serve, conn, request,
		serve_mailbox_asserted(serve, request, name) == 0 ? name : NULL);
	server_conn_answer(conn, &answer);
}

static void serve_request(struct server_conn *conn, const struct server_request *request, void *arg)
{
	static const char path[] = "/Microsoft-Server-ActiveSync";
	struct serve *serve = arg;
	size_t len = strcspn(request->target, "?");

	if (strncmp(request->target, "/eassim/", 8) == 0)
		admin_serve(serve, conn, request);
	else if (len == sizeof(path) - 1 && strncasecmp(request->target, path, len) == 0)
		eas_serve(serve, conn, request);
	else
		serve_not_found(serve, conn, request);
}

static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	(void)signal_number;
	(void)what;
	event_base_loopbreak(arg);
}

static int serve_start(struct serve *serve, struct error *err)
{
	struct serve_options *options = &serve->options;

	if (options->is_bench) {
		serve->bench = bench_server_new(serve, err);
		serve->journal = journal_new(0);
		return serve->bench != NULL && serve->journal != NULL ? 0 : -1;
	}
	if (options->tls_cert != NULL) {
		options->http.tls = tls_context(options, err);
		if (options->http.tls == NULL)
			return -1;
	}
	serve->store.mails_each = options->mails;
	serve->base = event_base_new();
	serve->journal = journal_new(options->record);
	if (serve->base == NULL || serve->journal == NULL)
		return error_set(err, "out of memory");
	serve->http = http_server_new(serve->base, &options->http, serve_request, serve, err);
	return serve->http != NULL ? 0 : -1;
}

static void serve_loop(struct serve *serve)
{
	struct event *on_term, *on_int;

	if (serve->bench != NULL) {
		bench_server_run(serve->bench);
		return;
	}
	on_term = evsignal_new(serve->base, SIGTERM, on_stop, serve->base);
	on_int = evsignal_new(serve->base, SIGINT, on_stop, serve->base);
	event_add(on_term, NULL);
	event_add(on_int, NULL);
	event_base_dispatch(serve->base);
	event_free(on_term);
	event_free(on_int);
}

static void serve_stop(struct serve *serve)
{
	bench_server_free(serve->bench);
	http_server_free(serve->http);
	journal_free(serve->journal);
	store_free(&serve->store);
	if (serve->base != NULL)
		event_base_free(serve->base);
	SSL_CTX_free(serve->options.http.tls);
}

static unsigned int serve_port(const struct serve *serve)
{
	return serve->bench != NULL ? bench_server_port(serve->bench)
				    : http_server_port(serve->http);
}

int serve_main(int argc, char **argv)
{
	struct serve serve = {.options = {.http = {.listen = "127.0.0.1:8080"},
				      .mailbox_header = "x-webobjects-remote-user",
				      .mails = 5,
				      .heartbeat_min_s = 60,
				      .heartbeat_max_s = 3540,
				      .record = 1000}};
	struct error err = {""};
	int option, status = 0;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (option_take(&serve.options, option, &err) != 0) {
			fprintf(stderr, "eassim serve: %s\n", err.text);
			return 2;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "eassim serve: %s: no such argument\n", argv[optind]);
		return 2;
	}
	raise_file_limit();
	signal(SIGPIPE, SIG_IGN);
	if (serve_start(&serve, &err) != 0) {
		fprintf(stderr, "eassim serve: %s\n", err.text);
		status = 1;
	} else {
		printf("eassim serve: a stand-in for Exchange on port %u (%s)\n",
			serve_port(&serve), serve.options.tls_cert != NULL ? "https" : "http");
		fflush(stdout);
		serve_loop(&serve);
	}
	serve_stop(&serve);
	return status;
}
