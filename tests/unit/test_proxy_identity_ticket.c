#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/whole.h"
#include "proxy/identity_work.h"
#include "tests/unit/ticket_maker.h"

/* The helpers for Kerberos as the identity process has them: real ones, in their sandboxes. */

enum { HOUR = 3600 };

static const char alice[] = "alice@CONTOSO.TEST";

struct world {
	struct config config;
	struct config_kerberos section;
	struct config_word kdc;
	char kdc_text[40];
	int kdc_fd;
	struct event_base *base;
	struct helpers *helpers;
	struct maker maker;
	int64_t now;
};

/* One question and its answer. */
struct turn {
	struct helper_job job;
	struct message question;
	int question_fd;
	bool is_over, has_died;
	struct message_login_done done;
	int answer_fd;
};

static struct turn *turn_of(struct helper_job *job)
{
	return (struct turn *)((char *)job - offsetof(struct turn, job));
}

static void ask(void *context, struct helper_job *job, struct message *question, int *fd)
{
	(void)context;
	*question = turn_of(job)->question;
	*fd = turn_of(job)->question_fd;
}

static void answered(void *context, struct helper_job *job, const struct message *answer, int fd)
{
	struct turn *turn = turn_of(job);

	(void)context;
	turn->is_over = true;
	turn->has_died = answer == NULL;
	if (answer != NULL)
		turn->done = answer->u.login_done;
	turn->answer_fd = fd;
}

static const struct helper_calls calls = {.ask = ask, .answered = answered};

/* A key table of our account, as the configuration hands it over. */
static int key_table(void)
{
	int fd = memfd_create("keytab", 0);
	krb5_keytab_entry entry = {.vno = 2};
	krb5_context krb5;
	krb5_keytab table;
	char name[80];

	snprintf(name, sizeof(name), "WRFILE:/proc/self/fd/%d", fd);
	if (fd == -1 || whole_write(fd, "\5\2", 2) == -1)
		abort();
	maker_must(krb5_init_context(&krb5));
	maker_must(krb5_kt_resolve(krb5, name, &table));
	maker_must(krb5_parse_name(krb5, "svc-easproxy@CONTOSO.TEST", &entry.principal));
	maker_must(krb5_c_make_random_key(krb5, ENCTYPE_AES256_CTS_HMAC_SHA1_96, &entry.key));
	maker_must(krb5_kt_add_entry(krb5, table, &entry));
	krb5_free_principal(krb5, entry.principal);
	krb5_free_keyblock_contents(krb5, &entry.key);
	krb5_kt_close(krb5, table);
	krb5_free_context(krb5);
	return fd;
}

static void open_kdc(struct world *world)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	world->kdc_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(world->kdc_fd, (struct sockaddr *)&address, len) == -1 ||
		listen(world->kdc_fd, 5) == -1 ||
		getsockname(world->kdc_fd, (struct sockaddr *)&address, &len) == -1)
		abort();
	snprintf(world->kdc_text, sizeof(world->kdc_text), "127.0.0.1:%u",
		(unsigned int)ntohs(address.sin_port));
	world->kdc.text = world->kdc_text;
	world->section.kdcs = (struct config_words){.count = 1, .list = &world->kdc};
}

/* A KDC that knows nobody: RFC 4120 5.9.1, KRB-ERROR with KDC_ERR_C_PRINCIPAL_UNKNOWN, to the first that
 * asks. */
static void *kdc_run(void *arg)
{
	static const char refusal[] = "\0\0\0\x5e"
				      "\x7e\x5c\x30\x5a\xa0\3\2\1\5\xa1\3\2\1\x1e"
				      "\xa4\x11\x18\x0f"
				      "20261126214400Z"
				      "\xa5\3\2\1\0\xa6\3\2\1\6"
				      "\xa9\x0e\x1b\x0c"
				      "CONTOSO.TEST"
				      "\xaa\x21\x30\x1f\xa0\3\2\1\2\xa1\x18\x30\x16\x1b\6"
				      "krbtgt"
				      "\x1b\x0c"
				      "CONTOSO.TEST";
	const struct world *world = arg;
	char question[2048];
	int fd = accept(world->kdc_fd, NULL, NULL);

	if (fd == -1)
		return NULL; /* nobody has come, and nobody will */
	if (read(fd, question, sizeof(question)) <= 0 ||
		whole_write(fd, refusal, sizeof(refusal) - 1) == -1)
		abort();
	close(fd);
	return NULL;
}

