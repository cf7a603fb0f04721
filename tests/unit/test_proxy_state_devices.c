#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proxy/device_index.h"
#include "proxy/device_state.h"
#include "proxy/state_devices.h"
#include "proxy/state_users.h"
#include "tests/unit/state_fixture.h"

static const char bob[] = "bob@contoso.test", amy[] = "amy@contoso.test";

/* A phone with the certificate whose SHA-256 is 32 times that octet; 0: without one. */
static struct device_facts facts_of(const char *mailbox, const char *id, uint8_t certificate)
{
	struct device_facts facts = {.type = "iPhone",
		.user_agent = "Apple-iPhone12C1/1805.65",
		.version = 161,
		.not_before = certificate};

	snprintf(facts.mailbox, sizeof(facts.mailbox), "%s", mailbox);
	snprintf(facts.id, sizeof(facts.id), "%s", id);
	memset(facts.leaf_sha256, certificate, sizeof(facts.leaf_sha256));
	if (certificate != 0)
		snprintf(facts.issuer, sizeof(facts.issuer), "CN=Contoso Issuing CA");
	return facts;
}

static void report(const char *mailbox, const char *id, uint8_t certificate, int64_t now)
{
	const struct device_facts facts = facts_of(mailbox, id, certificate);
	struct error err = {""};
	bool is_new;

	CU_ASSERT_EQUAL(
		state_devices_report(fixture.store, &facts, 1, now, true, &is_new, &err), 0);
	CU_ASSERT_STRING_EQUAL(err.text, "");
}

static struct state_device device_of(const char *mailbox, const char *id)
{
	struct state_device device;
	struct error err = {""};

	if (state_devices_find(fixture.store, mailbox, id, &device, &err) != 1)
		memset(&device, 0, sizeof(device));
	CU_ASSERT_STRING_EQUAL(err.text, "");
	return device;
}

static bool is_known(const char *mailbox, const char *id)
{
	return device_of(mailbox, id).facts.id[0] != '\0';
}

static int order_at(const char *mailbox, const char *id, enum device_state state,
	bool only_tightens, int64_t at)
{
	const struct state_device_order order = {.mailbox = mailbox,
		.id = id,
		.by = "user 7",
		.reason = "phone lost",
		.state = state,
		.only_tightens = only_tightens,
		.at = at};
	struct state_device before;
	struct error err = {""};
	int result = state_devices_order(fixture.store, &order, &before, &err);

	CU_ASSERT_STRING_EQUAL(err.text, "");
	return result;
}

static int order(const char *mailbox, const char *id, enum device_state state)
{
	return order_at(mailbox, id, state, false, 1000);
}

static int wipe_sent_at(const char *mailbox, const char *id, int64_t at)
{
	struct error err;
	int result;

	CU_ASSERT_EQUAL_FATAL(state_devices_begin(fixture.store, &err), 0);
	result = state_devices_wipe_sent_step(fixture.store, mailbox, id, at, &err);
	CU_ASSERT_EQUAL(state_devices_commit(fixture.store, &err), 0);
	return result;
}

static int wiped_at(const char *mailbox, const char *id, uint32_t status, int64_t at)
{
	struct error err;
	int result;

	CU_ASSERT_EQUAL_FATAL(state_devices_begin(fixture.store, &err), 0);
	result = state_devices_wiped_step(fixture.store, mailbox, id, status, at, &err);
	CU_ASSERT_EQUAL(state_devices_commit(fixture.store, &err), 0);
	return result;
}

static int64_t number_of(int (*ask)(struct state_store *, int64_t *, struct error *))
{
	struct error err;
	int64_t number = -1;

	CU_ASSERT_EQUAL(ask(fixture.store, &number, &err), 0);
	return number;
}

/* --- what phones say --- */

static void test_a_device_that_came_is_found_after_a_restart(void)
{
	struct state_device device;

	fixture_open();
	report(bob, "appl1", 1, 1000);
	reopen();
	device = device_of(bob, "appl1");
	CU_ASSERT_STRING_EQUAL(device.facts.mailbox, bob);
	CU_ASSERT_STRING_EQUAL(device.facts.type, "iPhone");
	CU_ASSERT_STRING_EQUAL(device.facts.user_agent, "Apple-iPhone12C1/1805.65");
	CU_ASSERT_STRING_EQUAL(device.facts.issuer, "CN=Contoso Issuing CA");
	CU_ASSERT_EQUAL(device.facts.leaf_sha256[31], 1);
	CU_ASSERT_EQUAL(device.facts.version, 161);
	CU_ASSERT_EQUAL(device.first_seen, 1000);
	CU_ASSERT_EQUAL(device.last_seen, 1000);
	CU_ASSERT_EQUAL(device.state, DEVICE_ALLOWED);
	CU_ASSERT_FALSE(is_known(amy, "appl1"));
	CU_ASSERT_FALSE(is_known(bob, "appl"));
	fixture_close();
}

