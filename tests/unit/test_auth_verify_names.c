#include <openssl/x509v3.h>
#include <string.h>

#include "auth/verify_names.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

#define UPN     "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:"
#define MAILBOX "otherName:1.3.6.1.5.5.7.8.9;UTF8:"

static struct pki root;

/* Names below one CA with constraints; both as in openssl.cnf. fault: words that are to be said, NULL:
 * none. */
struct name_case {
	const char *constraints;
	const char *names;
	const char *fault;
};

static const char *judge(const struct name_case *c)
{
	struct pki ca = pki_make((struct pki_spec){.name = "CA",
		.issuer = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.name_constraints = c->constraints});
	struct pki_spec spec = pki_phone(&ca);
	STACK_OF(X509) *chain = sk_X509_new_null();
	const char *fault;
	struct pki leaf;
	int depth = -1;

	spec.san = c->names;
	leaf = pki_make(spec);
	sk_X509_push(chain, leaf.certificate);
	sk_X509_push(chain, ca.certificate);
	sk_X509_push(chain, root.certificate);
	for (int i = 0; i < 3; i++)
		X509_check_purpose(sk_X509_value(chain, i), -1, 0);
	fault = verify_names_check(chain, &depth);
	if (fault != NULL)
		CU_ASSERT_EQUAL(depth, 0);
	sk_X509_free(chain);
	pki_free(&leaf);
	pki_free(&ca);
	return fault;
}

static void check_cases(const struct name_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *fault = judge(&cases[i]);
		bool is_as_expected =
			cases[i].fault == NULL
				? fault == NULL
				: fault != NULL && strstr(fault, cases[i].fault) != NULL;

		if (!is_as_expected)
			fprintf(stderr, "%s under %s: %s\n", cases[i].names, cases[i].constraints,
				fault != NULL ? fault : "nothing");
		CU_ASSERT_TRUE(is_as_expected);
	}
}

