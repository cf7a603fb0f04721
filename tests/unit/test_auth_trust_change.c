/* The trust store on disk while it is changed: the document, its file, and what is asked of new ones. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/trust_document.h"
#include "auth/trust_file.h"
#include "auth/trust_strength.h"
#include "auth/trust_write.h"
#include "tests/unit/check.h"
#include "tests/unit/test_pki.h"

static struct pki root, issuing;
static char *root_base64, *issuing_base64;
static char reported[4096];

static void on_report(void *context, const char *text)
{
	size_t len = strlen(reported);

	(void)context;
	snprintf(reported + len, sizeof(reported) - len, "%s\n", text);
}

/* ' stands for ", $R and $I for the certificates. The caller lets it go. */
static json_t *parse(const char *template)
{
	char text[32768];
	char *to = text;
	json_t *document;

	for (const char *c = template; *c != '\0'; c++) {
		if (*c == '$') {
			to = stpcpy(to, *++c == 'R' ? root_base64 : issuing_base64);
		} else {
			*to = *c;
			if (*c == '\'')
				*to = '"';
			to++;
		}
	}
	*to = '\0';
	document = trust_document_parse(span_of_string(text), NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(document);
	return document;
}

/* The document */

static void test_the_list_is_found_in_every_form(void)
{
	static const char *const templates[] = {"[7]", "{'certificateAuthorities': [7]}",
		"{'value': [7]}", "{'value': [{'certificateAuthorities': [7]}]}"};

	for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
		json_t *document = parse(templates[i]);

		CU_ASSERT_EQUAL(
			json_integer_value(json_array_get(trust_document_list(document), 0)), 7);
		json_decref(document);
	}
}

static void expect_equal(json_t *value, const char *template)
{
	json_t *expected = parse(template);

	if (json_equal(value, expected) != 1) {
		char *text = json_dumps(value, 0);

		fprintf(stderr, "wanted %s\ngot %s\n", template, text);
		free(text);
	}
	CU_ASSERT_EQUAL(json_equal(value, expected), 1);
	json_decref(expected);
}

static void test_a_member_keeps_the_name_that_it_has(void)
{
	json_t *entry = parse("{'CrlDistributionPoint': 'http://a/', 'displayName': 'x'}");

	CU_ASSERT_EQUAL(trust_document_set(entry, TRUST_CRL, json_string("http://b/")), 0);
	CU_ASSERT_EQUAL(trust_document_set(entry, TRUST_DELTA_CRL, json_string("http://c/")), 0);
	expect_equal(entry, "{'CrlDistributionPoint': 'http://b/', 'displayName': 'x',"
			    " 'deltaCertificateRevocationListUrl': 'http://c/'}");
	CU_ASSERT_EQUAL(trust_document_set(entry, TRUST_CRL, NULL), 0);
	CU_ASSERT_EQUAL(trust_document_set(entry, TRUST_GRACE, NULL), 0);
	expect_equal(
		entry, "{'displayName': 'x', 'deltaCertificateRevocationListUrl': 'http://c/'}");
	json_decref(entry);
}

static int import(json_t *list, const char *template, bool replaces)
{
	json_t *imported = parse(template);
	int result;

	reported[0] = '\0';
	result = trust_document_import(list, "/nonexistent", imported, "import.json",
		"/nonexistent", replaces, on_report, NULL);
	json_decref(imported);
	return result;
}

static void test_an_import_adds_under_graph_s_names(void)
{
	json_t *list = parse("[]");

	CU_ASSERT_EQUAL(import(list,
				"[{'AuthorityType': 1, 'TrustedCertificate': '$I',"
				"  'CrlDistributionPoint': 'http://a/', 'TrustedIssuer': 'CN=x',"
				"  'DeltaCrlDistributionPoint': '', 'TrustedIssuerSKI': null}]",
				false),
		0);
	CU_ASSERT_STRING_EQUAL(reported, "");
	expect_equal(list, "[{'isRootAuthority': false, 'certificate': '$I',"
			   "  'certificateRevocationListUrl': 'http://a/', 'issuer': 'CN=x'}]");
	json_decref(list);
}

