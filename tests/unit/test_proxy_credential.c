#include <stdlib.h>
#include <string.h>

#include "proxy/credential.h"
#include "tests/unit/check.h"
#include "tests/unit/credential_maker.h"

static void test_it_keeps_what_has_to_be_looked_at_again(void)
{
	struct verdict *verdict = calloc(1, sizeof(*verdict));
	struct identity_names names;
	struct credential *credential;
	struct verdict_links links;

	verdict->not_before = 1;
	verdict->not_after = 2;
	verdict->rules = 5;
	verdict->link_count = 2;
	verdict->links[0].authority = 7;
	verdict->links[1].is_ca = true;
	memset(verdict->links[1].serial.octets, 9, sizeof(verdict->links[1].serial.octets));
	verdict->point_count = 2;
	verdict->points[1].link = 1;
	verdict->points[1].reasons = REVOCATION_REASONS_ALL;
	strcpy(verdict->issuer, "CN=CA");
	identity_names_add(&verdict->names, IDENTITY_RFC822_NAME, span_of_string("a@example.com"));
	identity_names_add(&verdict->names, IDENTITY_SUBJECT, span_of_string("CN=Alice"));
	identity_names_add(&verdict->names, IDENTITY_PRINCIPAL_NAME, span_of_string(""));
	credential = credential_made(
		verdict, 1U << IDENTITY_RFC822_NAME | 1U << IDENTITY_PRINCIPAL_NAME);
	CU_ASSERT_PTR_NOT_NULL_FATAL(credential);
	links = credential_links(credential);
	CU_ASSERT_EQUAL(links.not_before, 1);
	CU_ASSERT_EQUAL(links.not_after, 2);
	CU_ASSERT_EQUAL(accepted_rules(credential->accepted), 5);
	CU_ASSERT_EQUAL_FATAL(links.count, 2);
	CU_ASSERT_EQUAL(verdict_link_at(&links, 0)->authority, 7);
	CU_ASSERT_TRUE(verdict_link_at(&links, 1)->is_ca);
	CU_ASSERT_EQUAL(verdict_link_at(&links, 1)->serial.octets[19], 9);
	CU_ASSERT_EQUAL_FATAL(links.point_count, 2);
	CU_ASSERT_EQUAL(links.points[1].link, 1);
	CU_ASSERT_EQUAL(links.points[1].reasons, REVOCATION_REASONS_ALL);
	CU_ASSERT_STRING_EQUAL(credential_issuer(credential), "CN=CA");
	/* Nothing of it is the verdict's. */
	free(verdict);
	CU_ASSERT_EQUAL(credential_set_mailbox(credential, "alice@example.com"), 0);
	CU_ASSERT_STRING_EQUAL(credential->mailbox, "alice@example.com");
	/* The directory may have to be asked again, and only for names that count. */
	identity_names_unpack(credential->accepted->names, &names);
	CU_ASSERT_EQUAL_FATAL(names.count, 2);
	CU_ASSERT_EQUAL(names.names[0].kind, IDENTITY_RFC822_NAME);
	CU_ASSERT_STRING_EQUAL(identity_names_text(&names, 0), "a@example.com");
	CU_ASSERT_EQUAL(names.names[1].kind, IDENTITY_PRINCIPAL_NAME);
	CU_ASSERT_STRING_EQUAL(identity_names_text(&names, 1), "");
	CU_ASSERT_EQUAL(verdict_link_at(&links, 0)->authority, 7);
	credential_free(credential);
	credential_free(NULL);
}

static void test_it_is_judged_again_like_the_verdict(void)
{
	struct verdict *verdict = calloc(1, sizeof(*verdict));
	const struct trust_store store = {0};
	const struct revocation_set set = {0};
	struct credential *credential;
	struct verdict_links links;

	verdict->not_before = 100;
	verdict->not_after = 200;
	verdict->link_count = 1;
	verdict->links[0].authority = -1;
	credential = credential_made(verdict, UINT32_MAX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(credential);
	links = credential_links(credential);
	for (int64_t now = 99; now <= 201; now += 51)
		CU_ASSERT_EQUAL(verdict_links_check(&links, &store, &set, now),
			verdict_check(verdict, &store, &set, now));
	CU_ASSERT_EQUAL(verdict_links_check(&links, &store, &set, 150), REFUSAL_NONE);
	credential_free(credential);
	free(verdict);
}

static const struct check checks[] = {
	{"it keeps what has to be looked at again", test_it_keeps_what_has_to_be_looked_at_again},
	{"it is judged again like the verdict", test_it_is_judged_again_like_the_verdict},
};

int main(void)
{
	return check_run("proxy/credential", checks, sizeof(checks) / sizeof(checks[0]));
}
