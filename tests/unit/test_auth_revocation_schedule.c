#include "auth/revocation_schedule.h"
#include "check.h"

enum { NOW = 1800000000, MINUTE = 60, HOUR = 3600, DAY = 86400 };

static const struct config_revocation config = {.refresh_ms = 7 * DAY * 1000u, .retry_ms = 60000};
static const struct config_revocation hourly = {.refresh_ms = HOUR * 1000u, .retry_ms = 60000};

static int64_t wait_s(const struct config_revocation *with, const struct revocation_times *times,
	int64_t now, uint64_t random)
{
	return (int64_t)(revocation_wait_ms(with, times, now, random) / 1000);
}

static void test_the_next_crl_is_looked_for_ahead_of_next_update(void)
{
	static const struct {
		int validity, margin;
	} cases[] = {{DAY, HOUR}, {10 * DAY / 2, HOUR}, {5 * HOUR, HOUR / 2},
		{30 * MINUTE, 3 * MINUTE}, {6 * MINUTE, MINUTE}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct revocation_times times = {
			.this_update = NOW, .next_update = NOW + cases[i].validity};

		CU_ASSERT_EQUAL(
			wait_s(&config, &times, NOW, 0), cases[i].validity - cases[i].margin);
	}
}

static void test_a_crl_that_is_good_for_seconds_is_looked_for_at_half_of_them(void)
{
	static const struct config_revocation quick = {.refresh_ms = 3600000, .retry_ms = 200};
	const struct revocation_times times = {.this_update = NOW, .next_update = NOW + 10};

	CU_ASSERT_EQUAL(wait_s(&quick, &times, NOW, 0), 5);
}

static void test_refresh_and_retry_bound_the_wait(void)
{
	const struct revocation_times times = {.this_update = NOW - DAY, .next_update = NOW + DAY};

	CU_ASSERT_EQUAL(wait_s(&hourly, &times, NOW, 0), HOUR);
	CU_ASSERT_EQUAL(wait_s(&config, &times, NOW + DAY - 2 * MINUTE, 0), MINUTE);
	CU_ASSERT_EQUAL(wait_s(&config, &times, NOW + 100 * DAY, 0), MINUTE);
}

static void test_what_is_published_early_is_looked_for_when_it_is_there(void)
{
	const struct revocation_times times = {
		.this_update = NOW, .next_update = NOW + 7 * DAY, .next_publish = NOW + 6 * DAY};
	int64_t latest = 0;

	CU_ASSERT_EQUAL(wait_s(&config, &times, NOW, 0), 6 * DAY + 1);
	for (uint64_t random = 0; random < 100000; random += 7) {
		int64_t wait = wait_s(&config, &times, NOW, random);

		CU_ASSERT(wait > 6L * DAY);
		latest = wait > latest ? wait : latest;
	}
	CU_ASSERT(latest > 6 * DAY + HOUR / 4 && latest <= 6 * DAY + HOUR / 2 + 1);
	/* Announced, but late: as nextUpdate asks for. */
	CU_ASSERT_EQUAL(wait_s(&config, &times, NOW + 6 * DAY + 1, 0), DAY - HOUR - 1);
	CU_ASSERT_EQUAL(wait_s(&hourly, &times, NOW, 0), HOUR);
}

/* An extension may say anything. */
static void test_a_next_publish_that_makes_no_sense_is_not_followed(void)
{
	static const int64_t nonsense[] = {1, NOW - 1, NOW + 2 * DAY, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		const struct revocation_times times = {
			.this_update = NOW, .next_update = NOW + DAY, .next_publish = nonsense[i]};

		CU_ASSERT_EQUAL(wait_s(&config, &times, NOW, 0), DAY - HOUR);
	}
}

static void test_waits_are_spread_but_never_longer(void)
{
	const struct revocation_times times = {.this_update = NOW, .next_update = NOW + DAY};
	int64_t shortest = INT64_MAX;

	for (uint64_t random = 0; random < 100000000; random += 9973) {
		int64_t wait = wait_s(&config, &times, NOW, random);

		CU_ASSERT(wait <= DAY - HOUR);
		shortest = wait < shortest ? wait : shortest;
	}
	CU_ASSERT(shortest >= (DAY - HOUR) / 10 * 9L);
	CU_ASSERT(shortest < (DAY - HOUR) / 10 * 9 + MINUTE);
}

static void test_failures_wait_longer_each_up_to_a_bound(void)
{
	static const uint64_t minutes[] = {1, 2, 4, 8, 16, 16, 16};
	static const struct config_revocation tight = {.refresh_ms = 150000, .retry_ms = 60000};
	static const struct config_revocation odd = {.refresh_ms = 1000, .retry_ms = 60000};

	for (uint32_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++)
		CU_ASSERT_EQUAL(revocation_backoff_ms(&config, i + 1, 0), minutes[i] * 60000);
	CU_ASSERT_EQUAL(revocation_backoff_ms(&config, UINT32_MAX, 0), 16 * UINT64_C(60000));
	CU_ASSERT_EQUAL(revocation_backoff_ms(&tight, 9, 0), 150000);
	CU_ASSERT_EQUAL(revocation_backoff_ms(&odd, 1, 0), 60000);
	for (uint64_t random = 0; random < 100000; random += 13) {
		uint64_t wait_ms = revocation_backoff_ms(&config, 1, random);

		CU_ASSERT(wait_ms >= 54000 && wait_ms <= 60000);
	}
}

int main(void)
{
	static const struct check checks[] = {
		{"the next CRL is looked for ahead of nextUpdate",
			test_the_next_crl_is_looked_for_ahead_of_next_update},
		{"a CRL that is good for seconds is looked for at half of them",
			test_a_crl_that_is_good_for_seconds_is_looked_for_at_half_of_them},
		{"refresh and retry bound the wait", test_refresh_and_retry_bound_the_wait},
		{"what is published early is looked for when it is there",
			test_what_is_published_early_is_looked_for_when_it_is_there},
		{"a Next Publish that makes no sense is not followed",
			test_a_next_publish_that_makes_no_sense_is_not_followed},
		{"waits are spread, but never longer", test_waits_are_spread_but_never_longer},
		{"failures wait longer each, up to a bound",
			test_failures_wait_longer_each_up_to_a_bound},
	};

	return check_run("auth/revocation_schedule", checks, sizeof(checks) / sizeof(checks[0]));
}
