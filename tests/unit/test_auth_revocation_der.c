#include <time.h>

#include "auth/revocation_der.h"
#include "check.h"

static void test_elements_are_read_strictly(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		int result;
		size_t value_len;
	} cases[] = {
		{"\x04\x00", 2, 0, 0}, {"\x04\x02zz", 4, 0, 2}, {"\x04\x02zzrest", 8, 0, 2},
		{"", 0, -1, 0}, {"\x04", 1, -1, 0}, {"\x04\x03zz", 4, -1, 0},
		{"\x30\x80\x00\x00", 4, -1, 0},             /* indefinite length */
		{"\x04\x81\x01z", 4, -1, 0},                /* not the shortest length */
		{"\x04\x82\x00\x80", 4, -1, 0},             /* the same */
		{"\x04\x84\xff\xff\xff\xff", 6, -1, 0},     /* longer than all there is */
		{"\x04\x85\x01\x00\x00\x00\x00", 7, -1, 0}, /* longer than we count */
		{"\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff", 10, -1, 0}, {"\x04\xff", 2, -1, 0},
		{"\x1f\x20\x00", 3, -1, 0}, /* a tag of two octets */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span input = span_of(cases[i].bytes, cases[i].len);
		struct der_item item;

		CU_ASSERT_EQUAL(der_next(&input, &item), cases[i].result);
		if (cases[i].result == 0) {
			CU_ASSERT_EQUAL(item.value.len, cases[i].value_len);
			CU_ASSERT_EQUAL(item.whole.len, cases[i].value_len + 2);
			CU_ASSERT_EQUAL(input.len, cases[i].len - item.whole.len);
		} else {
			CU_ASSERT_EQUAL(input.len, cases[i].len);
		}
	}
}

static int time_of(uint8_t tag, const char *text, int64_t *seconds)
{
	struct der_item item = {.tag = tag, .value = span_of_string(text)};

	return der_time(&item, seconds);
}

static void test_times_agree_with_the_c_library(void)
{
	for (int year = 1950; year <= 2500; year++) {
		for (int month = 1; month <= 12; month++) {
			struct tm tm = {.tm_year = year - 1900,
				.tm_mon = month - 1,
				.tm_mday = month == 2 ? 28 : 30,
				.tm_hour = 23,
				.tm_min = 59,
				.tm_sec = month};
			int64_t seconds = 0;
			char text[32];

			strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
			CU_ASSERT_EQUAL(time_of(DER_GENERALIZED_TIME, text, &seconds), 0);
			CU_ASSERT_EQUAL(seconds, timegm(&tm));
			if (year >= 2050)
				continue;
			CU_ASSERT_EQUAL(time_of(DER_UTC_TIME, text + 2, &seconds), 0);
			CU_ASSERT_EQUAL(seconds, timegm(&tm));
		}
	}
}

static void test_odd_times_are_refused(void)
{
	static const struct {
		int tag;
		int result;
		const char *text;
	} cases[] = {
		{DER_UTC_TIME, 0, "240229000000Z"},
		{DER_UTC_TIME, -1, "230229000000Z"},
		{DER_GENERALIZED_TIME, 0, "20000229000000Z"},
		{DER_GENERALIZED_TIME, -1, "21000229000000Z"},
		{DER_GENERALIZED_TIME, -1, "00000101000000Z"},
		{DER_UTC_TIME, -1, "241301000000Z"},
		{DER_UTC_TIME, -1, "240001000000Z"},
		{DER_UTC_TIME, -1, "240100000000Z"},
		{DER_UTC_TIME, -1, "240431000000Z"},
		{DER_UTC_TIME, -1, "240101240000Z"},
		{DER_UTC_TIME, -1, "240101006000Z"},
		{DER_UTC_TIME, -1, "240101000060Z"},
		{DER_UTC_TIME, -1, "2401010000Z"},
		{DER_UTC_TIME, -1, "240101000000+"},
		{DER_UTC_TIME, -1, "24010100000aZ"},
		{DER_UTC_TIME, -1, "-40101000000Z"},
		{DER_UTC_TIME, -1, "20240101000000Z"},
		{DER_GENERALIZED_TIME, -1, "240101000000Z"},
		{DER_GENERALIZED_TIME, -1, "20240101000000.5Z"},
		{DER_OCTET_STRING, -1, "240101000000Z"},
		{DER_UTC_TIME, -1, ""},
	};
	int64_t seconds;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(
			time_of((uint8_t)cases[i].tag, cases[i].text, &seconds), cases[i].result);
}

static void test_integers_are_aligned_and_sign_extended(void)
{
	static const struct {
		const char *value;
		size_t len;
		int result;
		const char *octets; /* of 4 */
	} cases[] = {
		{"\x05", 1, 0, "\x00\x00\x00\x05"},
		{"\x00\x80", 2, 0, "\x00\x00\x00\x80"},
		{"\x80", 1, 0, "\xff\xff\xff\x80"},
		{"\xff", 1, 0, "\xff\xff\xff\xff"},
		{"\x7f\xff\xff\xff", 4, 0, "\x7f\xff\xff\xff"},
		{"\x00\xff\xff\xff\xfe", 5, 0, "\xff\xff\xff\xfe"},
		{"\x01\xff\xff\xff\xfe", 5, -1, NULL},
		{"\x00\xff\xff\xff\xff\xff", 6, -1, NULL},
		{"", 0, -1, NULL},
		{"\x00\x05", 2, -1, NULL},
		{"\xff\x80", 2, -1, NULL},
	};
	uint8_t octets[4];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(
			der_integer(span_of(cases[i].value, cases[i].len), octets, sizeof(octets)),
			cases[i].result);
		if (cases[i].result == 0)
			CU_ASSERT_EQUAL(memcmp(octets, cases[i].octets, sizeof(octets)), 0);
	}
}

static void test_booleans_default_to_false(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		int result;
		bool value;
	} cases[] = {
		{"", 0, 0, false},
		{"\x04\x00", 2, 0, false},
		{"\x01\x01\xff", 3, 0, true},
		{"\x01\x01\x00", 3, 0, false},
		{"\x01\x01\x01", 3, -1, false},
		{"\x01\x00", 2, -1, false},
		{"\x01\x02\xff\xff", 4, -1, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span input = span_of(cases[i].bytes, cases[i].len);
		bool value = true;

		CU_ASSERT_EQUAL(der_boolean(&input, &value), cases[i].result);
		CU_ASSERT_EQUAL(value, cases[i].value);
	}
}

int main(void)
{
	static const struct check checks[] = {
		{"elements are read strictly", test_elements_are_read_strictly},
		{"times agree with the C library", test_times_agree_with_the_c_library},
		{"odd times are refused", test_odd_times_are_refused},
		{"integers are aligned and sign-extended",
			test_integers_are_aligned_and_sign_extended},
		{"booleans default to false", test_booleans_default_to_false},
	};

	return check_run("auth/revocation_der", checks, sizeof(checks) / sizeof(checks[0]));
}
