#include "proxy/login_table.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "proxy/upstream.h"
#include "tests/unit/check.h"
#include "tests/unit/credential_maker.h"
#include "tests/unit/test_pki.h"

enum { MANY = 1000 };

/* A table, an endpoint with connections that are none, and what the table has said. */
static struct {
	struct event_base *base;
	struct watcher *watcher;
	struct wheel *wheel;
	struct login_table *table;
	struct config_upstream config;
	struct config_endpoint config_endpoint;
	struct upstream upstream;
	struct endpoint endpoint;
	enum refusal refusal;
	const struct credential *out; /* refusal is this one's alone; NULL: everybody's */
	unsigned int judged;
	char dropped[100];
	unsigned int drops;
	uint32_t forgotten;
} it;

static struct shared_worker counters;

static enum refusal judge(void *context, const struct credential *credential)
{
	CU_ASSERT_PTR_EQUAL(context, &it);
	it.judged++;
	return it.out == NULL || it.out == credential ? it.refusal : REFUSAL_NONE;
}

static void drop(void *context, const char *mailbox)
{
	CU_ASSERT_PTR_EQUAL(context, &it);
	snprintf(it.dropped, sizeof(it.dropped), "%s", mailbox);
	it.drops++;
}

static void forget(void *context, uint32_t login_context)
{
	CU_ASSERT_PTR_EQUAL(context, &it);
	it.forgotten = login_context;
}

static void set_up(size_t max)
{
	const struct login_table_calls calls = {judge, drop, forget, &it};

	memset(&it, 0, sizeof(it));
	it.base = event_base_new();
	it.watcher = watcher_new(it.base);
	it.wheel = wheel_new(it.base);
	it.table = login_table_new(it.base, max, &calls);
	PKI_MUST(it.base != NULL && it.table != NULL);
	it.config = (struct config_upstream){
		.idle_time_ms = 60000, .connections = 1000, .endpoint_count = 1};
	it.upstream = (struct upstream){.config = &it.config,
		.base = it.base,
		.watcher = it.watcher,
		.wheel = it.wheel,
		.counters = &counters,
		.endpoints = &it.endpoint};
	it.config_endpoint.text = (char *)"http://mail.test";
	it.endpoint.upstream = &it.upstream;
	it.endpoint.config = &it.config_endpoint;
	it.endpoint.shared = &counters.endpoints[0];
	it.endpoint.is_up = it.endpoint.keeps_links = true;
	TAILQ_INIT(&it.endpoint.busy);
	TAILQ_INIT(&it.endpoint.idle);
}

static void tear_down(void)
{
	login_table_free(it.table);
	CU_ASSERT_TRUE(TAILQ_EMPTY(&it.endpoint.idle));
	CU_ASSERT_TRUE(TAILQ_EMPTY(&it.endpoint.busy));
	watcher_free(it.watcher);
	wheel_free(it.wheel);
	event_base_free(it.base);
}

static void run(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(it.base, EVLOOP_NONBLOCK);
}

static struct credential *credential_of(const char *mailbox, uint8_t leaf)
{
	struct verdict *verdict = calloc(1, sizeof(*verdict));
	struct credential *credential;

	verdict->leaf_sha256[0] = leaf;
	verdict->link_count = 1;
	credential = credential_made(verdict, UINT32_MAX);
	PKI_MUST(credential != NULL && credential_set_mailbox(credential, mailbox) == 0);
	free(verdict);
	return credential;
}

/* A connection in use that has logged in; behind it is nothing that ever says something. */
static struct link *link_of(struct login *login)
{
	struct link *link = calloc(1, sizeof(*link));

	login_begin_link(login, link);
	link->endpoint = &it.endpoint;
	link->tls.fd = -1;
	link->state = LINK_READY;
	link->is_logged_in = true;
	link->login_until = INT64_MAX;
	TAILQ_INSERT_HEAD(&it.endpoint.busy, link, entry);
	it.endpoint.busy_count++;
	link->watch = watch_of(WATCH_ENDPOINT, eventfd(0, EFD_CLOEXEC));
	link->timer.kind = WHEEL_ENDPOINT;
	return link;
}

