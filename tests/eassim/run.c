/* `eassim run` and `eassim phone`: their options. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "fleet.h"

static const char usage[] =
	"eassim run [option...]\n"
	"eassim phone [option...]     run --devices 1 --verbose, over when the mailbox is synced\n"
	"\n"
	"Simulated phones: each asks OPTIONS, provisions itself, syncs its folders and inbox, "
	"sleeps in\n"
	"Ping, wakes on mail, and now and then sends some. Every answer is checked for what it "
	"says.\n"
	"Exit status: 0 every answer was right, 1 not, 2 wrong options.\n"
	"\n"
	"  --url URL                  https://127.0.0.1:8443/Microsoft-Server-ActiveSync; http:// "
	"too\n"
	"  --pki DIR                  ca.pem (the server's authority), USER.pem (with chain), "
	"USER.key\n"
	"  --users A,B,...            whose phones they are, in turn (all of DIR); --user A alike\n"
	"  --mint N                   N users, phone0@NAME on, with certificates made by the CA "
	"in\n"
	"                             DIR/authority (serial numbers 4D000000 on); needs --domain\n"
	"  --domain NAME              mailboxes are USER@NAME (else the name in the certificate)\n"
	"  --server-name NAME         for SNI, and what the server's certificate must be for (the "
	"URL's\n"
	"                             host)\n"
	"  --assert-header NAME       write the mailbox into this field: without a proxy\n"
	"  --devices N                phones (3)\n"
	"  --rate N                   new phones in a second (50)\n"
	"  --duration SECONDS         (30); then letters under way may still arrive for 10 s\n"
	"  --heartbeat SECONDS        of Ping (60)\n"
	"  --poll ping|sync           how a phone sleeps (ping)\n"
	"  --send-rate N              letters in a second, of all phones together (1)\n"
	"  --version V                12.1, 14.0, 14.1, 16.0 or 16.1 (14.1)\n"
	"  --base64                   base64 queries\n"
	"  --seed N                   device ids and chances (from the clock)\n"
	"  --source A[-B]             local addresses, as 127.0.0.2-127.0.0.20\n"
	"  --park SECONDS             all into Ping, say so, hold\n"
	"  --only-pings               a phone asks for nothing else, from the start\n"
	"  --stuck                    a phone repeats its Sync over and over, instead of sleeping\n"
	"  --wipe obey|refuse|ignore  what a phone does that is told to wipe (obey)\n"
	"  --ordinary-provision       told to wipe, it asks with its ordinary Provision\n"
	"  --expect FATE              right is: every phone ends as wiped, account-wiped,\n"
	"                             wipe-refused, wipe-ignored, blocked, password or moved\n"
	"  --expect-refused           right is: every phone is refused in the TLS handshake\n"
	"  --strict                   lost connections and 502, 503, 504 are wrong too\n"
	"  --foreign                  the server is not eassim serve: its mails may say anything\n"
	"  --json FILE                the summary as JSON (- for standard output)\n"
	"  --verbose, --quiet\n";

enum {
	OPTION_URL = 256,
	OPTION_PKI,
	OPTION_USERS,
	OPTION_MINT,
	OPTION_DOMAIN,
	OPTION_SERVER_NAME,
	OPTION_ASSERT_HEADER,
	OPTION_DEVICES,
	OPTION_RATE,
	OPTION_DURATION,
	OPTION_HEARTBEAT,
	OPTION_POLL,
	OPTION_SEND_RATE,
	OPTION_VERSION,
	OPTION_BASE64,
	OPTION_SEED,
	OPTION_SOURCE,
	OPTION_PARK,
	OPTION_ONLY_PINGS,
	OPTION_STUCK,
	OPTION_WIPE,
	OPTION_ORDINARY_PROVISION,
	OPTION_EXPECT,
	OPTION_EXPECT_REFUSED,
	OPTION_STRICT,
	OPTION_FOREIGN,
	OPTION_JSON,
	OPTION_VERBOSE,
	OPTION_QUIET,
	OPTION_HELP
};

static const struct option long_options[] = {
	{"url", required_argument, NULL, OPTION_URL},
	{"pki", required_argument, NULL, OPTION_PKI},
	{"users", required_argument, NULL, OPTION_USERS},
	{"user", required_argument, NULL, OPTION_USERS},
	{"mint", required_argument, NULL, OPTION_MINT},
	{"domain", required_argument, NULL, OPTION_DOMAIN},
	{"server-name", required_argument, NULL, OPTION_SERVER_NAME},
	{"assert-header", required_argument, NULL, OPTION_ASSERT_HEADER},
	{"devices", required_argument, NULL, OPTION_DEVICES},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"duration", required_argument, NULL, OPTION_DURATION},
	{"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
	{"poll", required_argument, NULL, OPTION_POLL},
	{"send-rate", required_argument, NULL, OPTION_SEND_RATE},
	{"version", required_argument, NULL, OPTION_VERSION},
	{"base64", no_argument, NULL, OPTION_BASE64},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"source", required_argument, NULL, OPTION_SOURCE},
	{"sources", required_argument, NULL, OPTION_SOURCE},
	{"park", required_argument, NULL, OPTION_PARK},
	{"only-pings", no_argument, NULL, OPTION_ONLY_PINGS},
	{"stuck", no_argument, NULL, OPTION_STUCK},
	{"wipe", required_argument, NULL, OPTION_WIPE},
	{"ordinary-provision", no_argument, NULL, OPTION_ORDINARY_PROVISION},
	{"expect", required_argument, NULL, OPTION_EXPECT},
	{"expect-refused", no_argument, NULL, OPTION_EXPECT_REFUSED},
	{"strict", no_argument, NULL, OPTION_STRICT},
	{"foreign", no_argument, NULL, OPTION_FOREIGN},
	{"json", required_argument, NULL, OPTION_JSON},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{"quiet", no_argument, NULL, OPTION_QUIET},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static int rate_read(const char *text, double min, double *rate, struct error *err)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= min) || value > 1e6)
		return error_set(err, "%s is not a rate per second", text);
	*rate = value;
	return 0;
}

static int version_read(const char *text, unsigned int *version, struct error *err)
{
	static const char *const names[] = {"12.1", "14.0", "14.1", "16.0", "16.1"};
	static const unsigned int numbers[] = {121, 140, 141, 160, 161};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			*version = numbers[i];
			return 0;
		}
	}
	return error_set(err, "--version %s: 12.1, 14.0, 14.1, 16.0 or 16.1", text);
}

static int poll_read(const char *text, bool *with_sync, struct error *err)
{
	*with_sync = strcmp(text, "sync") == 0;
	if (!*with_sync && strcmp(text, "ping") != 0)
		return error_set(err, "--poll %s: ping or sync", text);
	return 0;
}

static int manner_read(const char *text, enum wipe_manner *manner, struct error *err)
{
	static const char *const names[] = {"obey", "refuse", "ignore"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			*manner = (enum wipe_manner)i;
			return 0;
		}
	}
	return error_set(err, "--wipe %s: obey, refuse or ignore", text);
}

static int fate_read(const char *text, enum phone_fate *fate, struct error *err)
{
	for (unsigned int i = FATE_NONE + 1; i < PHONE_FATE_COUNT; i++) {
		if (strcmp(phone_fate_name((enum phone_fate)i), text) == 0) {
			*fate = (enum phone_fate)i;
			return 0;
		}
	}
	return error_set(err, "--expect %s: see eassim run --help", text);
}

static int option_take(struct run_options *options, int option, struct error *err)
{
	switch (option) {
	case OPTION_URL: options->url = optarg; return 0;
	case OPTION_PKI: options->pki = optarg; return 0;
	case OPTION_USERS: options->users = optarg; return 0;
	case OPTION_MINT: return option_number(optarg, 1, 100000, &options->mint, err);
	case OPTION_DOMAIN: options->domain = optarg; return 0;
	case OPTION_SERVER_NAME: options->server_name = optarg; return 0;
	case OPTION_ASSERT_HEADER: options->assert_header = optarg; return 0;
	case OPTION_DEVICES: return option_number(optarg, 1, 1000000, &options->devices, err);
	case OPTION_RATE: return rate_read(optarg, 0.01, &options->rate, err);
	case OPTION_DURATION: return option_number(optarg, 0, 8640000, &options->duration_s, err);
	case OPTION_HEARTBEAT: return option_number(optarg, 1, 86400, &options->heartbeat_s, err);
	case OPTION_POLL: return poll_read(optarg, &options->polls_with_sync, err);
	case OPTION_SEND_RATE: return rate_read(optarg, 0, &options->send_rate, err);
	case OPTION_VERSION: return version_read(optarg, &options->version, err);
	case OPTION_BASE64: options->uses_base64 = true; return 0;
	case OPTION_SEED: return option_number(optarg, 0, UINT32_MAX, &options->seed, err);
	case OPTION_SOURCE: options->source = optarg; return 0;
	case OPTION_PARK: return option_number(optarg, 1, 86400, &options->park_s, err);
	case OPTION_ONLY_PINGS: options->only_pings = true; return 0;
	case OPTION_STUCK: options->is_stuck = true; return 0;
	case OPTION_WIPE: return manner_read(optarg, &options->wipe_manner, err);
	case OPTION_ORDINARY_PROVISION: options->asks_ordinarily = true; return 0;
	case OPTION_EXPECT: return fate_read(optarg, &options->expected, err);
	case OPTION_EXPECT_REFUSED: options->expects_refusal = true; return 0;
	case OPTION_STRICT: options->is_strict = true; return 0;
	case OPTION_FOREIGN: options->is_foreign = true; return 0;
	case OPTION_JSON: options->json_file = optarg; return 0;
	case OPTION_VERBOSE: options->is_verbose = true; return 0;
	case OPTION_QUIET: options->is_quiet = true; return 0;
	default: return error_set(err, "see eassim run --help");
	}
}

/* `eassim phone`: one phone that tells; --duration makes it sleep and wake for so long. */
static void options_for_one(struct run_options *options)
{
	options->devices = 1;
	options->is_verbose = true;
	options->ends_when_synced = true;
	options->send_rate = 0;
}