static void test_what_was_said_once_is_kept_until_another_is_said(void)
{
	struct device_facts facts = facts_of(bob, "appl1", 1);
	struct state_device device;
	struct error err;
	bool is_new;

	fixture_open();
	strcpy(facts.model, "iPhone12C1");
	strcpy(facts.os, "iOS 17.1");
	CU_ASSERT_EQUAL(
		state_devices_report(fixture.store, &facts, 1, 1000, true, &is_new, &err), 0);
	CU_ASSERT_TRUE(is_new);
	facts = facts_of(bob, "appl1", 2);
	strcpy(facts.os, "iOS 17.2");
	facts.user_agent[0] = '\0';
	CU_ASSERT_EQUAL(
		state_devices_report(fixture.store, &facts, 1, 5000, true, &is_new, &err), 0);
	CU_ASSERT_FALSE(is_new);
	device = device_of(bob, "appl1");
	CU_ASSERT_STRING_EQUAL(device.facts.model, "iPhone12C1");
	CU_ASSERT_STRING_EQUAL(device.facts.os, "iOS 17.2");
	CU_ASSERT_STRING_EQUAL(device.facts.user_agent, "Apple-iPhone12C1/1805.65");
	CU_ASSERT_EQUAL(device.facts.leaf_sha256[0], 2);
	CU_ASSERT_EQUAL(device.first_seen, 1000);
	CU_ASSERT_EQUAL(device.last_seen, 5000);
	fixture_close();
}

static void test_what_is_forgotten_does_not_come_back_by_a_report_where_control_decides(void)
{
	const struct device_facts facts = facts_of(bob, "appl1", 1);
	struct error err;
	bool is_new = true;

	fixture_open();
	CU_ASSERT_EQUAL(
		state_devices_report(fixture.store, &facts, 1, 1000, false, &is_new, &err), 0);
	CU_ASSERT_FALSE(is_new);
	CU_ASSERT_FALSE(is_known(bob, "appl1"));
	fixture_close();
}

static void test_a_registered_device_is_known_before_it_comes(void)
{
	struct error err;
	int64_t grants;

	fixture_open();
	grants = number_of(state_devices_grants);
	CU_ASSERT_EQUAL(
		state_devices_register(fixture.store, bob, "appl1", "user 7", 1000, &err), 1);
	CU_ASSERT_EQUAL(
		state_devices_register(fixture.store, bob, "appl1", "user 8", 1001, &err), 0);
	CU_ASSERT_TRUE(device_of(bob, "appl1").is_registered);
	CU_ASSERT_STRING_EQUAL(device_of(bob, "appl1").state_by, "user 7");
	CU_ASSERT_EQUAL(number_of(state_devices_grants), grants + 1);
	order(bob, "shut", DEVICE_BLOCKED);
	CU_ASSERT_EQUAL(
		state_devices_register(fixture.store, bob, "shut", "user 7", 1000, &err), 1);
	CU_ASSERT_EQUAL(device_of(bob, "shut").state, DEVICE_BLOCKED);
	fixture_close();
}

static void test_a_report_changes_neither_a_pinned_certificate_nor_a_state(void)
{
	struct state_device device = {.is_pinned = true, .state = DEVICE_QUARANTINED};
	struct error err = {""};

	fixture_open();
	device.facts = facts_of(bob, "appl1", 1);
	CU_ASSERT_EQUAL(state_devices_begin(fixture.store, &err), 0);
	CU_ASSERT_EQUAL(state_devices_put(fixture.store, &device, &err), 0);
	CU_ASSERT_EQUAL(state_devices_commit(fixture.store, &err), 0);
	report(bob, "appl1", 2, 1000);
	device = device_of(bob, "appl1");
	CU_ASSERT_EQUAL(device.facts.leaf_sha256[0], 1);
	CU_ASSERT_EQUAL(device.state, DEVICE_QUARANTINED);
	CU_ASSERT_TRUE(device.is_pinned);
	CU_ASSERT_EQUAL(device.last_seen, 1000);
	fixture_close();
}

