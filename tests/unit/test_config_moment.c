#include <string.h>

#include "config/moment.h"
#include "tests/unit/check.h"

static const struct {
	const char *text;
	int64_t moment;
	const char *again; /* how it is written; NULL: the same */
} moments[] = {
	{"1970-01-01T00:00:00Z", 0, NULL},
	{"2026-12-31T23:59:59Z", 1798761599, NULL},
	{"2024-02-29T12:00:00Z", 1709208000, NULL},
	{"2024-02-29T12:00Z", 1709208000, "2024-02-29T12:00:00Z"},
	{"2024-02-29", 1709164800, "2024-02-29T00:00:00Z"},
	{"2024-02-29T12:00:00+01:30", 1709202600, "2024-02-29T10:30:00Z"},
	{"2024-02-29T12:00:00-08:00", 1709236800, "2024-02-29T20:00:00Z"},
	{"9999-12-31T23:59:59Z", INT64_C(253402300799), NULL},
};

static void test_moments_are_read_and_written(void)
{
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		char text[MOMENT_TEXT_SIZE];
		int64_t moment = -1;
		struct error err = {""};

		CU_ASSERT_EQUAL(moment_read(moments[i].text, &moment, &err), 0);
		CU_ASSERT_EQUAL(moment, moments[i].moment);
		moment_write(moment, text);
		CU_ASSERT_STRING_EQUAL(
			text, moments[i].again != NULL ? moments[i].again : moments[i].text);
	}
}

static void test_what_is_no_moment_is_refused(void)
{
	static const char *const texts[] = {"", "tomorrow", "2026", "2026-12", "2026-13-01",
		"2026-02-29", "2026-00-10", "2026-01-00", "2026-04-31", "2026-12-31T24:00:00Z",
		"2026-12-31T23:60:00Z", "2026-12-31T23:59:60Z", "2026-12-31T23:59:59",
		"2026-12-31 23:59:59Z", "2026-12-31T23:59:59z", "2026-12-31T23:59:59Z ",
		" 2026-12-31", "2026-12-31T23:59:59+1:00", "2026-12-31T23:59:59+15:00",
		"2026-12-31T23Z", "26-12-31", "+2026-12-31", "2026-12-3\xd9\xa1", "1969-12-31",
		"1970-01-01T00:00:00+01:00", "20261231T235959Z"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int64_t moment = -1;
		struct error err = {""};

		if (moment_read(texts[i], &moment, &err) != -1)
			fprintf(stderr, "taken: %s\n", texts[i]);
		CU_ASSERT_EQUAL(moment, -1);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not a moment; write"));
	}
}

static const struct check checks[] = {
	{"moments are read and written", test_moments_are_read_and_written},
	{"what is no moment is refused", test_what_is_no_moment_is_refused},
};

int main(void)
{
	return check_run("config/moment", checks, sizeof(checks) / sizeof(checks[0]));
}
