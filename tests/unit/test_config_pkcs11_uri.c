#include <string.h>

#include "config/pkcs11_uri.h"
#include "tests/unit/check.h"

static struct pkcs11_uri uri;
static struct error err;

static void test_a_uri_as_tools_print_it_is_read(void)
{
	static const char text[] = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;"
				   "serial=fb107a65bbd6b001;token=Mail%3bgateway;slot-id=327;"
				   "id=%01%A0%00;object=issuer;type=private";

	CU_ASSERT_EQUAL_FATAL(pkcs11_uri_read(text, &uri, &err), 0);
	CU_ASSERT_STRING_EQUAL(uri.model, "SoftHSM v2");
	CU_ASSERT_STRING_EQUAL(uri.manufacturer, "SoftHSM project");
	CU_ASSERT_STRING_EQUAL(uri.serial, "fb107a65bbd6b001");
	CU_ASSERT_STRING_EQUAL(uri.token, "Mail;gateway");
	CU_ASSERT_STRING_EQUAL(uri.object, "issuer");
	CU_ASSERT_TRUE(uri.has_slot);
	CU_ASSERT_EQUAL(uri.slot, 327);
	CU_ASSERT_EQUAL_FATAL(uri.id_len, 3);
	CU_ASSERT_EQUAL(memcmp(uri.id, "\x01\xa0\x00", 3), 0);
}

static void test_what_is_not_said_is_any(void)
{
	CU_ASSERT_EQUAL_FATAL(
		pkcs11_uri_read("PKCS11:object=it's(mine)&@:+,~_-.!$*[]=", &uri, &err), 0);
	CU_ASSERT_STRING_EQUAL(uri.object, "it's(mine)&@:+,~_-.!$*[]=");
	CU_ASSERT_STRING_EQUAL(uri.token, "");
	CU_ASSERT_EQUAL(uri.id_len, 0);
	CU_ASSERT_FALSE(uri.has_slot);
}

static void test_a_value_is_as_long_as_its_field(void)
{
	CU_ASSERT_EQUAL_FATAL(
		pkcs11_uri_read("pkcs11:token=12345678901234567890123456789012", &uri, &err), 0);
	CU_ASSERT_STRING_EQUAL(uri.token, "12345678901234567890123456789012");
}

static void test_what_is_in_doubt_is_refused(void)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"", "begins with 'pkcs11:'"},
		{"file:/issuer.key", "begins with 'pkcs11:'"},
		{"pkcs11:", "something else"},
		{"pkcs11:object", "something else"},
		{"pkcs11:object=a;", "something else"},
		{"pkcs11:;object=a", "something else"},
		{"pkcs11:=a", "something else"},
		{"pkcs11:Object=a", "something else"},
		{"pkcs11:library-manufacturer=a", "something else"},
		{"pkcs11:x-own=a", "something else"},
		{"pkcs11:object=", "an empty 'object'"},
		{"pkcs11:id=", "an empty 'id'"},
		{"pkcs11:object=a;object=a", "'object' twice"},
		{"pkcs11:object=%4", "no two digits"},
		{"pkcs11:object=%", "no two digits"},
		{"pkcs11:object=%4g", "no two digits"},
		{"pkcs11:object=a b", "character in 'object'"},
		{"pkcs11:object=\xc3\xa9", "character in 'object'"},
		{"pkcs11:object=a/b", "character in 'object'"},
		{"pkcs11:object=a%00b", "a NUL in 'object'"},
		{"pkcs11:token=123456789012345678901234567890123", "longer than 32 octets"},
		{"pkcs11:serial=12345678901234567", "longer than 16 octets"},
		{"pkcs11:slot-id=one", "not a number"},
		{"pkcs11:slot-id=-1", "not a number"},
		{"pkcs11:slot-id=+1", "not a number"},
		{"pkcs11:slot-id=1x", "not a number"},
		{"pkcs11:type=cert", "not private"},
		{"pkcs11:type=private2", "not private"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(pkcs11_uri_read(cases[i].text, &uri, &err), -1);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].reason));
		if (strstr(err.text, cases[i].reason) == NULL)
			fprintf(stderr, "%s: %s\n", cases[i].text, err.text);
	}
}

static void test_a_pin_in_the_uri_is_refused_and_not_repeated(void)
{
	CU_ASSERT_EQUAL(pkcs11_uri_read("pkcs11:object=a?pin-value=9182", &uri, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "pin-file"));
	CU_ASSERT_PTR_NULL(strstr(err.text, "9182"));
	CU_ASSERT_EQUAL(pkcs11_uri_read("pkcs11:pin-value=9182", &uri, &err), -1);
	CU_ASSERT_PTR_NULL(strstr(err.text, "9182"));
}

int main(void)
{
	static const struct check checks[] = {
		{"a URI as tools print it is read", test_a_uri_as_tools_print_it_is_read},
		{"what is not said is any", test_what_is_not_said_is_any},
		{"a value is as long as its field", test_a_value_is_as_long_as_its_field},
		{"what is in doubt is refused", test_what_is_in_doubt_is_refused},
		{"a PIN in the URI is refused and not repeated",
			test_a_pin_in_the_uri_is_refused_and_not_repeated},
	};

	return check_run("config/pkcs11_uri", checks, sizeof(checks) / sizeof(checks[0]));
}