static void test_whose_pinned_certificate_it_is_can_be_asked(void)
{
	struct state_device device = {.is_pinned = true};
	struct error err = {""};

	fixture_open();
	device.facts = facts_of(bob, "appl1", 1);
	CU_ASSERT_EQUAL(state_devices_begin(fixture.store, &err), 0);
	CU_ASSERT_EQUAL(state_devices_put(fixture.store, &device, &err), 0);
	CU_ASSERT_EQUAL(state_devices_commit(fixture.store, &err), 0);
	report(bob, "appl2", 2, 1000);
	CU_ASSERT_EQUAL(state_devices_pinned_by(
				fixture.store, facts_of(bob, "x", 1).leaf_sha256, &device, &err),
		1);
	CU_ASSERT_STRING_EQUAL(device.facts.id, "appl1");
	CU_ASSERT_EQUAL(state_devices_pinned_by(
				fixture.store, facts_of(bob, "x", 2).leaf_sha256, &device, &err),
		0);
	fixture_close();
}

/* --- orders --- */

static void test_an_order_is_kept_with_who_gave_it_when_and_why(void)
{
	struct state_device device;

	fixture_open();
	report(bob, "appl1", 1, 500);
	CU_ASSERT_EQUAL(order(bob, "appl1", DEVICE_BLOCKED), 1);
	CU_ASSERT_EQUAL(order(bob, "appl1", DEVICE_BLOCKED), 0);
	reopen();
	device = device_of(bob, "appl1");
	CU_ASSERT_EQUAL(device.state, DEVICE_BLOCKED);
	CU_ASSERT_EQUAL(device.state_at, 1000);
	CU_ASSERT_STRING_EQUAL(device.state_by, "user 7");
	CU_ASSERT_STRING_EQUAL(device.state_reason, "phone lost");
	CU_ASSERT_STRING_EQUAL(device.facts.type, "iPhone");
	CU_ASSERT_EQUAL(order(bob, "appl1", DEVICE_ALLOWED), 1);
	CU_ASSERT_EQUAL(device_of(bob, "appl1").state, DEVICE_ALLOWED);
	CU_ASSERT_FALSE(device_of(bob, "appl1").is_registered);
	fixture_close();
}

static void test_a_device_that_never_came_can_be_ordered(void)
{
	fixture_open();
	CU_ASSERT_EQUAL(order(bob, "lost", DEVICE_WIPE_ALL), 1);
	CU_ASSERT_EQUAL(device_of(bob, "lost").state, DEVICE_WIPE_ALL);
	CU_ASSERT_EQUAL(device_of(bob, "lost").first_seen, 0);
	CU_ASSERT_EQUAL(order(bob, "expected", DEVICE_ALLOWED), 1);
	CU_ASSERT_TRUE(device_of(bob, "expected").is_registered);
	fixture_close();
}

static void test_a_rule_makes_no_device_freer(void)
{
	static const enum device_state tighter[] = {DEVICE_BLOCKED, DEVICE_WIPE_ACCOUNT,
		DEVICE_WIPE_ALL, DEVICE_WIPED, DEVICE_WIPE_FAILED};

	fixture_open();
	for (size_t i = 0; i < sizeof(tighter) / sizeof(tighter[0]); i++) {
		CU_ASSERT_EQUAL(order(bob, "appl1", tighter[i]), 1);
		CU_ASSERT_EQUAL(order_at(bob, "appl1", DEVICE_QUARANTINED, true, 2000), 0);
		CU_ASSERT_EQUAL(device_of(bob, "appl1").state, tighter[i]);
	}
	CU_ASSERT_EQUAL(order_at(bob, "appl1", DEVICE_WIPE_ALL, true, 2000), 0);
	CU_ASSERT_EQUAL(order(bob, "appl1", DEVICE_ALLOWED), 1);
	CU_ASSERT_EQUAL(order_at(bob, "appl1", DEVICE_QUARANTINED, true, 2000), 1);
	fixture_close();
}