static int64_t now(void)
{
	return (int64_t)time(NULL);
}

static void keep(struct login *login, enum login_kind kind, const char *text, int64_t valid_until)
{
	struct error err = {""};

	CU_ASSERT_EQUAL(login_keep_secret(login, kind, span_of_string(text), valid_until, &err), 0);
}

static void test_a_mailbox_has_one_login_and_the_one_used_least_recently_makes_room(void)
{
	struct login *alice, *bob;

	set_up(2);
	alice = login_table_pin(it.table, "alice@a.test");
	CU_ASSERT_PTR_EQUAL(login_table_pin(it.table, "alice@a.test"), alice);
	bob = login_table_pin(it.table, "bob@a.test");
	CU_ASSERT_PTR_NOT_EQUAL(alice, bob);
	login_unpin(bob);
	login_unpin(alice);
	/* Still pinned once. */
	login_unpin(login_table_pin(it.table, "carol@a.test"));
	CU_ASSERT_PTR_NULL(login_table_find(it.table, "bob@a.test"));
	CU_ASSERT_PTR_EQUAL(login_table_find(it.table, "alice@a.test"), alice);
	/* As many more as are pinned. */
	bob = login_table_pin(it.table, "bob@a.test");
	login_table_pin(it.table, "dave@a.test");
	CU_ASSERT_EQUAL(login_table_count(it.table), 3);
	login_unpin(login_table_find(it.table, "dave@a.test"));
	CU_ASSERT_EQUAL(login_table_count(it.table), 2);
	login_unpin(bob);
	login_unpin(alice);
	CU_ASSERT_EQUAL(login_table_count(it.table), 2);
	tear_down();
}

static void test_a_secret_is_used_until_shortly_before_its_end(void)
{
	struct login *login;
	bool wants_renewal;

	set_up(10);
	login = login_table_pin(it.table, "alice@a.test");
	CU_ASSERT_FALSE(login_has_secret(login, LOGIN_BEARER, &wants_renewal));
	CU_ASSERT_EQUAL(login_valid_until(login, LOGIN_BEARER), INT64_MIN);
	keep(login, LOGIN_BEARER, "token", now() + 3600);
	CU_ASSERT_TRUE(login_has_secret(login, LOGIN_BEARER, &wants_renewal));
	CU_ASSERT_FALSE(wants_renewal);
	CU_ASSERT_TRUE(span_equal(login_secret(login, LOGIN_BEARER), span_of_string("token")));
	CU_ASSERT_TRUE(login_valid_until(login, LOGIN_BEARER) < now() + 3600);
	CU_ASSERT_PTR_NULL(login_secret(login, LOGIN_ASSERTION).data);
	keep(login, LOGIN_BEARER, "second", now() + 3600);
	CU_ASSERT_TRUE(span_equal(login_secret(login, LOGIN_BEARER), span_of_string("second")));
	keep(login, LOGIN_BEARER, "over", now() - 1);
	CU_ASSERT_FALSE(login_has_secret(login, LOGIN_BEARER, &wants_renewal));
	CU_ASSERT_PTR_NULL(login_secret(login, LOGIN_BEARER).data);
	/* The last fifth of its life has begun when that is no second long. */
	keep(login, LOGIN_BEARER, "short", now() + 2);
	if (login_has_secret(login, LOGIN_BEARER, &wants_renewal))
		CU_ASSERT_TRUE(now() < login_valid_until(login, LOGIN_BEARER));
	login_unpin(login);
	tear_down();
}