static void world_open(
	struct world *world, const struct helper_work *(*find)(const struct child *child))
{
	const struct child child = {.role = ROLE_IDENTITY,
		.config = &world->config,
		.supervisor = -1,
		.has_sandbox = true};
	struct error err = {""};
	int spawner;

	memset(world, 0, sizeof(*world));
	world->config.trust.store.fd = world->config.upstream.ca.fd = -1;
	world->config.devices.quarantine_text.fd = -1;
	world->config.assertion.header = "";
	world->config.upstream.login = CONFIG_LOGIN_KERBEROS;
	world->config.upstream.login_helpers = 1;
	world->config.upstream.login_time_ms = 60 * 1000;
	world->config.upstream.login_cache = 10;
	world->config.upstream.mutual = true;
	world->section = (struct config_kerberos){.realm = (char *)"CONTOSO.TEST",
		.account = (char *)"svc-easproxy",
		.keytab = {.path = (char *)"the.keytab", .fd = key_table()}};
	open_kdc(world);
	world->config.kerberos = &world->section;
	world->config.kerberos_count = 1;
	maker_open(&world->maker);
	world->now = time(NULL);
	world->base = event_base_new();
	spawner = helpers_fork(&child, find(&child), &err);
	if (spawner == -1 || world->base == NULL) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	world->helpers = helpers_new(world->base, find(&child), spawner, &calls, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->helpers);
}

static void world_close(struct world *world)
{
	helpers_free(world->helpers);
	event_base_free(world->base);
	maker_close(&world->maker);
	close(world->kdc_fd);
}

static void run(struct world *world, struct turn *turn)
{
	helpers_ask(world->helpers, &turn->job);
	while (!turn->is_over)
		event_base_loop(world->base, EVLOOP_ONCE);
	CU_ASSERT_FALSE(turn->has_died);
}

static void put(struct world *world, uint64_t key, const char *user, struct turn *turn)
{
	struct ticket ticket =
		maker_ticket(&world->maker, user, world->now - HOUR, world->now + HOUR);
	int fd = memfd_create("ticket", MFD_CLOEXEC);

	if (fd == -1 || whole_write(fd, ticket.bytes, ticket.len) == -1)
		abort();
	ticket_clear(&ticket);
	*turn = (struct turn){
		.question = {.type = MESSAGE_TICKET_PUT, .u.ticket.key = key}, .question_fd = fd};
	run(world, turn);
}

static void ask_about(struct world *world, uint32_t type, uint64_t key, struct turn *turn)
{
	*turn = (struct turn){.question = {.type = type, .u.ticket.key = key}, .question_fd = -1};
	run(world, turn);
}

static void prove(struct world *world, uint32_t context, gss_buffer_desc answer, struct turn *turn)
{
	*turn = (struct turn){.question = {.type = MESSAGE_LOGIN_PROOF}, .question_fd = -1};
	turn->question.u.login_proof.context = context;
	turn->question.u.login_proof.len = (uint32_t)answer.length;
	if (answer.value != NULL)
		memcpy(turn->question.u.login_proof.token, answer.value, answer.length);
	run(world, turn);
}

static void test_tokens_come_of_a_ticket_that_was_put(void)
{
	struct world world;
	gss_buffer_desc answer;
	OM_uint32 minor;
	struct turn turn, proof;
	char user[100];

	world_open(&world, tokens_work);
	put(&world, 7, alice, &turn);
	CU_ASSERT_EQUAL(turn.done.status, LOGIN_GIVEN);

	ask_about(&world, MESSAGE_TOKEN_JOB, 7, &turn);

	CU_ASSERT_EQUAL_FATAL(turn.done.status, LOGIN_GIVEN);
	CU_ASSERT_EQUAL(turn.done.valid_until, world.now + HOUR);
	CU_ASSERT_NOT_EQUAL(turn.done.context, 0);
	CU_ASSERT_TRUE_FATAL(maker_accept(
		span_of(turn.done.secret, turn.done.secret_len), user, sizeof(user), &answer));
	CU_ASSERT_STRING_EQUAL(user, alice);
	prove(&world, turn.done.context, answer, &proof);
	CU_ASSERT_EQUAL(proof.done.status, LOGIN_GIVEN);
	prove(&world, turn.done.context, answer, &proof);
	CU_ASSERT_EQUAL(proof.done.status, LOGIN_REFUSED);
	CU_ASSERT_NOT_EQUAL(proof.done.fault.text[0], '\0');
	gss_release_buffer(&minor, &answer);
	world_close(&world);
}