static void test_the_way_of_a_wipe_is_kept(void)
{
	struct state_device device;

	fixture_open();
	report(bob, "appl1", 1, 500);
	order(bob, "appl1", DEVICE_WIPE_ACCOUNT);
	CU_ASSERT_EQUAL(wipe_sent_at(bob, "appl1", 1010), 0);
	CU_ASSERT_EQUAL(wiped_at(bob, "appl1", 1, 1011), 1);
	device = device_of(bob, "appl1");
	CU_ASSERT_EQUAL(device.state, DEVICE_WIPED);
	CU_ASSERT_EQUAL(device.wipe, DEVICE_WIPE_ACCOUNT);
	CU_ASSERT_EQUAL(device.wipe_ordered_at, 1000);
	CU_ASSERT_EQUAL(device.wipe_sent_at, 1010);
	CU_ASSERT_EQUAL(device.wipe_acknowledged_at, 1011);
	CU_ASSERT_EQUAL(device.wipe_status, 1);
	CU_ASSERT_STRING_EQUAL(device.state_by, "acknowledgement");
	CU_ASSERT_STRING_EQUAL(device.state_reason, "phone lost");
	/* Sent again, because the answer to it was lost. */
	CU_ASSERT_EQUAL(wiped_at(bob, "appl1", 1, 1011), 0);
	CU_ASSERT_EQUAL(order_at(bob, "appl1", DEVICE_WIPE_ALL, false, 1100), 1);
	device = device_of(bob, "appl1");
	CU_ASSERT_EQUAL(device.wipe, DEVICE_WIPE_ALL);
	CU_ASSERT_EQUAL(device.wipe_ordered_at, 1100);
	CU_ASSERT_EQUAL(device.wipe_sent_at, 0);
	CU_ASSERT_EQUAL(device.wipe_acknowledged_at, 0);
	CU_ASSERT_EQUAL(wiped_at(bob, "appl1", 2, 1101), 1);
	CU_ASSERT_EQUAL(device_of(bob, "appl1").state, DEVICE_WIPE_FAILED);
	CU_ASSERT_EQUAL(device_of(bob, "appl1").wipe, DEVICE_WIPE_ALL);
	CU_ASSERT_EQUAL(device_of(bob, "appl1").wipe_status, 2);
	fixture_close();
}

static void test_a_late_acknowledgement_does_not_undo_what_was_decided_since(void)
{
	fixture_open();
	order(bob, "appl1", DEVICE_WIPE_ALL);
	CU_ASSERT_EQUAL(order_at(bob, "appl1", DEVICE_ALLOWED, false, 1200), 1);
	CU_ASSERT_EQUAL(wiped_at(bob, "appl1", 1, 1100), 0);
	CU_ASSERT_EQUAL(device_of(bob, "appl1").state, DEVICE_ALLOWED);
	fixture_close();
}