static void test_an_import_changes_what_it_names_and_keeps_the_rest(void)
{
	static const char before[] =
		"[{'isRootAuthority': true, 'certificate': '$R', 'note': 'ours'},"
		" {'isRootAuthority': false, 'certificate': '$I', 'revocationGrace': '1h',"
		"  'certificateRevocationListUrl': 'http://a/'}]";
	static const char imported[] =
		"{'value': [{'id': 'x', 'certificateAuthorities': ["
		" {'isRootAuthority': false, 'certificate': '$I', 'unknown': 7,"
		"  'certificateRevocationListUrl': null,"
		"  'deltaCertificateRevocationListUrl': 'http://d/'}]}]}";
	json_t *list = parse(before);

	CU_ASSERT_EQUAL(import(list, imported, false), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(reported, "unknown: unknown, not used"));
	/* What a tenant does not know is no reason to end a check of ours. */
	expect_equal(list, "[{'isRootAuthority': true, 'certificate': '$R', 'note': 'ours'},"
			   " {'isRootAuthority': false, 'certificate': '$I',"
			   "  'revocationGrace': '1h',"
			   "  'certificateRevocationListUrl': 'http://a/',"
			   "  'deltaCertificateRevocationListUrl': 'http://d/'}]");
	/* Unless it is to replace all. */
	CU_ASSERT_EQUAL(import(list, imported, true), 0);
	expect_equal(list, "[{'isRootAuthority': false, 'certificate': '$I',"
			   "  'revocationGrace': '1h',"
			   "  'deltaCertificateRevocationListUrl': 'http://d/'}]");
	json_decref(list);
}

static void test_an_import_corrects_the_type(void)
{
	json_t *list = parse("[{'authorityType': 'intermediate', 'trustedCertificate': '$R'}]");

	CU_ASSERT_EQUAL(import(list, "[{'isRootAuthority': true, 'certificate': '$R'}]", false), 0);
	expect_equal(list, "[{'trustedCertificate': '$R', 'isRootAuthority': true}]");
	json_decref(list);
}

static void test_a_faulty_import_names_its_place(void)
{
	static const struct {
		const char *template, *words;
	} cases[] = {
		{"{}", "import.json: certificateAuthorities: must be a list"},
		{"[7]", "import.json: authority 1: must be an object"},
		{"[{'isRootAuthority': true, 'certificate': 'x'}]",
			"import.json: authority 1: certificate: "},
		{"[{'certificate': '$R'}]", "import.json: authority 1: isRootAuthority: missing"},
		{"[{'isRootAuthority': true, 'certificateFile': 'x.pem'}]",
			"import.json: authority 1: certificateFile: /nonexistent/x.pem: "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *list = parse("[]");

		CU_ASSERT_EQUAL(import(list, cases[i].template, false), -1);
		CU_ASSERT_PTR_NOT_NULL(strstr(reported, cases[i].words));
		json_decref(list);
	}
}

/* Its file */

static char directory[] = "/tmp/test-trust-change-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(text, file);
	fclose(file);
}

