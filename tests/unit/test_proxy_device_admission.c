#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include "proxy/device_admission.h"

static const char bob[] = "bob@contoso.test";

/* A certificate is a number, and was issued in that second. */
static struct device_facts facts_of(const char *id, uint8_t certificate, const char *issuer)
{
	struct device_facts facts = {.not_before = certificate};

	snprintf(facts.mailbox, sizeof(facts.mailbox), "%s", bob);
	snprintf(facts.id, sizeof(facts.id), "%s", id);
	snprintf(facts.issuer, sizeof(facts.issuer), "%s", issuer);
	memset(facts.leaf_sha256, certificate, sizeof(facts.leaf_sha256));
	return facts;
}

static const struct row {
	const char *what;
	enum config_binding binding;
	bool has_renewal_off;
	enum config_new_device fresh;
	uint32_t per_mailbox;

	/* What is known: the device's pinned certificate (0: none is pinned), its state, if it is known at all,
	 * and to whom the certificate that it comes with, the second, is pinned. */
	bool is_known;
	uint8_t pinned;
	bool is_full;
	enum device_state state;
	const char *holder;
	int64_t count;
	const char *issuer; /* of the certificate that it comes with; NULL: the same */

	enum refusal refusal;
	enum device_step step;
	enum device_state made;
	bool pins;
} rows[] = {
	{.what = "off: a new one is made, unbound", .step = DEVICE_STEP_MAKE},
	{.what = "off: a known one", .is_known = true, .pinned = 1},
	{.what = "off: a certificate of another", .holder = "other", .step = DEVICE_STEP_MAKE},
	{.what = "new devices in quarantine",
		.fresh = CONFIG_NEW_DEVICE_QUARANTINE,
		.step = DEVICE_STEP_MAKE,
		.made = DEVICE_QUARANTINED},
	{.what = "new devices blocked",
		.fresh = CONFIG_NEW_DEVICE_BLOCK,
		.step = DEVICE_STEP_MAKE,
		.made = DEVICE_BLOCKED},
	{.what = "known devices do not count as new",
		.fresh = CONFIG_NEW_DEVICE_BLOCK,
		.per_mailbox = 1,
		.count = 7,
		.is_known = true},
	{.what = "room for one more", .per_mailbox = 2, .count = 1, .step = DEVICE_STEP_MAKE},
	{.what = "one too many", .per_mailbox = 2, .count = 2, .refusal = REFUSAL_DEVICE_QUOTA},
	{.what = "no bound, and a bound all the same",
		.count = STATE_DEVICES_OF_MAILBOX,
		.refusal = REFUSAL_DEVICE_QUOTA},
	{.what = "a full registry", .is_full = true, .refusal = REFUSAL_DEVICE_UNAVAILABLE},
	{.what = "a full registry lets known ones in", .is_full = true, .is_known = true},

	{.what = "first use: a new one is bound",
		.binding = CONFIG_BINDING_FIRST_USE,
		.step = DEVICE_STEP_MAKE,
		.pins = true},
	{.what = "first use: in quarantine, and bound",
		.binding = CONFIG_BINDING_FIRST_USE,
		.fresh = CONFIG_NEW_DEVICE_QUARANTINE,
		.step = DEVICE_STEP_MAKE,
		.made = DEVICE_QUARANTINED,
		.pins = true},
	{.what = "first use: one that came while binding was off",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.step = DEVICE_STEP_PIN},
	{.what = "first use: one that came while binding was off, with the certificate of another",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.holder = "other",
		.refusal = REFUSAL_DEVICE_SECOND},
	{.what = "first use: the certificate that it is bound to",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.pinned = 2,
		.holder = "this"},
	{.what = "first use: a second device with one certificate",
		.binding = CONFIG_BINDING_FIRST_USE,
		.holder = "other",
		.refusal = REFUSAL_DEVICE_SECOND},
	{.what = "the next certificate",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.pinned = 1,
		.step = DEVICE_STEP_RENEW},
	{.what = "the next certificate, of another issuer",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.pinned = 1,
		.issuer = "CN=Another",
		.refusal = REFUSAL_DEVICE_CERTIFICATE},
	{.what = "an earlier certificate",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.pinned = 3,
		.refusal = REFUSAL_DEVICE_CERTIFICATE},
	{.what = "the next certificate, which another device has",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.pinned = 1,
		.holder = "other",
		.refusal = REFUSAL_DEVICE_SECOND},
	{.what = "the next certificate, where renewal is off",
		.binding = CONFIG_BINDING_FIRST_USE,
		.has_renewal_off = true,
		.is_known = true,
		.pinned = 1,
		.refusal = REFUSAL_DEVICE_CERTIFICATE},
	{.what = "a device that is to be wiped, with whatever certificate",
		.binding = CONFIG_BINDING_FIRST_USE,
		.is_known = true,
		.pinned = 3,
		.state = DEVICE_WIPE_ALL},

	{.what = "registered: one that is not",
		.binding = CONFIG_BINDING_REGISTERED,
		.refusal = REFUSAL_DEVICE_UNKNOWN},
	{.what = "registered: its first certificate",
		.binding = CONFIG_BINDING_REGISTERED,
		.is_known = true,
		.step = DEVICE_STEP_PIN},
	{.what = "registered: the same again",
		.binding = CONFIG_BINDING_REGISTERED,
		.is_known = true,
		.pinned = 2,
		.holder = "this"},
	{.what = "registered: the next certificate",
		.binding = CONFIG_BINDING_REGISTERED,
		.is_known = true,
		.pinned = 1,
		.step = DEVICE_STEP_RENEW},
};