static void test_what_is_forgotten_is_gone_and_to_be_asked_anew(void)
{
	struct device_key key;
	struct device_finding finding;
	struct device_index *index;
	struct error err;
	int64_t version, grants;
	size_t count;
	int fd;

	fixture_open();
	report(bob, "appl1", 1, 500);
	order(bob, "appl1", DEVICE_BLOCKED);
	grants = number_of(state_devices_grants);
	CU_ASSERT_EQUAL(state_devices_forget(fixture.store, bob, "appl1", 1000, &err), 1);
	CU_ASSERT_EQUAL(state_devices_forget(fixture.store, bob, "appl1", 1000, &err), 0);
	CU_ASSERT_FALSE(is_known(bob, "appl1"));
	CU_ASSERT_TRUE(number_of(state_devices_grants) > grants);
	fd = state_devices_index(fixture.store, &version, &count, &err);
	index = device_index_open(fd, &err);
	close(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL(device_index_key(bob, "appl1", &key), 0);
	CU_ASSERT_TRUE(device_index_find(index, &key, &finding));
	CU_ASSERT_EQUAL(finding.state, DEVICE_ALLOWED);
	CU_ASSERT_EQUAL((int64_t)finding.grants, number_of(state_devices_grants));
	device_index_close(index);
	fixture_close();
}

/* --- the index --- */

static void test_the_index_holds_what_anything_is_held_against(void)
{
	struct device_key key;
	struct device_finding finding;
	struct device_index *index;
	struct error err;
	int64_t version;
	size_t count;
	int fd;

	fixture_open();
	report(bob, "free", 1, 500);
	order(bob, "shut", DEVICE_BLOCKED);
	order(amy, "shut", DEVICE_WIPE_ACCOUNT);
	CU_ASSERT_EQUAL(wiped_at(amy, "shut", 2, 1001), 1);
	fd = state_devices_index(fixture.store, &version, &count, &err);
	CU_ASSERT_EQUAL(version, number_of(state_devices_version));
	CU_ASSERT_EQUAL(count, 2);
	index = device_index_open(fd, &err);
	close(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(index);
	CU_ASSERT_EQUAL((int64_t)device_index_grants(index), number_of(state_devices_grants));
	device_index_key(bob, "free", &key);
	CU_ASSERT_FALSE(device_index_find(index, &key, &finding));
	device_index_key(bob, "shut", &key);
	CU_ASSERT_TRUE(device_index_find(index, &key, &finding));
	CU_ASSERT_EQUAL(finding.state, DEVICE_BLOCKED);
	device_index_key(amy, "shut", &key);
	CU_ASSERT_TRUE(device_index_find(index, &key, &finding));
	CU_ASSERT_EQUAL(finding.state, DEVICE_WIPE_FAILED);
	CU_ASSERT_EQUAL(finding.wipe, DEVICE_WIPE_ACCOUNT);
	device_index_close(index);
	fixture_close();
}

static void test_the_numbers_grow_with_what_they_count(void)
{
	int64_t version, grants;

	fixture_open();
	version = number_of(state_devices_version);
	grants = number_of(state_devices_grants);
	report(bob, "appl1", 1, 500);
	CU_ASSERT_EQUAL(number_of(state_devices_version), version);
	order(bob, "appl1", DEVICE_BLOCKED);
	CU_ASSERT_EQUAL(number_of(state_devices_version), version + 1);
	CU_ASSERT_EQUAL(number_of(state_devices_grants), grants);
	order(bob, "appl1", DEVICE_ALLOWED);
	CU_ASSERT_EQUAL(number_of(state_devices_version), version + 2);
	CU_ASSERT_EQUAL(number_of(state_devices_grants), grants + 1);
	fixture_close();
}

/* --- lists and counts --- */

static void test_devices_are_listed_in_pages_and_by_id(void)
{
	struct state_device devices[4];
	struct error err;

	fixture_open();
	report(bob, "b", 1, 500);
	report(bob, "a", 1, 500);
	report(amy, "b", 1, 500);
	CU_ASSERT_EQUAL(state_devices_after(fixture.store, "", "", devices, 2, &err), 2);
	CU_ASSERT_STRING_EQUAL(devices[0].facts.mailbox, amy);
	CU_ASSERT_STRING_EQUAL(devices[1].facts.id, "a");
	CU_ASSERT_EQUAL(state_devices_after(fixture.store, bob, "a", devices, 4, &err), 1);
	CU_ASSERT_STRING_EQUAL(devices[0].facts.id, "b");
	CU_ASSERT_EQUAL(state_devices_of_id(fixture.store, "b", devices, 4, &err), 2);
	CU_ASSERT_STRING_EQUAL(devices[1].facts.mailbox, bob);
	CU_ASSERT_EQUAL(state_devices_of_id(fixture.store, "c", devices, 4, &err), 0);
	fixture_close();
}

static void test_only_devices_that_can_be_used_count_for_a_mailbox(void)
{
	struct state_device_counts counts;
	struct error err;
	int64_t count = -1;

	fixture_open();
	report(bob, "one", 1, 500);
	report(bob, "two", 1, 500);
	report(amy, "one", 1, 500);
	order(bob, "three", DEVICE_BLOCKED);
	order(bob, "four", DEVICE_WIPED);
	order(bob, "five", DEVICE_QUARANTINED);
	CU_ASSERT_EQUAL(state_devices_count_of(fixture.store, bob, &count, &err), 0);
	CU_ASSERT_EQUAL(count, 3);
	CU_ASSERT_EQUAL(state_devices_count(fixture.store, &counts, &err), 0);
	CU_ASSERT_EQUAL(counts.all, 6);
	CU_ASSERT_EQUAL(counts.states[DEVICE_ALLOWED], 3);
	CU_ASSERT_EQUAL(counts.states[DEVICE_QUARANTINED], 1);
	CU_ASSERT_EQUAL(counts.states[DEVICE_WIPED], 1);
	fixture_close();
}

/* --- bounds --- */

static void test_the_oldest_are_forgotten_first_and_restricted_ones_never(void)
{
	struct error err;
	size_t left = 0;
	char id[16];

	fixture_open();
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "d%02d", i);
		report(i % 2 == 0 ? bob : amy, id, 1, 1000 + i);
	}
	order(bob, "d00", DEVICE_BLOCKED);
	order(bob, "expected", DEVICE_ALLOWED); /* registered, and never came */
	CU_ASSERT_EQUAL(state_devices_prune(fixture.store, 2000, 100, &left, &err), 0);
	CU_ASSERT_EQUAL(left, 21);
	CU_ASSERT_EQUAL(state_devices_prune(fixture.store, 2000, 10, &left, &err), 11);
	CU_ASSERT_EQUAL(left, 10);
	CU_ASSERT_TRUE(is_known(bob, "d00"));
	CU_ASSERT_TRUE(is_known(bob, "expected"));
	CU_ASSERT_FALSE(is_known(amy, "d11"));
	CU_ASSERT_TRUE(is_known(bob, "d12"));
	CU_ASSERT_EQUAL(state_devices_prune(fixture.store, 2000, 1, &left, &err), 8);
	CU_ASSERT_EQUAL(left, 2);
	fixture_close();
}