static void test_a_minted_certificate_comes_with_its_key(void)
{
	struct pki ca = pki_make_ca("CA", NULL), other = pki_make_ca("Other", NULL);
	struct pki user = pki_make(pki_phone(&ca));
	char *certificate = pki_pem(user.certificate), *above = pki_pem(ca.certificate);
	struct error err = {""};
	BIO *bio = BIO_new(BIO_s_mem());
	struct login *login;
	char *data;
	long len;

	set_up(10);
	login = login_table_pin(it.table, "alice@a.test");
	PKI_MUST(PEM_write_bio_PKCS8PrivateKey(bio, user.key, NULL, NULL, 0, NULL, NULL) == 1);
	BIO_printf(bio, "%s%s", certificate, above);
	len = BIO_get_mem_data(bio, &data);
	CU_ASSERT_PTR_NULL(login_identity(login));
	CU_ASSERT_EQUAL(login_keep_secret(login, LOGIN_MINTED, span_of(data, (size_t)len),
				now() + 3600, &err),
		0);
	CU_ASSERT_PTR_NOT_NULL(login_identity(login));
	CU_ASSERT_FALSE(login_needs_identity(login));
	login_table_set_needs_identity(it.table);
	CU_ASSERT_TRUE(login_needs_identity(login));
	BIO_free(bio);
	/* With another's key it is none. What there was stays. */
	bio = BIO_new(BIO_s_mem());
	PKI_MUST(PEM_write_bio_PKCS8PrivateKey(bio, other.key, NULL, NULL, 0, NULL, NULL) == 1);
	BIO_printf(bio, "%s", certificate);
	len = BIO_get_mem_data(bio, &data);
	CU_ASSERT_EQUAL(login_keep_secret(login, LOGIN_MINTED, span_of(data, (size_t)len),
				now() + 3600, &err),
		-1);
	CU_ASSERT_TRUE(err.text[0] != '\0');
	CU_ASSERT_EQUAL(login_keep_secret(login, LOGIN_MINTED, span_of_string("nonsense"),
				now() + 3600, &err),
		-1);
	CU_ASSERT_PTR_NOT_NULL(login_identity(login));
	BIO_free(bio);
	login_unpin(login);
	tear_down();
	free(certificate);
	free(above);
	pki_free(&user);
	pki_free(&other);
	pki_free(&ca);
}

static void test_connections_go_with_their_login(void)
{
	struct login *login;
	struct link *idle, *busy;

	set_up(1);
	login = login_table_pin(it.table, "alice@a.test");
	idle = link_of(login);
	busy = link_of(login);
	login_unpin(login);
	/* Those in use pin it. */
	login_unpin(login_table_pin(it.table, "bob@a.test"));
	CU_ASSERT_PTR_EQUAL(login_table_find(it.table, "alice@a.test"), login);
	link_release(idle, true);
	CU_ASSERT_PTR_EQUAL(LIST_FIRST(&login->idle), idle);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 1);
	login_end(login);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	CU_ASSERT_PTR_NULL(login_table_find(it.table, "alice@a.test"));
	CU_ASSERT_FALSE(login_is_in_use(login));
	/* The other one is not kept when it is given back, and lets go of the last of the login. */
	link_release(busy, true);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	CU_ASSERT_EQUAL(it.endpoint.busy_count, 0);
	tear_down();
}

static void test_only_what_is_logged_in_and_proven_is_kept(void)
{
	struct login *login;
	struct link *link;

	set_up(10);
	login = login_table_pin(it.table, "alice@a.test");
	link = link_of(login);
	link->is_logged_in = false;
	link_release(link, true);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	link = link_of(login);
	link->login_until = now() - 1;
	link_release(link, true);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	link = link_of(login);
	link->login_context = 77;
	link_release(link, true);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	CU_ASSERT_EQUAL(it.forgotten, 77);
	link_release(link_of(login), true);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 1);
	login_close_idle(login);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	login_unpin(login);
	tear_down();
}

