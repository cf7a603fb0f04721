#include <stdio.h>
#include <string.h>

#include "check.h"
#include "proxy/identity_login_cache.h"

static struct {
	struct login_cache *cache;
	unsigned int dropped;
	uint64_t last; /* number of the last one dropped */
} it;

static void dropped(void *context, const struct login_entry *entry)
{
	(void)context;
	it.dropped++;
	it.last = entry->number;
}

static void set_up(size_t capacity)
{
	login_cache_free(it.cache);
	memset(&it, 0, sizeof(it));
	it.cache = login_cache_new(capacity, dropped, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.cache);
}

static struct login_entry *find(const char *mailbox, const char *service)
{
	return login_cache_find(it.cache, LOGIN_KERBEROS, mailbox, service);
}

static struct login_entry *have(const char *mailbox, const char *service)
{
	struct login_entry *entry = login_cache_add(it.cache, LOGIN_KERBEROS, mailbox, service);

	CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
	login_entry_have(it.cache, entry, 1000);
	return entry;
}

static void test_each_service_and_kind_has_its_own(void)
{
	struct login_entry *entry;

	set_up(10);
	entry = have("alice@contoso.test", "HTTP/a");
	CU_ASSERT_PTR_EQUAL(find("alice@contoso.test", "HTTP/a"), entry);
	CU_ASSERT_STRING_EQUAL(entry->mailbox, "alice@contoso.test");
	CU_ASSERT_STRING_EQUAL(entry->service, "HTTP/a");
	CU_ASSERT_PTR_NULL(find("alice@contoso.test", "HTTP/b"));
	CU_ASSERT_PTR_NULL(find("bob@contoso.test", "HTTP/a"));
	CU_ASSERT_PTR_NULL(
		login_cache_find(it.cache, LOGIN_BEARER, "alice@contoso.test", "HTTP/a"));
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_KERBEROS), 1);
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_BEARER), 0);
}

static void test_the_least_recently_used_one_goes(void)
{
	uint64_t number;

	set_up(2);
	have("alice", "s");
	number = have("bob", "s")->number;
	find("alice", "s");
	have("carol", "s");
	CU_ASSERT_PTR_NULL(find("bob", "s"));
	CU_ASSERT_PTR_NOT_NULL(find("alice", "s"));
	CU_ASSERT_EQUAL(it.dropped, 1);
	CU_ASSERT_EQUAL(it.last, number);
	CU_ASSERT_EQUAL(login_cache_size(it.cache), 2);
}

static void test_one_that_is_being_got_stays(void)
{
	struct login_entry *flying;

	set_up(2);
	flying = login_cache_add(it.cache, LOGIN_KERBEROS, "alice", "s");
	flying->flight = (struct login_flight *)flying;
	have("bob", "s");
	have("carol", "s")->flight = (struct login_flight *)flying;
	CU_ASSERT_PTR_NULL(find("bob", "s"));
	CU_ASSERT_PTR_EQUAL(find("alice", "s"), flying);
	CU_ASSERT_PTR_NULL(login_cache_add(it.cache, LOGIN_KERBEROS, "dave", "s"));
}

static void test_numbers_are_never_used_again(void)
{
	uint64_t last = 0;

	set_up(2);
	for (int i = 0; i < 10; i++) {
		char mailbox[16];
		uint64_t number;

		snprintf(mailbox, sizeof(mailbox), "user%d", i);
		number = have(mailbox, "s")->number;
		CU_ASSERT_TRUE(number > last);
		last = number;
	}
}

static void test_a_new_ticket_drops_nothing_and_a_denial_does(void)
{
	const struct login_fault fault = {.text = "switched off"};
	struct login_entry *entry;

	set_up(2);
	entry = have("alice", "s");
	login_entry_have(it.cache, entry, 2000);
	CU_ASSERT_EQUAL(it.dropped, 0);
	CU_ASSERT_EQUAL(entry->valid_until, 2000);
	login_entry_deny(it.cache, entry, &fault);
	CU_ASSERT_EQUAL(it.dropped, 1);
	CU_ASSERT_EQUAL(entry->known, LOGIN_DENIED);
	CU_ASSERT_STRING_EQUAL(entry->fault->text, "switched off");
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_KERBEROS), 0);
	login_entry_have(it.cache, entry, 3000);
	CU_ASSERT_PTR_NULL(entry->fault);
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_KERBEROS), 1);
}