static void test_a_mailbox_with_too_many_loses_its_own(void)
{
	struct state_device_counts counts;
	struct error err;
	char id[16];

	fixture_open();
	report(amy, "hers", 1, 1);
	order(bob, "shut", DEVICE_BLOCKED);
	for (int i = 0; i < STATE_DEVICES_OF_MAILBOX + 20; i++) {
		snprintf(id, sizeof(id), "made%d", i);
		report(bob, id, 1, 1000 + i);
	}
	CU_ASSERT_EQUAL(state_devices_count(fixture.store, &counts, &err), 0);
	CU_ASSERT_EQUAL(counts.all, STATE_DEVICES_OF_MAILBOX + 1);
	CU_ASSERT_TRUE(is_known(amy, "hers"));
	CU_ASSERT_TRUE(is_known(bob, "shut"));
	CU_ASSERT_FALSE(is_known(bob, "made0"));
	fixture_close();
}

/* Ids are made up by who is to be put in quarantine; and what is in quarantine is never forgotten. */
static void test_what_a_rule_orders_does_not_fill_the_registry(void)
{
	const struct state_device_order in_full = {.mailbox = amy,
		.id = "made",
		.by = "rule strange",
		.reason = "",
		.state = DEVICE_QUARANTINED,
		.only_tightens = true,
		.is_full = true,
		.at = 1000};
	struct state_device before;
	struct error err;
	int64_t count;
	char id[16];

	fixture_open();
	report(bob, "phone", 1, 1);
	for (int i = 0; i < STATE_DEVICES_OF_MAILBOX + 20; i++) {
		snprintf(id, sizeof(id), "made%d", i);
		CU_ASSERT_EQUAL(order_at(bob, id, DEVICE_QUARANTINED, true, 1000),
			i < STATE_DEVICES_OF_MAILBOX);
	}
	CU_ASSERT_EQUAL(state_devices_count_rows(fixture.store, bob, &count, &err), 0);
	CU_ASSERT_EQUAL(count, STATE_DEVICES_OF_MAILBOX);
	/* What is known can be ordered, and an operator can order anything. */
	CU_ASSERT_EQUAL(order_at(bob, "made0", DEVICE_WIPE_ACCOUNT, true, 1001), 1);
	CU_ASSERT_EQUAL(order(bob, "shut", DEVICE_BLOCKED), 1);
	CU_ASSERT_EQUAL(state_devices_order(fixture.store, &in_full, &before, &err), 0);
	CU_ASSERT_FALSE(is_known(amy, "made"));
	fixture_close();
}

static void test_what_was_forgotten_is_not_asked_for_ever(void)
{
	struct error err;
	int64_t version;
	size_t left, count = 9;

	fixture_open();
	report(bob, "appl1", 1, 500);
	CU_ASSERT_EQUAL(state_devices_forget(fixture.store, bob, "appl1", 1000, &err), 1);
	CU_ASSERT_EQUAL(
		state_devices_prune(fixture.store, 1001 + STATE_DEVICE_ASK_S, 100, &left, &err), 0);
	close(state_devices_index(fixture.store, &version, &count, &err));
	CU_ASSERT_EQUAL(count, 0);
	fixture_close();
}

/* --- the layout of before --- */

