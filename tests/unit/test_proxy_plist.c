/* Property lists and what is told of profiles. */
#include <stdlib.h>
#include <string.h>

#include "proxy/plist.h"
#include "proxy/profile_keys.h"
#include "proxy/profile_lint.h"
#include "proxy/profile_write.h"
#include "tests/unit/check.h"

#define HEAD                                                                                       \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD "      \
	"PLIST "                                                                                   \
	"1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"

static struct plist *read_text(const char *text)
{
	struct error err = {""};
	struct plist *root = plist_read(span_of_string(text), &err);

	CU_ASSERT_EQUAL(root == NULL, err.text[0] != '\0');
	return root;
}

static void test_values_of_all_kinds(void)
{
	struct plist *root = read_text(
		HEAD "<plist version=\"1.0\">\n<dict>\n<key>s</key><string> a &amp; b </string>\n"
		     "<key>e</key><string/><key>i</key><integer>-42</integer>"
		     "<key>t</key><true/><key>f</key><false></false>\n"
		     "<key>d</key><data>\n\taGVs\n\tbG8=\n</data><key>r</key><real>1.5</real>"
		     "<key>w</key><date>2026-01-01T00:00:00Z</date>"
		     "<key>a</key><array><string>x</string><dict/></array></dict></plist>");
	const struct plist *array;

	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	CU_ASSERT_STRING_EQUAL(plist_text(root, "s"), " a & b ");
	CU_ASSERT_STRING_EQUAL(plist_text(root, "e"), "");
	CU_ASSERT_EQUAL(plist_get(root, "i")->number, -42);
	CU_ASSERT_EQUAL(plist_get(root, "t")->number, 1);
	CU_ASSERT_EQUAL(plist_get(root, "f")->number, 0);
	CU_ASSERT_EQUAL(plist_get(root, "f")->kind, PLIST_BOOLEAN);
	CU_ASSERT_EQUAL(plist_get(root, "d")->len, 5);
	CU_ASSERT_EQUAL(memcmp(plist_get(root, "d")->bytes, "hello", 5), 0);
	CU_ASSERT_EQUAL(plist_get(root, "w")->kind, PLIST_DATE);
	CU_ASSERT_PTR_NULL(plist_get(root, "x"));
	CU_ASSERT_PTR_NULL(plist_text(root, "i"));
	array = plist_get(root, "a");
	CU_ASSERT_EQUAL(array->kind, PLIST_ARRAY);
	CU_ASSERT_STRING_EQUAL((const char *)array->first->bytes, "x");
	CU_ASSERT_EQUAL(array->last->kind, PLIST_DICT);
	CU_ASSERT_PTR_NULL(plist_get(array, "x"));
	plist_free(root);
}

static void test_what_is_no_property_list(void)
{
	static const char *const texts[] = {
		"",
		"<plist/>",
		"<dict/>",
		"<plist><true/><true/></plist>",
		"<plist><plist><true/></plist></plist>",
		"<plist>text</plist>",
		"<plist><dict>text</dict></plist>",
		"<plist><dict><key>a</key></dict></plist>",
		"<plist><dict><key>a</key><key>b</key><true/></dict></plist>",
		"<plist><dict><true/></dict></plist>",
		"<plist><array><key>a</key></array></plist>",
		"<plist><key>a</key></plist>",
		"<plist><dict><key>a</key><true/><key>a</key><true/></dict></plist>",
		"<plist><string>a<true/></string></plist>",
		"<plist><integer>1.5</integer></plist>",
		"<plist><integer>1234567890123456789</integer></plist>",
		"<plist><data>a</data></plist>",
		"<plist><set/></plist>",
		"<!DOCTYPE plist [<!ENTITY a \"b\">]><plist><string>&a;</string></plist>",
		"<!DOCTYPE plist [<!ELEMENT plist ANY>]><plist><true/></plist>",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct plist *root = read_text(texts[i]);

		if (root != NULL)
			printf("\n%s", texts[i]);
		CU_ASSERT_PTR_NULL(root);
		plist_free(root);
	}
}