static void check_row(const struct row *row)
{
	static const char issuer[] = "CN=Contoso Issuing CA";
	const struct config_devices config = {.binding = row->binding,
		.renewal = !row->has_renewal_off,
		.fresh = row->fresh,
		.per_mailbox = row->per_mailbox};
	const struct device_facts facts =
		facts_of("this", 2, row->issuer != NULL ? row->issuer : issuer);
	const struct state_device known = {.facts = facts_of("this", row->pinned, issuer),
		.is_pinned = row->pinned != 0,
		.state = row->state};
	const struct state_device holder = {
		.facts = facts_of(row->holder != NULL ? row->holder : "", 2, issuer),
		.is_pinned = true};
	const struct device_case asked = {.facts = &facts,
		.known = row->is_known ? &known : NULL,
		.holder = row->holder != NULL ? &holder : NULL,
		.mailbox_count = row->count,
		.is_full = row->is_full};
	const struct device_verdict verdict = device_admission_judge(&config, &asked);

	if (verdict.refusal != row->refusal || verdict.step != row->step ||
		verdict.state != row->made || verdict.pins != row->pins)
		fprintf(stderr, "%s\n", row->what);
	CU_ASSERT_EQUAL(verdict.refusal, row->refusal);
	CU_ASSERT_EQUAL(verdict.step, row->step);
	CU_ASSERT_EQUAL(verdict.state, row->made);
	CU_ASSERT_EQUAL(verdict.pins, row->pins);
	CU_ASSERT_EQUAL(verdict.reason != NULL, verdict.refusal != REFUSAL_NONE);
}

static void test_every_case_is_decided_as_the_manual_says(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static void test_workers_ask_where_anything_depends_on_it(void)
{
	struct config_devices config = {0};

	CU_ASSERT_FALSE(device_admission_is_needed(&config));
	config.binding = CONFIG_BINDING_FIRST_USE;
	CU_ASSERT_TRUE(device_admission_is_needed(&config));
	config = (struct config_devices){.per_mailbox = 1};
	CU_ASSERT_TRUE(device_admission_is_needed(&config));
	config = (struct config_devices){.fresh = CONFIG_NEW_DEVICE_QUARANTINE};
	CU_ASSERT_TRUE(device_admission_is_needed(&config));
}

int main(void)
{
	static const struct check checks[] = {
		{"every case is decided as the manual says",
			test_every_case_is_decided_as_the_manual_says},
		{"workers ask where anything depends on it",
			test_workers_ask_where_anything_depends_on_it},
	};

	return check_run("proxy/device_admission", checks, sizeof(checks) / sizeof(checks[0]));
}