static void expect_file(const char *name, const char *text)
{
	char content[256] = "";
	FILE *file = fopen(path_of(name), "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
	fclose(file);
	CU_ASSERT_STRING_EQUAL(content, text);
}

static void test_a_file_is_replaced_with_its_mode_and_restored(void)
{
	struct trust_file file;
	struct stat st;
	struct error err = {""};

	write_file("a.json", "old");
	chmod(path_of("a.json"), 0640);
	CU_ASSERT_EQUAL_FATAL(trust_file_open(&file, path_of("a.json"), &err), 0);
	CU_ASSERT_STRING_EQUAL(file.content, "old");
	CU_ASSERT_EQUAL(trust_file_replace(&file, "newer", 5, &err), 0);
	expect_file("a.json", "newer");
	CU_ASSERT_EQUAL(stat(path_of("a.json"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
	CU_ASSERT_EQUAL(trust_file_restore(&file, &err), 0);
	expect_file("a.json", "old");
	CU_ASSERT_NOT_EQUAL(access(path_of(".a.json.new"), F_OK), 0);
	trust_file_close(&file);
	CU_ASSERT_STRING_EQUAL(err.text, "");
	unlink(path_of("a.json"));
}

static void test_a_link_stays_and_what_it_leads_to_is_replaced(void)
{
	struct trust_file file;
	struct error err = {""};
	struct stat st;

	mkdir(path_of("real"), 0755);
	write_file("real/a.json", "old");
	CU_ASSERT_EQUAL(symlink("real/a.json", path_of("a.json")), 0);
	CU_ASSERT_EQUAL_FATAL(trust_file_open(&file, path_of("a.json"), &err), 0);
	CU_ASSERT_EQUAL(trust_file_replace(&file, "newer", 5, &err), 0);
	trust_file_close(&file);
	CU_ASSERT_EQUAL(lstat(path_of("a.json"), &st), 0);
	CU_ASSERT_TRUE(S_ISLNK(st.st_mode));
	expect_file("real/a.json", "newer");
	unlink(path_of("real/a.json"));
	rmdir(path_of("real"));
	unlink(path_of("a.json"));
}

static void test_a_new_file_can_be_taken_back(void)
{
	struct trust_file file;
	struct error err = {""};

	CU_ASSERT_EQUAL_FATAL(trust_file_open(&file, path_of("b.json"), &err), 0);
	CU_ASSERT_FALSE(file.exists);
	CU_ASSERT_STRING_EQUAL(file.content, "");
	CU_ASSERT_EQUAL(trust_file_replace(&file, "new", 3, &err), 0);
	expect_file("b.json", "new");
	CU_ASSERT_EQUAL(trust_file_restore(&file, &err), 0);
	CU_ASSERT_NOT_EQUAL(access(path_of("b.json"), F_OK), 0);
	trust_file_close(&file);
}

static void test_a_change_by_somebody_else_is_not_overwritten(void)
{
	struct trust_file file;
	struct error err = {""};

	write_file("a.json", "old");
	CU_ASSERT_EQUAL_FATAL(trust_file_open(&file, path_of("a.json"), &err), 0);
	write_file("a.json", "by an editor");
	CU_ASSERT_EQUAL(trust_file_replace(&file, "newer", 5, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "was changed by somebody else"));
	expect_file("a.json", "by an editor");
	trust_file_close(&file);
	unlink(path_of("a.json"));
}

static void test_one_change_at_a_time(void)
{
	struct trust_file file;
	struct error err = {""};
	int ready[2], status;
	pid_t child;
	char byte;

	write_file("a.json", "1");
	CU_ASSERT_EQUAL(pipe(ready), 0);
	CU_ASSERT_EQUAL_FATAL(trust_file_open(&file, path_of("a.json"), &err), 0);
	child = fork();
	if (child == 0) {
		struct trust_file other;
		bool is_good;

		close(file.directory_fd); /* shares our lock */
		CU_ASSERT_EQUAL(write(ready[1], "x", 1), 1);
		is_good = trust_file_open(&other, path_of("a.json"), &err) == 0 &&
			  strcmp(other.content, "2") == 0 &&
			  trust_file_replace(&other, "3", 1, &err) == 0;
		_exit(is_good ? 0 : 1);
	}
	CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
	usleep(50000);
	CU_ASSERT_EQUAL(trust_file_replace(&file, "2", 1, &err), 0);
	trust_file_close(&file);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	expect_file("a.json", "3");
	close(ready[0]);
	close(ready[1]);
	unlink(path_of("a.json"));
}

/* A process that is killed at any moment leaves the old file or the new one. */
static void test_a_kill_leaves_a_whole_file(void)
{
	static char first[65537], second[65537];
	char *content = malloc(sizeof(first));

	memset(first, 'a', sizeof(first) - 1);
	memset(second, 'b', sizeof(second) - 1);
	write_file("a.json", first);
	for (int i = 0; i < 40; i++) {
		pid_t child = fork();
		size_t len;
		FILE *file;

		if (child == 0) {
			struct trust_file other;
			struct error err;

			while (trust_file_open(&other, path_of("a.json"), &err) == 0) {
				trust_file_replace(&other, other.content[0] == 'a' ? second : first,
					sizeof(first) - 1, &err);
				trust_file_close(&other);
			}
			_exit(1);
		}
		usleep((useconds_t)(500 + 173 * i));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		file = fopen(path_of("a.json"), "r");
		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		len = fread(content, 1, sizeof(first), file);
		fclose(file);
		CU_ASSERT_EQUAL(len, sizeof(first) - 1);
		CU_ASSERT_TRUE(
			memcmp(content, first, len) == 0 || memcmp(content, second, len) == 0);
	}
	free(content);
	unlink(path_of(".a.json.new"));
	unlink(path_of("a.json"));
}

/* What is asked of new ones */

static void expect_strength(struct pki_spec spec, bool is_root, const char *words)
{
	struct pki made = pki_make(spec);
	struct authority authority = {.certificate = made.certificate, .is_root = is_root};
	struct error err = {""};
	int result = trust_strength_check(&authority, &err);

	CU_ASSERT_EQUAL(result, words[0] == '\0' ? 0 : -1);
	if (strstr(err.text, words) == NULL)
		fprintf(stderr, "wanted %s\ngot %s\n", words, err.text);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
	pki_free(&made);
}

static void test_weak_keys_and_signatures_are_refused(void)
{
	const struct pki_spec usual = {.name = "CA",
		.issuer = &root,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage};
	struct pki_spec spec = usual;
	struct pki curve = {NULL, EVP_EC_gen("P-224")};

	expect_strength(usual, false, "");
	spec.rsa_bits = 1024;
	expect_strength(spec, false, "an RSA key of 1024 bits; at least 2048");
	spec.rsa_bits = 2048;
	expect_strength(spec, false, "");
	spec = usual;
	spec.key_of = &curve;
	expect_strength(spec, false, "an elliptic curve of 224 bits; at least 256");
	spec = usual;
	spec.digest = EVP_sha1();
	expect_strength(spec, false, "signed with sha1");
	/* Of a root only the key counts. */
	spec.issuer = NULL;
	expect_strength(spec, true, "");
	EVP_PKEY_free(curve.key);
}

static void test_what_cannot_serve_is_told(void)
{
	struct pki stranger = pki_make_ca("Stranger", NULL);
	struct pki orphan = pki_make_ca("Orphan", &stranger);
	struct pki expired = pki_make((struct pki_spec){.name = "Expired",
		.issuer = &root,
		.not_before = -2000,
		.not_after = -1000,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
	struct authority authorities[] = {{.certificate = root.certificate, .is_root = true},
		{.certificate = issuing.certificate}, {.certificate = orphan.certificate},
		{.certificate = expired.certificate}};
	const struct trust_store store = {4, authorities};
	struct error err = {""};

	CU_ASSERT_EQUAL(trust_standing_check(&store, 0, &err), 0);
	CU_ASSERT_EQUAL(trust_standing_check(&store, 1, &err), 0);
	CU_ASSERT_EQUAL(trust_standing_check(&store, 2, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no valid path to a root: "));
	CU_ASSERT_EQUAL(trust_standing_check(&store, 3, &err), -1);
	CU_ASSERT_STRING_EQUAL(err.text, "expired");
	pki_free(&expired);
	pki_free(&orphan);
	pki_free(&stranger);
}

static const struct check checks[] = {
	{"the list is found in every form", test_the_list_is_found_in_every_form},
	{"a member keeps the name that it has", test_a_member_keeps_the_name_that_it_has},
	{"an import adds under Graph's names", test_an_import_adds_under_graph_s_names},
	{"an import changes what it names and keeps the rest",
		test_an_import_changes_what_it_names_and_keeps_the_rest},
	{"an import corrects the type", test_an_import_corrects_the_type},
	{"a faulty import names its place", test_a_faulty_import_names_its_place},
	{"a file is replaced with its mode, and restored",
		test_a_file_is_replaced_with_its_mode_and_restored},
	{"a link stays, and what it leads to is replaced",
		test_a_link_stays_and_what_it_leads_to_is_replaced},
	{"a new file can be taken back", test_a_new_file_can_be_taken_back},
	{"a change by somebody else is not overwritten",
		test_a_change_by_somebody_else_is_not_overwritten},
	{"one change at a time", test_one_change_at_a_time},
	{"a kill leaves a whole file", test_a_kill_leaves_a_whole_file},
	{"weak keys and signatures are refused", test_weak_keys_and_signatures_are_refused},
	{"what cannot serve is told", test_what_cannot_serve_is_told},
};

int main(void)
{
	int status;

	PKI_MUST(mkdtemp(directory) != NULL);
	root = pki_make_ca("Root CA", NULL);
	issuing = pki_make_ca("Issuing CA", &root);
	root_base64 = pki_base64(root.certificate);
	issuing_base64 = pki_base64(issuing.certificate);
	status = check_run("auth/trust_change", checks, sizeof(checks) / sizeof(checks[0]));
	free(issuing_base64);
	free(root_base64);
	pki_free(&issuing);
	pki_free(&root);
	rmdir(directory);
	return status;
}