static unsigned int problems, warnings, identities, authorities;

static void count(void *context, enum profile_grade grade, const char *text)
{
	(void)context;
	problems += grade == PROFILE_PROBLEM;
	warnings += grade == PROFILE_WARNING;
	if (grade != PROFILE_NOTE)
		printf("\n%s", text);
}

static void on_identity(
	void *context, struct span pkcs12, const char *password, const char *address)
{
	(void)context;
	identities++;
	CU_ASSERT_TRUE(span_equal(pkcs12, span_of_string("not looked at")));
	CU_ASSERT_STRING_EQUAL(password, "p & q");
	CU_ASSERT_STRING_EQUAL(address, "bob@contoso.test");
}

static void on_authority(void *context, struct span content)
{
	(void)context;
	authorities++;
	CU_ASSERT_TRUE(span_equal(content, span_of_string("CA")));
}

static void test_what_is_written_is_found_good(void)
{
	static const struct span list[] = {{(const uint8_t *)"CA", 2}, {(const uint8_t *)"CA", 2}};
	static const bool is_root[] = {true, false};
	const struct profile_content content = {.mailbox = "bob@contoso.test",
		.host = "phones.test:444",
		.organization = "A & B",
		.pkcs12 = span_of_string("not looked at"),
		.password = "p & q",
		.authority_count = 2,
		.authorities = list,
		.authority_is_root = is_root};
	const struct profile_lint lint = {.report = {count, NULL},
		.host = "PHONES.test:444",
		.identity = on_identity,
		.authority = on_authority};
	struct wbxml_buffer out = {.limit = 65536}, again = {.limit = 65536};
	struct error err;

	CU_ASSERT_EQUAL_FATAL(profile_write(&content, &out, &err), 0);
	CU_ASSERT_EQUAL_FATAL(profile_write(&content, &again, &err), 0);
	CU_ASSERT_TRUE(span_equal(span_of(out.data, out.len), span_of(again.data, again.len)));
	problems = warnings = identities = authorities = 0;
	CU_ASSERT_EQUAL(profile_lint(span_of(out.data, out.len), &lint, &err), 0);
	CU_ASSERT_EQUAL(problems, 0);
	CU_ASSERT_EQUAL(warnings, 1); /* the password in it */
	CU_ASSERT_EQUAL(identities, 1);
	CU_ASSERT_EQUAL(authorities, 2);
	wbxml_buffer_free(&out);
	wbxml_buffer_free(&again);
}

static void test_keys_are_known_by_their_payload(void)
{
	CU_ASSERT_PTR_NOT_NULL(profile_key_find("com.apple.eas.account", "Host"));
	CU_ASSERT_PTR_NOT_NULL(profile_key_find("anything", "PayloadUUID"));
	CU_ASSERT_PTR_NULL(profile_key_find("com.apple.security.pkcs12", "Host"));
	CU_ASSERT_EQUAL(
		profile_key_find("com.apple.security.pkcs12", "Password")->need, PROFILE_SECRET);
	CU_ASSERT_TRUE(profile_payload_is_known("com.apple.security.root"));
	CU_ASSERT_FALSE(profile_payload_is_known("com.apple.wifi.managed"));
	/* No key stands twice for a payload. */
	for (size_t i = 0; i < profile_key_count; i++)
		CU_ASSERT_PTR_EQUAL(profile_key_find(profile_keys[i].payload, profile_keys[i].key),
			&profile_keys[i]);
}

static const struct check checks[] = {
	{"values of all kinds", test_values_of_all_kinds},
	{"what is no property list", test_what_is_no_property_list},
	{"what is written is found good", test_what_is_written_is_found_good},
	{"keys are known by their payload", test_keys_are_known_by_their_payload},
};

int main(void)
{
	return check_run("proxy/plist", checks, sizeof(checks) / sizeof(checks[0]));
}