/* As the version that kept users alone has written it. */
static const char layout_1[] =
	"PRAGMA application_id = 1161909072; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
	"CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT,"
	" WITHOUT ROWID;"
	"INSERT INTO counter VALUES ('opened', 41), ('users', 7);"
	"CREATE TABLE revoked_user (mailbox TEXT NOT NULL PRIMARY KEY, valid_from INTEGER NOT NULL,"
	" revoked_at INTEGER NOT NULL, user_id INTEGER NOT NULL, reason TEXT NOT NULL) STRICT,"
	" WITHOUT ROWID;"
	"INSERT INTO revoked_user VALUES ('bob@contoso.test', 5, 6, 7, 'phone lost');"
	"CREATE TABLE seen (id INTEGER PRIMARY KEY, leaf_sha256 BLOB NOT NULL UNIQUE, chain BLOB "
	"NOT"
	" NULL, mailbox TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
	" refusal TEXT NOT NULL, count INTEGER NOT NULL) STRICT;"
	"CREATE INDEX seen_by_mailbox ON seen (mailbox, last_seen);"
	"CREATE INDEX seen_by_time ON seen (last_seen);";

static void test_a_store_of_before_is_brought_up_to_date_with_all_that_is_in_it(void)
{
	struct state_user user;
	struct error err;
	int64_t version = 0;

	directory_open();
	tamper(layout_1);
	fixture.store = store_open();
	CU_ASSERT_FALSE(state_store_is_new(fixture.store));
	CU_ASSERT_EQUAL(state_users_find(fixture.store, bob, &user, &err), 1);
	CU_ASSERT_STRING_EQUAL(user.reason, "phone lost");
	CU_ASSERT_EQUAL(state_users_version(fixture.store, &version, &err), 0);
	CU_ASSERT_EQUAL(version, 7);
	report(bob, "appl1", 1, 500);
	order(bob, "appl1", DEVICE_BLOCKED);
	reopen();
	CU_ASSERT_EQUAL(device_of(bob, "appl1").state, DEVICE_BLOCKED);
	fixture_close();
}

/* A state that a later version may have, or that somebody has written by hand, lets nobody in. */
static void test_a_state_that_is_not_known_is_a_block(void)
{
	fixture_open();
	report(bob, "appl1", 1, 500);
	tamper("UPDATE device SET state = 'adored'");
	CU_ASSERT_EQUAL(device_of(bob, "appl1").state, DEVICE_BLOCKED);
	fixture_close();
}

static void test_a_damaged_registry_is_refused(void)
{
	struct error err = {""};
	struct stat st;
	char id[16], junk[4096];
	int fd;

	fixture_open();
	for (int i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "d%d", i);
		order(i % 2 == 0 ? bob : amy, id, DEVICE_BLOCKED);
	}
	state_store_close(fixture.store);
	fixture.store = NULL;
	tamper("PRAGMA wal_checkpoint(TRUNCATE)");
	memset(junk, 0x5a, sizeof(junk));
	fd = openat(fixture.fd, "state.db", O_RDWR | O_CLOEXEC);
	fstat(fd, &st);
	CU_ASSERT_EQUAL(pwrite(fd, junk, sizeof(junk), st.st_size - 4096), 4096);
	close(fd);
	CU_ASSERT_PTR_NULL(state_store_open(fixture.fd, fixture.directory, &err));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "restore it from a backup"));
	fixture_close();
}

/* --- kill -9 --- */

/* Blocks d0, d1, … until it is killed, and says so after each. */
static _Noreturn void block_for_ever(int acknowledge, int from)
{
	struct error err;
	struct state_device before;
	struct state_store *store = state_store_open(fixture.fd, fixture.directory, &err);

	for (int i = from; store != NULL; i++) {
		char id[16];
		const struct state_device_order blocked = {.mailbox = bob,
			.id = id,
			.by = "user 7",
			.reason = "",
			.state = DEVICE_BLOCKED,
			.at = 1};

		snprintf(id, sizeof(id), "d%d", i);
		if (state_devices_order(store, &blocked, &before, &err) == -1 ||
			write(acknowledge, &i, sizeof(i)) != sizeof(i))
			break;
	}
	_exit(1);
}

static void test_what_was_ordered_outlives_kill_9(void)
{
	int last = -1;

	fixture_open();
	for (int round = 0; round < 20 || (last <= 0 && round < 200); round++) {
		const struct timespec pause = {
			.tv_nsec = (round * 7919L % 23 + 1 + round / 20 * 20L) * 1000000};
		int pipe_fds[2], status, acknowledged;
		pid_t pid;

		if (pipe(pipe_fds) == -1)
			abort();
		pid = fork();
		if (pid == 0)
			block_for_ever(pipe_fds[1], last + 1);
		close(pipe_fds[1]);
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		CU_ASSERT_TRUE(WIFSIGNALED(status));
		while (read(pipe_fds[0], &acknowledged, sizeof(acknowledged)) ==
			sizeof(acknowledged))
			last = acknowledged;
		close(pipe_fds[0]);
	}
	CU_ASSERT_TRUE(last > 0);
	for (int i = 0; i <= last; i++) {
		char id[16];

		snprintf(id, sizeof(id), "d%d", i);
		CU_ASSERT_EQUAL(device_of(bob, id).state, DEVICE_BLOCKED);
	}
	fixture_close();
}