static void test_nobody_is_given_a_connection_of_anothers(void)
{
	static const struct link_calls no_calls = {0};
	struct login *alice, *bob;

	set_up(10);
	alice = login_table_pin(it.table, "alice@a.test");
	bob = login_table_pin(it.table, "bob@a.test");
	link_release(link_of(alice), true);
	/* Nothing listens, and there is no address: where none is found there is none. */
	CU_ASSERT_PTR_NULL(upstream_open(&it.upstream, bob, &no_calls, NULL));
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 1);
	/* Not even by mistake. */
	CU_ASSERT_FALSE(link_take(LIST_FIRST(&alice->idle), bob, &no_calls, NULL));
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	link_release(link_of(alice), true);
	CU_ASSERT_FALSE(link_take(LIST_FIRST(&alice->idle), NULL, &no_calls, NULL));
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	login_unpin(bob);
	login_unpin(alice);
	tear_down();
}

static void test_a_full_endpoint_closes_those_that_were_idle_longest(void)
{
	static const struct link_calls no_calls = {0};
	struct login *alice, *bob, *carol;

	set_up(10);
	it.config.connections = 2;
	alice = login_table_pin(it.table, "alice@a.test");
	bob = login_table_pin(it.table, "bob@a.test");
	carol = login_table_pin(it.table, "carol@a.test");
	link_release(link_of(alice), true);
	link_release(link_of(bob), true);
	CU_ASSERT_PTR_NULL(upstream_open(&it.upstream, carol, &no_calls, NULL));
	CU_ASSERT_TRUE(LIST_EMPTY(&alice->idle));
	CU_ASSERT_FALSE(LIST_EMPTY(&bob->idle));
	login_unpin(alice);
	login_unpin(bob);
	login_unpin(carol);
	tear_down();
}

static void test_who_may_not_come_in_any_more_is_not_logged_in_any_more(void)
{
	struct credential *of_alice, *of_bob;
	struct login *alice, *bob;

	set_up(10);
	of_alice = credential_of("alice@a.test", 1);
	of_bob = credential_of("bob@a.test", 2);
	alice = login_table_pin(it.table, "alice@a.test");
	bob = login_table_pin(it.table, "bob@a.test");
	login_use(alice, of_alice);
	login_use(bob, of_bob);
	login_use(bob, of_bob);
	keep(alice, LOGIN_BEARER, "token", now() + 3600);
	link_release(link_of(alice), true);
	link_release(link_of(bob), true);
	it.refusal = REFUSAL_CERTIFICATE_REVOKED;
	it.out = of_alice;
	login_table_recheck(it.table);
	run();
	CU_ASSERT_EQUAL(it.judged, 2);
	CU_ASSERT_PTR_NULL(login_table_find(it.table, "alice@a.test"));
	CU_ASSERT_PTR_NULL(login_secret(alice, LOGIN_BEARER).data);
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 1);
	CU_ASSERT_STRING_EQUAL(it.dropped, "alice@a.test");
	CU_ASSERT_EQUAL(it.drops, 1);
	/* That nothing is known of a CRL is no word against anybody: others need not forget bob. */
	it.refusal = REFUSAL_REVOCATION_UNAVAILABLE;
	it.out = of_bob;
	login_table_recheck(it.table);
	run();
	CU_ASSERT_EQUAL(it.endpoint.idle_count, 0);
	CU_ASSERT_EQUAL(it.drops, 1);
	CU_ASSERT_EQUAL(login_table_count(it.table), 0);
	login_unpin(alice);
	login_unpin(bob);
	credential_free(of_alice);
	credential_free(of_bob);
	tear_down();
}

static void test_a_certificate_that_leads_elsewhere_now_ends_the_login(void)
{
	struct credential *credential;
	struct login *login;

	set_up(10);
	credential = credential_of("alice@a.test", 1);
	login = login_table_pin(it.table, "alice@a.test");
	login_use(login, credential);
	login_unpin(login);
	PKI_MUST(credential_set_mailbox(credential, "bob@a.test") == 0);
	login_table_recheck(it.table);
	run();
	CU_ASSERT_EQUAL(login_table_count(it.table), 0);
	CU_ASSERT_EQUAL(it.drops, 0);
	credential_free(credential);
	tear_down();
}