static int options_check(struct run_options *options, struct error *err)
{
	if (options->polls_with_sync && options->version < 140)
		return error_set(err, "--poll sync needs --version 14.0 or later");
	if (options->mint > 0 && options->domain == NULL)
		return error_set(err, "--mint needs --domain: the mailboxes are in it");
	if (options->park_s > 0 && options->heartbeat_s < options->park_s + 60)
		options->heartbeat_s = options->park_s + 60 > 3540 ? 3540 : options->park_s + 60;
	return 0;
}

static int fleet_main(struct fleet *fleet)
{
	struct error err = {""};
	int status = 1;

	raise_file_limit();
	signal(SIGPIPE, SIG_IGN);
	if (fleet_open(fleet, &err) != 0) {
		fprintf(stderr, "eassim: %s\n", err.text);
		status = 2;
	} else if (fleet_run(fleet)) {
		status = 0;
	}
	fleet_close(fleet);
	return status;
}

int run_main(int argc, char **argv)
{
	bool is_phone = strcmp(argv[0], "phone") == 0;
	struct run_options options = {.url = "https://127.0.0.1:8443/Microsoft-Server-ActiveSync",
		.devices = 3,
		.rate = 50,
		.duration_s = 30,
		.heartbeat_s = 60,
		.send_rate = 1,
		.version = 141,
		.seed = (uint32_t)time(NULL)};
	struct error err = {""};
	struct fleet *fleet;
	int option, status;

	if (is_phone)
		options_for_one(&options);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage, stdout);
			return 0;
		}
		if (option_take(&options, option, &err) != 0)
			goto refused;
		if (option == OPTION_DURATION || option == OPTION_PARK)
			options.ends_when_synced = false;
	}
	if (optind != argc) {
		error_set(&err, "%s: no such argument", argv[optind]);
		goto refused;
	}
	if (options_check(&options, &err) != 0)
		goto refused;
	fleet = calloc(1, sizeof(*fleet));
	if (fleet == NULL)
		return 1;
	fleet->options = options;
	status = fleet_main(fleet);
	free(fleet);
	return status;
refused:
	fprintf(stderr, "eassim %s: %s\n", argv[0], err.text);
	return 2;
}