/* --- what is said is made fit to be kept --- */

static void test_what_nobody_can_read_is_not_kept(void)
{
	struct device_facts facts = facts_of(bob, "appl1", 1);
	char folded[EAS_DEVICE_ID_MAX + 1];

	strcpy(facts.user_agent, "a\tb\xff"
				 "c");
	strcpy(facts.model, "Mob\xc3\xa9");
	memset(facts.os, 'x', sizeof(facts.os));
	CU_ASSERT_TRUE(device_facts_clean(&facts));
	CU_ASSERT_STRING_EQUAL(facts.user_agent, "a?b?c");
	CU_ASSERT_STRING_EQUAL(facts.model, "Mob\xc3\xa9");
	CU_ASSERT_EQUAL(strlen(facts.os), DEVICE_TEXT_MAX);
	strcpy(facts.id, "APPL1");
	CU_ASSERT_FALSE(device_facts_clean(&facts));
	facts = facts_of("", "appl1", 1);
	CU_ASSERT_FALSE(device_facts_clean(&facts));
	facts = facts_of(bob, "", 1);
	CU_ASSERT_FALSE(device_facts_clean(&facts));
	device_id_fold("ApPL-9", folded);
	CU_ASSERT_STRING_EQUAL(folded, "appl-9");
}

int main(void)
{
	static const struct check checks[] = {
		{"a device that came is found after a restart",
			test_a_device_that_came_is_found_after_a_restart},
		{"what was said once is kept until another is said",
			test_what_was_said_once_is_kept_until_another_is_said},
		{"what is forgotten does not come back by a report where control decides",
			test_what_is_forgotten_does_not_come_back_by_a_report_where_control_decides},
		{"a registered device is known before it comes",
			test_a_registered_device_is_known_before_it_comes},
		{"a report changes neither a pinned certificate nor a state",
			test_a_report_changes_neither_a_pinned_certificate_nor_a_state},
		{"whose pinned certificate it is can be asked",
			test_whose_pinned_certificate_it_is_can_be_asked},
		{"an order is kept with who gave it, when and why",
			test_an_order_is_kept_with_who_gave_it_when_and_why},
		{"a device that never came can be ordered",
			test_a_device_that_never_came_can_be_ordered},
		{"a rule makes no device freer", test_a_rule_makes_no_device_freer},
		{"the way of a wipe is kept", test_the_way_of_a_wipe_is_kept},
		{"a late acknowledgement does not undo what was decided since",
			test_a_late_acknowledgement_does_not_undo_what_was_decided_since},
		{"what is forgotten is gone, and to be asked anew",
			test_what_is_forgotten_is_gone_and_to_be_asked_anew},
		{"the index holds what anything is held against",
			test_the_index_holds_what_anything_is_held_against},
		{"the numbers grow with what they count",
			test_the_numbers_grow_with_what_they_count},
		{"devices are listed in pages and by id",
			test_devices_are_listed_in_pages_and_by_id},
		{"only devices that can be used count for a mailbox",
			test_only_devices_that_can_be_used_count_for_a_mailbox},
		{"the oldest are forgotten first, and restricted ones never",
			test_the_oldest_are_forgotten_first_and_restricted_ones_never},
		{"a mailbox with too many loses its own",
			test_a_mailbox_with_too_many_loses_its_own},
		{"what a rule orders does not fill the registry",
			test_what_a_rule_orders_does_not_fill_the_registry},
		{"what was forgotten is not asked for ever",
			test_what_was_forgotten_is_not_asked_for_ever},
		{"a store of before is brought up to date with all that is in it",
			test_a_store_of_before_is_brought_up_to_date_with_all_that_is_in_it},
		{"a state that is not known is a block", test_a_state_that_is_not_known_is_a_block},
		{"a damaged registry is refused", test_a_damaged_registry_is_refused},
		{"what was ordered outlives kill -9", test_what_was_ordered_outlives_kill_9},
		{"what nobody can read is not kept", test_what_nobody_can_read_is_not_kept},
	};

	return check_run("proxy/state_devices", checks, sizeof(checks) / sizeof(checks[0]));
}