static void test_principal_names_are_permitted(void)
{
	static const struct name_case cases[] = {
		{"permitted;" UPN "example.com", UPN "alice@example.com", NULL},
		{"permitted;" UPN "@example.com", UPN "alice@example.com", NULL},
		{"permitted;" UPN "example.com", UPN "alice@EXAMPLE.com", NULL},
		{"permitted;" UPN "example.com", UPN "alice@mail.example.com", "not permit"},
		{"permitted;" UPN "example.com", UPN "alice@badexample.com", "not permit"},
		{"permitted;" UPN ".example.com", UPN "alice@mail.example.com", NULL},
		{"permitted;" UPN ".example.com", UPN "alice@a.b.example.com", NULL},
		{"permitted;" UPN ".example.com", UPN "alice@example.com", "not permit"},
		{"permitted;" UPN "alice@example.com", UPN "Alice@example.com", NULL},
		{"permitted;" UPN "alice@example.com", UPN "bob@example.com", "not permit"},
		{"permitted;" UPN "example.com,permitted;" UPN "example.net",
			UPN "alice@example.net", NULL},
		/* Every one of the names counts. */
		{"permitted;" UPN "example.com", UPN "a@example.com," UPN "a@example.net",
			"not permit"},
		/* A constraint speaks of names of its own form. */
		{"permitted;" UPN "example.com", "email:alice@example.net", NULL},
		{"permitted;" UPN "example.com", NULL, NULL},
		{"permitted;email:example.com", UPN "alice@example.net", NULL},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_principal_names_are_excluded(void)
{
	static const struct name_case cases[] = {
		{"excluded;" UPN "example.com", UPN "alice@example.com", "excludes"},
		{"excluded;" UPN "example.com", UPN "alice@eXample.com", "excludes"},
		{"excluded;" UPN "example.com", UPN "alice@example.net", NULL},
		{"excluded;" UPN ".example.com", UPN "alice@mail.example.com", "excludes"},
		{"excluded;" UPN ".example.com", UPN "alice@example.com", NULL},
		{"excluded;" UPN "ceo@example.com", UPN "CEO@example.com", "excludes"},
		{"permitted;" UPN ".example.com,excluded;" UPN "hr.example.com",
			UPN "alice@hr.example.com", "excludes"},
		{"permitted;" UPN ".example.com,excluded;" UPN "hr.example.com",
			UPN "alice@it.example.com", NULL},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_what_cannot_be_compared_is_refused(void)
{
	static const struct name_case cases[] = {
		/* Another type of string, in the name or in the constraint. */
		{"permitted;" UPN "example.com",
			"otherName:1.3.6.1.4.1.311.20.2.3;BMP:alice@example.com",
			"cannot be compared"},
		{"excluded;" UPN "example.net",
			"otherName:1.3.6.1.4.1.311.20.2.3;IA5:alice@example.com",
			"cannot be compared"},
		{"excluded;otherName:1.3.6.1.4.1.311.20.2.3;IA5:example.net",
			UPN "alice@example.com", "cannot be compared"},
		/* No host, or one that has other spellings. */
		{"excluded;" UPN "example.net", UPN "alice", "cannot be compared"},
		{"excluded;" UPN "example.net", UPN "alice@", "cannot be compared"},
		{"excluded;" UPN "xn--bcher-kva.example",
			UPN "alice@b\xc3\xbc"
			    "cher.example",
			"cannot be compared"},
		{"excluded;" UPN "b\xc3\xbc"
		 "cher.example",
			UPN "alice@xn--bcher-kva.example", "cannot be compared"},
		/* Forms that nobody here knows, only where there is a name of that form. */
		{"permitted;otherName:1.2.3.4;UTF8:x", "otherName:1.2.3.4;UTF8:x",
			"cannot be compared"},
		{"permitted;otherName:1.2.3.4;UTF8:x", UPN "alice@example.com", NULL},
		{"permitted;RID:1.2.3", "RID:1.2.3", "cannot be compared"},
		{"permitted;RID:1.2.3", UPN "alice@example.com", NULL},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* What OpenSSL knows is still judged, also beside constraints that it does not know. */
static void test_other_forms_bind_beside_principal_names(void)
{
	static const struct name_case cases[] = {
		{"permitted;" UPN "example.com,permitted;email:example.com",
			UPN "alice@example.com,email:alice@example.net", "not permit"},
		{"permitted;" UPN "example.com,excluded;email:example.net",
			UPN "alice@example.com,email:alice@example.net", "excludes"},
		{"permitted;" UPN "example.com,permitted;email:example.net",
			UPN "alice@example.com,email:alice@example.net", NULL},
		{"excluded;DNS:example.net", "DNS:mail.example.net", "excludes"},
		{"permitted;URI:.example.com", "URI:http://x.example.net/", "not permit"},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* RFC 9598 section 6. */
static void test_internationalized_mailboxes_are_rfc822_names(void)
{
	static const struct name_case cases[] = {
		{"permitted;email:example.com", MAILBOX "\xc3\xa4@example.com", NULL},
		{"permitted;email:example.com", MAILBOX "\xc3\xa4@example.net", "not permit"},
		/* OpenSSL does not know hosts below one here: refused, which is the safe side. */
		{"permitted;email:.example.com", MAILBOX "\xc3\xa4@mail.example.com", "not permit"},
		{"excluded;email:example.com", MAILBOX "\xc3\xa4@example.com", "excludes"},
		{"excluded;email:example.com", MAILBOX "\xc3\xa4@EXAMPLE.com", "excludes"},
		{"excluded;email:xn--bcher-kva.example", MAILBOX "\xc3\xa4@xn--bcher-kva.example",
			"excludes"},
		{"excluded;email:xn--bcher-kva.example",
			MAILBOX "\xc3\xa4@b\xc3\xbc"
				"cher.example",
			"cannot be compared"},
		{"permitted;" UPN "example.com", MAILBOX "\xc3\xa4@example.net", NULL},
	};

	check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_self_issued_authorities_are_passed_over(void)
{
	struct pki_spec old_spec = {.name = "CA",
		.issuer = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.name_constraints = "permitted;" UPN "example.com"};
	struct pki old = pki_make(old_spec);
	struct pki new_key = pki_make((struct pki_spec){.name = "CA",
		.issuer = &old,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.san = UPN "ca@example.net"});
	struct pki other = pki_make((struct pki_spec){.name = "Other CA",
		.issuer = &old,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage,
		.san = UPN "ca@example.net"});
	struct pki *cas[] = {&new_key, &other};

	for (int i = 0; i < 2; i++) {
		struct pki leaf = pki_make(pki_phone(cas[i]));
		STACK_OF(X509) *chain = sk_X509_new_null();
		int depth = -1;
		const char *fault;

		sk_X509_push(chain, leaf.certificate);
		sk_X509_push(chain, cas[i]->certificate);
		sk_X509_push(chain, old.certificate);
		for (int k = 0; k < 3; k++)
			X509_check_purpose(sk_X509_value(chain, k), -1, 0);
		fault = verify_names_check(chain, &depth);
		CU_ASSERT_EQUAL(fault == NULL, i == 0);
		CU_ASSERT_EQUAL(depth, i == 0 ? 2 : 1);
		sk_X509_free(chain);
		pki_free(&leaf);
	}
	pki_free(&other);
	pki_free(&new_key);
	pki_free(&old);
}

/* A phone with many names below a CA with many constraints. */
static void test_comparisons_are_bounded(void)
{
	const size_t count = 400;
	char *constraints = calloc(count, 80);
	char *names = calloc(count, 80);
	struct name_case c = {constraints, names, NULL};
	const char *fault;

	for (size_t i = 0; i < count; i++) {
		sprintf(constraints + strlen(constraints), "%sexcluded;" UPN "h%zu.example.com",
			i > 0 ? "," : "", i);
		sprintf(names + strlen(names), "%s" UPN "a@g%zu.example.com", i > 0 ? "," : "", i);
	}
	fault = judge(&c);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fault);
	CU_ASSERT_PTR_NOT_NULL(strstr(fault, "too many"));
	free(names);
	free(constraints);
}

static const struct check checks[] = {
	{"principal names are permitted", test_principal_names_are_permitted},
	{"principal names are excluded", test_principal_names_are_excluded},
	{"what cannot be compared is refused", test_what_cannot_be_compared_is_refused},
	{"other forms bind beside principal names", test_other_forms_bind_beside_principal_names},
	{"internationalized mailboxes are RFC822 names",
		test_internationalized_mailboxes_are_rfc822_names},
	{"self-issued authorities are passed over", test_self_issued_authorities_are_passed_over},
	{"comparisons are bounded", test_comparisons_are_bounded},
};

int main(void)
{
	int status;

	root = pki_make_ca("Root CA", NULL);
	status = check_run("auth/verify_names", checks, sizeof(checks) / sizeof(checks[0]));
	pki_free(&root);
	return status;
}