static void keep(const char *mailbox, const char *secret, int64_t until_ms)
{
	struct login_entry *entry = login_cache_find(it.cache, LOGIN_BEARER, mailbox, "");

	if (entry == NULL)
		entry = login_cache_add(it.cache, LOGIN_BEARER, mailbox, "");
	login_entry_keep(it.cache, entry, 5000, span_of_string(secret), until_ms);
}

static const struct login_entry *kept(const char *mailbox)
{
	return login_cache_find(it.cache, LOGIN_BEARER, mailbox, "");
}

static void test_secrets_are_wiped_when_their_time_has_come(void)
{
	set_up(10);
	keep("alice", "one", 100);
	keep("bob", "two", 200);
	CU_ASSERT_EQUAL(kept("alice")->secret_len, 3);
	CU_ASSERT_EQUAL(login_cache_wipe(it.cache, 99), 100);
	CU_ASSERT_EQUAL(kept("alice")->known, LOGIN_HAVE);
	CU_ASSERT_EQUAL(login_cache_wipe(it.cache, 100), 200);
	CU_ASSERT_EQUAL(kept("alice")->known, LOGIN_NOTHING);
	CU_ASSERT_PTR_NULL(kept("alice")->secret);
	CU_ASSERT_EQUAL(kept("bob")->known, LOGIN_HAVE);
	CU_ASSERT_EQUAL(login_cache_wipe(it.cache, 1000), INT64_MAX);
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_BEARER), 0);
}

static void test_another_secret_is_kept_for_its_own_time(void)
{
	set_up(10);
	keep("alice", "one", 100);
	keep("bob", "two", 150);
	keep("alice", "three", 200);
	CU_ASSERT_EQUAL(login_cache_wipe(it.cache, 150), 200);
	CU_ASSERT_EQUAL(memcmp(kept("alice")->secret, "three", 5), 0);
	CU_ASSERT_EQUAL(kept("bob")->known, LOGIN_NOTHING);
}

static void forget(void *context, struct login_entry *entry)
{
	(void)context;
	login_entry_forget(it.cache, entry);
}

static void test_all_of_a_mailbox_are_found(void)
{
	set_up(10);
	have("alice", "HTTP/a");
	have("alice", "HTTP/b");
	have("bob", "HTTP/a");
	keep("alice", "secret", 100);
	login_cache_visit(it.cache, "alice", forget, NULL);
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_KERBEROS), 1);
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_BEARER), 0);
	login_cache_visit(it.cache, NULL, forget, NULL);
	CU_ASSERT_EQUAL(login_cache_count(it.cache, LOGIN_KERBEROS), 0);
	login_cache_free(it.cache);
	it.cache = NULL;
}

int main(void)
{
	static const struct check checks[] = {
		{"each service and kind has its own", test_each_service_and_kind_has_its_own},
		{"the least recently used one goes", test_the_least_recently_used_one_goes},
		{"one that is being got stays", test_one_that_is_being_got_stays},
		{"numbers are never used again", test_numbers_are_never_used_again},
		{"a new ticket drops nothing, and a denial does",
			test_a_new_ticket_drops_nothing_and_a_denial_does},
		{"secrets are wiped when their time has come",
			test_secrets_are_wiped_when_their_time_has_come},
		{"another secret is kept for its own time",
			test_another_secret_is_kept_for_its_own_time},
		{"all of a mailbox are found", test_all_of_a_mailbox_are_found},
	};

	return check_run("proxy/identity_login_cache", checks, sizeof(checks) / sizeof(checks[0]));
}
