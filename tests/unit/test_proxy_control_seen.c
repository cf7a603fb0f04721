#include "tests/unit/check.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/control_process.h"
#include "proxy/control_seen.h"
#include "proxy/control_workers.h"
#include "proxy/message.h"
#include "proxy/state_store.h"

/* The control process with its store, and one worker that reports to it. control_seen_start() keeps one
 * state for the life of the process, so all checks share it. */
static struct fixture {
	char directory[64];
	int fd, worker;
	struct control control;
} fixture;

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void attach_worker(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0,
		"a channel");
	control_workers_attach(&fixture.control, 0, pair[0]);
	fixture.worker = pair[1];
}

static void fixture_open(void)
{
	struct error err = {""};

	strcpy(fixture.directory, "/tmp/easproxy-seen-XXXXXX");
	must(mkdtemp(fixture.directory) != NULL, "a directory");
	fixture.fd = open(fixture.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture.control.base = event_base_new();
	fixture.control.store = state_store_open(fixture.fd, fixture.directory, &err);
	must(fixture.control.base != NULL && fixture.control.store != NULL, err.text);
	must(control_seen_start(&fixture.control, &err) == 0, err.text);
	attach_worker();
}

static void fixture_close(void)
{
	DIR *listing = opendir(fixture.directory);
	const struct dirent *entry;

	close(fixture.worker);
	event_base_loop(fixture.control.base, EVLOOP_NONBLOCK);
	state_store_close(fixture.control.store);
	while ((entry = readdir(listing)) != NULL)
		unlinkat(fixture.fd, entry->d_name, 0);
	closedir(listing);
	close(fixture.fd);
	if (chdir("/") == -1 || rmdir(fixture.directory) == -1)
		fprintf(stderr, "%s was left behind\n", fixture.directory);
}

/* A report of a certificate with that number in it. */
static struct message report_of(uint32_t number, const char *mailbox, enum refusal refusal)
{
	const uint8_t der[] = {0x30, 4, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
		(uint8_t)(number >> 8), (uint8_t)number};
	struct message message;

	memset(&message, 0, sizeof(message));
	message.type = MESSAGE_SEEN;
	message.u.seen.refusal = refusal;
	message.u.seen.chain_len = sizeof(der);
	memcpy(message.u.seen.chain, der, sizeof(der));
	snprintf(message.u.seen.mailbox, sizeof(message.u.seen.mailbox), "%s", mailbox);
	EVP_Digest(der, sizeof(der), message.u.seen.leaf_sha256, NULL, EVP_sha256(), NULL);
	return message;
}

/* Sends it and lets control read, as often as the channel is full. */
static void report(const struct message *message)
{
	while (message_send(fixture.worker, message, -1) == -1) {
		must(errno == EAGAIN || errno == ENOBUFS, strerror(errno));
		event_base_loop(fixture.control.base, EVLOOP_NONBLOCK);
	}
	event_base_loop(fixture.control.base, EVLOOP_NONBLOCK);
}

static struct state_seen_counts counts(void)
{
	struct state_seen_counts now = {0};
	struct error err;

	control_seen_flush(&fixture.control);
	CU_ASSERT_EQUAL(state_seen_count(fixture.control.store, &now, &err), 0);
	return now;
}

static void test_reports_reach_the_store(void)
{
	struct state_seen_counts before = counts();
	struct message known = report_of(1, "bob@contoso.test", REFUSAL_NONE);
	struct message stranger = report_of(2, "", REFUSAL_CERTIFICATE_EXPIRED);
	struct error err;
	int64_t of_bob = 0;

	report(&known);
	report(&stranger);
	report(&known);
	CU_ASSERT_EQUAL(counts().all, before.all + 2);
	CU_ASSERT_EQUAL(counts().strangers, before.strangers + 1);
	CU_ASSERT_EQUAL(
		state_seen_count_of(fixture.control.store, "bob@contoso.test", &of_bob, &err), 0);
	CU_ASSERT_EQUAL(of_bob, 1);
}

static void test_a_storm_of_strangers_leaves_room_for_phones(void)
{
	enum { STRANGERS = 500, PHONES = 600 };
	struct state_seen_counts before = counts();
	uint64_t dropped = control_seen_dropped(&fixture.control);

	for (uint32_t i = 0; i < STRANGERS; i++) {
		struct message stranger = report_of(1000 + i, "", REFUSAL_CERTIFICATE_UNTRUSTED);

		report(&stranger);
	}
	CU_ASSERT_TRUE(control_seen_dropped(&fixture.control) - dropped > STRANGERS / 2);
	for (uint32_t i = 0; i < PHONES; i++) {
		struct message phone = report_of(5000 + i, "amy@contoso.test", REFUSAL_NONE);

		report(&phone);
	}
	CU_ASSERT_EQUAL(counts().all - counts().strangers, before.all - before.strangers + PHONES);
	CU_ASSERT_TRUE(counts().strangers - before.strangers < STRANGERS / 2);
}

static void test_reports_that_make_no_sense_are_dropped(void)
{
	struct state_seen_counts before = counts();
	uint64_t dropped = control_seen_dropped(&fixture.control);
	struct message wrong[5];

	for (uint32_t i = 0; i < 5; i++)
		wrong[i] = report_of(9000 + i, "bob@contoso.test", REFUSAL_NONE);
	wrong[0].u.seen.leaf_sha256[0] ^= 1; /* of another certificate */
	wrong[1].u.seen.chain_len = 0;
	wrong[2].u.seen.chain_len--;
	wrong[3].u.seen.chain[1] = 0x84;
	strcpy(wrong[4].u.seen.mailbox, "b\xff@contoso.test");
	for (size_t i = 0; i < 5; i++)
		report(&wrong[i]);
	CU_ASSERT_EQUAL(counts().all, before.all);
	CU_ASSERT_EQUAL(control_seen_dropped(&fixture.control), dropped + 5);
}

static void test_a_worker_that_says_something_else_is_not_heard_any_more(void)
{
	const struct message reload = {.type = MESSAGE_RELOAD};
	struct state_seen_counts before = counts();
	struct message phone = report_of(20000, "eve@contoso.test", REFUSAL_NONE);
	struct message answer;
	int passed_fd;

	report(&reload);
	CU_ASSERT_EQUAL(message_receive(fixture.worker, &answer, &passed_fd), 0);
	close(fixture.worker);
	attach_worker();
	report(&phone);
	CU_ASSERT_EQUAL(counts().all, before.all + 1);
}

static void test_a_certificate_is_shown_as_json(void)
{
	static const uint8_t chain[] = {0x30, 1, 0xaa, 0x30, 2, 0xbb, 0xcc};
	const struct state_seen seen = {.id = 7,
		.leaf_sha256 = {0x0f},
		.chain = span_of(chain, sizeof(chain)),
		.mailbox = "bob@contoso.test",
		.first_seen = 1,
		.last_seen = 2,
		.refusal = "user-revoked",
		.count = 3};
	json_t *object = control_seen_object(&seen);
	char *text = json_dumps(object, JSON_COMPACT);

	CU_ASSERT_STRING_EQUAL(text,
		"{\"id\":7,\"sha256\":"
		"\"0f00000000000000000000000000000000000000000000000000000000000000\","
		"\"mailbox\":\"bob@contoso.test\",\"first_seen\":1,\"last_seen\":2,"
		"\"refusal\":\"user-revoked\",\"count\":3,\"chain\":[\"MAGq\",\"MAK7zA==\"]}");
	free(text);
	json_decref(object);
}

int main(void)
{
	static const struct check checks[] = {
		{"reports reach the store", test_reports_reach_the_store},
		{"a storm of strangers leaves room for phones",
			test_a_storm_of_strangers_leaves_room_for_phones},
		{"reports that make no sense are dropped",
			test_reports_that_make_no_sense_are_dropped},
		{"a worker that says something else is not heard any more",
			test_a_worker_that_says_something_else_is_not_heard_any_more},
		{"a certificate is shown as JSON", test_a_certificate_is_shown_as_json},
	};
	int status;

	fixture_open();
	status = check_run("proxy/control_seen", checks, sizeof(checks) / sizeof(checks[0]));
	fixture_close();
	return status;
}