static void test_a_session_that_is_put_out_ends_the_login_of_its_certificate_alone(void)
{
	struct credential *first, *second;
	struct login *login;

	set_up(10);
	first = credential_of("alice@a.test", 1);
	second = credential_of("alice@a.test", 2);
	login = login_table_pin(it.table, "alice@a.test");
	login_use(login, first);
	login_use(login, second);
	login_unpin(login);
	login_table_put_out(it.table, first, REFUSAL_CERTIFICATE_REVOKED);
	CU_ASSERT_EQUAL(login_table_count(it.table), 1);
	login_table_put_out(it.table, second, REFUSAL_CERTIFICATE_REVOKED);
	CU_ASSERT_EQUAL(login_table_count(it.table), 0);
	CU_ASSERT_EQUAL(it.drops, 1);
	credential_free(first);
	credential_free(second);
	tear_down();
}

/* Whose turn it is may go in the middle of the walk, and a change in the middle concerns all again. */
static void test_a_walk_looks_at_all_whatever_happens_meanwhile(void)
{
	struct credential *credential;
	char mailbox[32];

	set_up(MANY);
	credential = credential_of("u0@a.test", 1);
	for (int i = 0; i < MANY; i++) {
		struct login *login;

		snprintf(mailbox, sizeof(mailbox), "u%d@a.test", i);
		login = login_table_pin(it.table, mailbox);
		login_use(login, credential);
		login_unpin(login);
	}
	/* The certificate is u0's now: all the others go, and the first stays. */
	login_table_recheck(it.table);
	event_base_loop(it.base, EVLOOP_ONCE);
	CU_ASSERT_TRUE(login_table_count(it.table) > 1);
	login_end(login_table_find(it.table, "u500@a.test"));
	login_table_recheck(it.table);
	run();
	CU_ASSERT_EQUAL(login_table_count(it.table), 1);
	/* All but the one that went, and the first in the second walk. */
	CU_ASSERT_EQUAL(it.judged, MANY);
	login_table_end_all(it.table);
	CU_ASSERT_EQUAL(login_table_count(it.table), 0);
	CU_ASSERT_EQUAL(credential->shares, 0);
	credential_free(credential);
	tear_down();
}

static const struct check checks[] = {
	{"a mailbox has one login, and the one used least recently makes room",
		test_a_mailbox_has_one_login_and_the_one_used_least_recently_makes_room},
	{"a secret is used until shortly before its end",
		test_a_secret_is_used_until_shortly_before_its_end},
	{"a minted certificate comes with its key", test_a_minted_certificate_comes_with_its_key},
	{"connections go with their login", test_connections_go_with_their_login},
	{"only what is logged in and proven is kept",
		test_only_what_is_logged_in_and_proven_is_kept},
	{"nobody is given a connection of another's",
		test_nobody_is_given_a_connection_of_anothers},
	{"a full endpoint closes those that were idle longest",
		test_a_full_endpoint_closes_those_that_were_idle_longest},
	{"who may not come in any more is not logged in any more",
		test_who_may_not_come_in_any_more_is_not_logged_in_any_more},
	{"a certificate that leads elsewhere now ends the login",
		test_a_certificate_that_leads_elsewhere_now_ends_the_login},
	{"a session that is put out ends the login of its certificate alone",
		test_a_session_that_is_put_out_ends_the_login_of_its_certificate_alone},
	{"a walk looks at all, whatever happens meanwhile",
		test_a_walk_looks_at_all_whatever_happens_meanwhile},
};

int main(void)
{
	return check_run("proxy/login_table", checks, sizeof(checks) / sizeof(checks[0]));
}