static void test_a_dropped_ticket_makes_no_tokens(void)
{
	struct world world;
	struct turn turn;

	world_open(&world, tokens_work);
	put(&world, 7, alice, &turn);
	ask_about(&world, MESSAGE_TICKET_DROP, 7, &turn);
	CU_ASSERT_EQUAL(turn.done.status, LOGIN_GIVEN);

	ask_about(&world, MESSAGE_TOKEN_JOB, 7, &turn);

	CU_ASSERT_EQUAL(turn.done.status, LOGIN_UNAVAILABLE);
	CU_ASSERT_STRING_EQUAL(turn.done.fault.text, "the user's ticket is not kept any more");
	CU_ASSERT_EQUAL(turn.done.secret_len, 0);
	world_close(&world);
}

static void test_a_forgotten_login_cannot_be_proved(void)
{
	static const gss_buffer_desc answer = {.length = 1, .value = (void *)"x"};
	struct world world;
	struct turn turn;
	uint32_t context;

	world_open(&world, tokens_work);
	put(&world, 7, alice, &turn);
	ask_about(&world, MESSAGE_TOKEN_JOB, 7, &turn);
	context = turn.done.context;
	turn = (struct turn){.question = {.type = MESSAGE_LOGIN_FORGET}, .question_fd = -1};
	turn.question.u.login_forget.context = context;
	run(&world, &turn);
	CU_ASSERT_EQUAL(turn.done.status, LOGIN_GIVEN);

	prove(&world, context, answer, &turn);

	CU_ASSERT_EQUAL(turn.done.status, LOGIN_REFUSED);
	world_close(&world);
}

static void test_a_file_that_holds_no_ticket_is_refused(void)
{
	struct world world;
	struct turn turn = {.question = {.type = MESSAGE_TICKET_PUT, .u.ticket.key = 7}};

	world_open(&world, tokens_work);
	turn.question_fd = memfd_create("rubbish", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(turn.question_fd, 100000), 0);

	run(&world, &turn);

	CU_ASSERT_EQUAL(turn.done.status, LOGIN_UNAVAILABLE);
	ask_about(&world, MESSAGE_TOKEN_JOB, 7, &turn);
	CU_ASSERT_EQUAL(turn.done.status, LOGIN_UNAVAILABLE);
	world_close(&world);
}

static void test_a_ticket_is_asked_for_at_the_configured_port(void)
{
	struct world world;
	struct turn turn = {.question = {.type = MESSAGE_LOGIN_JOB}, .question_fd = -1};
	struct login_subject *subject = &turn.question.u.login_job.subject;
	pthread_t kdc;

	world_open(&world, ticket_work);
	strcpy(subject->account, "alice");
	strcpy(subject->realm, "CONTOSO.TEST");
	strcpy(turn.question.u.login_job.service, "HTTP/exchange.contoso.test");
	CU_ASSERT_EQUAL_FATAL(pthread_create(&kdc, NULL, kdc_run, &world), 0);

	run(&world, &turn);

	shutdown(world.kdc_fd, SHUT_RDWR);
	pthread_join(kdc, NULL);
	CU_ASSERT_EQUAL(turn.done.status, LOGIN_MISCONFIGURED);
	CU_ASSERT_STRING_EQUAL(turn.done.fault.text,
		"the KDC does not know our account svc-easproxy@CONTOSO.TEST");
	CU_ASSERT_EQUAL(turn.answer_fd, -1);
	world_close(&world);
}

static void test_other_ways_to_log_in_need_neither(void)
{
	struct config config = {.upstream.login = CONFIG_LOGIN_MINTED};
	const struct child child = {.role = ROLE_IDENTITY, .config = &config};

	CU_ASSERT_PTR_NULL(ticket_work(&child));
	CU_ASSERT_PTR_NULL(tokens_work(&child));
}

int main(void)
{
	static const struct check checks[] = {
		{"tokens come of a ticket that was put", test_tokens_come_of_a_ticket_that_was_put},
		{"a dropped ticket makes no tokens", test_a_dropped_ticket_makes_no_tokens},
		{"a forgotten login cannot be proved", test_a_forgotten_login_cannot_be_proved},
		{"a file that holds no ticket is refused",
			test_a_file_that_holds_no_ticket_is_refused},
		{"a ticket is asked for at the configured port",
			test_a_ticket_is_asked_for_at_the_configured_port},
		{"other ways to log in need neither", test_other_ways_to_log_in_need_neither},
	};

	return check_run("proxy/identity_ticket", checks, sizeof(checks) / sizeof(checks[0]));
}
