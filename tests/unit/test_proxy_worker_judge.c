/* May a certificate still come in: what is remembered of a judgement, and for how long. */
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "auth/user_index.h"
#include "proxy/worker_judge.h"
#include "tests/unit/check.h"
#include "tests/unit/credential_maker.h"

enum { AUTHORITY = 3 }; /* none has a CRL */

static struct fixture {
	struct trust_store trust;
	struct authority authorities[AUTHORITY + 1];
	struct child child;
	struct worker worker;
	struct credential *credential;
	uint32_t good_by;
} f;

/* A certificate whose path is valid between these moments, in seconds from now. */
static struct credential *credential_of(int64_t from, int64_t until)
{
	static struct verdict verdict; /* large */
	struct credential *credential;

	memset(&verdict, 0, sizeof(verdict));
	verdict.not_before = worker_now(&f.worker) + from;
	verdict.not_after = worker_now(&f.worker) + until;
	verdict.link_count = 1;
	verdict.links[0].authority = AUTHORITY;
	credential = credential_made(&verdict, UINT32_MAX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(credential);
	return credential;
}

static void begin(void)
{
	memset(&f, 0, sizeof(f));
	f.trust = (struct trust_store){.authorities = f.authorities, .count = AUTHORITY + 1};
	for (size_t i = 0; i < f.trust.count; i++)
		f.authorities[i].crls[0].url = "";
	f.child.trust = &f.trust;
	f.worker.child = &f.child;
	f.worker.base = event_base_new();
	f.credential = credential_of(-100, 100);
	CU_ASSERT_EQUAL(credential_set_mailbox(f.credential, "alice@a.test"), 0);
}

static void end(void)
{
	user_index_close(f.worker.users);
	credential_free(f.credential);
	event_base_free(f.worker.base);
}

static enum refusal ask(void)
{
	return worker_judge_again(&f.worker, f.credential, &f.good_by);
}

static void withdraw(void)
{
	f.worker.withdrawn[0] = 1U << AUTHORITY;
}

/* The certificate was found good, and is not any more for who looks again. */
static void begin_good_before(void)
{
	begin();
	CU_ASSERT_EQUAL(ask(), REFUSAL_NONE);
	CU_ASSERT_NOT_EQUAL(f.good_by, 0);
	withdraw();
}

/* What the worker does when it takes something over is all that ends it. */
static void test_what_is_good_is_remembered_until_something_changes(void)
{
	begin_good_before();
	CU_ASSERT_EQUAL(ask(), REFUSAL_NONE);
	worker_judge_anew(&f.worker);
	CU_ASSERT_EQUAL(ask(), REFUSAL_CERTIFICATE_UNTRUSTED);
	end();
}

static void test_a_refusal_is_not_remembered(void)
{
	begin();
	withdraw();
	CU_ASSERT_EQUAL(ask(), REFUSAL_CERTIFICATE_UNTRUSTED);
	CU_ASSERT_EQUAL(f.good_by, 0);
	f.worker.withdrawn[0] = 0;
	CU_ASSERT_EQUAL(ask(), REFUSAL_NONE);
	end();
}

static void test_another_certificate_is_judged_anew(void)
{
	begin_good_before();
	f.good_by = 0;
	CU_ASSERT_EQUAL(ask(), REFUSAL_CERTIFICATE_UNTRUSTED);
	end();
}

/* A second that was foretold has come, or the clock was set back. */
static void test_time_ends_it(void)
{
	begin_good_before();
	f.worker.grounds.until = worker_now(&f.worker);
	CU_ASSERT_EQUAL(ask(), REFUSAL_CERTIFICATE_UNTRUSTED);
	f.worker.withdrawn[0] = 0;
	CU_ASSERT_EQUAL(ask(), REFUSAL_NONE);
	withdraw();
	f.worker.grounds.from = worker_now(&f.worker) + 60;
	CU_ASSERT_EQUAL(ask(), REFUSAL_CERTIFICATE_UNTRUSTED);
	end();
}

static void test_the_certificates_own_times_are_looked_at_each_time(void)
{
	begin();
	CU_ASSERT_EQUAL(ask(), REFUSAL_NONE);
	/* As good as the one before by all that the worker has been told. */
	credential_free(f.credential);
	f.credential = credential_of(-100, -1);
	CU_ASSERT_EQUAL(ask(), REFUSAL_CERTIFICATE_EXPIRED);
	CU_ASSERT_EQUAL(f.good_by, 0);
	credential_free(f.credential);
	f.credential = credential_of(60, 100);
	f.good_by = f.worker.grounds.number;
	CU_ASSERT_EQUAL(ask(), REFUSAL_CERTIFICATE_NOT_YET_VALID);
	end();
}

/* And that is not remembered, either, so that it ends with the list. */
static void test_users_are_looked_up_each_time(void)
{
	const struct user_entry out = {.mailbox = "alice@a.test", .valid_from = INT64_MAX};
	struct error err = {""};
	int fd;

	begin();
	CU_ASSERT_EQUAL(ask(), REFUSAL_NONE);
	fd = user_index_write(&out, 1, &err);
	CU_ASSERT_NOT_EQUAL_FATAL(fd, -1);
	f.worker.users = user_index_open(fd, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f.worker.users);
	CU_ASSERT_EQUAL(ask(), REFUSAL_USER_REVOKED);
	user_index_close(f.worker.users);
	f.worker.users = NULL;
	CU_ASSERT_EQUAL(ask(), REFUSAL_NONE);
	close(fd);
	end();
}

static const struct check checks[] = {
	{"what is good is remembered until something changes",
		test_what_is_good_is_remembered_until_something_changes},
	{"a refusal is not remembered", test_a_refusal_is_not_remembered},
	{"another certificate is judged anew", test_another_certificate_is_judged_anew},
	{"time ends it", test_time_ends_it},
	{"the certificate's own times are looked at each time",
		test_the_certificates_own_times_are_looked_at_each_time},
	{"users are looked up each time", test_users_are_looked_up_each_time},
};

int main(void)
{
	return check_run("proxy/worker_judge", checks, sizeof(checks) / sizeof(checks[0]));
}
