#include <event2/event.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/identity_minter.h"
#include "proxy/identity_work.h"
#include "tests/unit/check.h"
#include "tests/unit/test_token.h"

/* Real helpers, in their sandboxes. */
static struct {
	struct config config;
	struct config_word paths[1];
	struct pki ca;
	struct token token;
	struct event_base *base;
	const struct helper_work *work;
	struct helpers *helpers;
	unsigned int lost;
} it;

static struct config_file file_of(BIO *text)
{
	struct config_file file = {.path = "test.pem", .fd = memfd_create("test", MFD_CLOEXEC)};
	char *data;
	long len = BIO_get_mem_data(text, &data);

	PKI_MUST(file.fd != -1 && write(file.fd, data, (size_t)len) == len);
	BIO_free(text);
	return file;
}

static struct config_file pem_of_certificate(X509 *certificate)
{
	BIO *out = BIO_new(BIO_s_mem());

	PKI_MUST(PEM_write_bio_X509(out, certificate) == 1);
	return file_of(out);
}

static struct config_file pem_of_key(EVP_PKEY *key)
{
	BIO *out = BIO_new(BIO_s_mem());

	PKI_MUST(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
	return file_of(out);
}

static struct config_file line_of(const char *line)
{
	BIO *out = BIO_new(BIO_s_mem());

	PKI_MUST(BIO_puts(out, line) > 0);
	return file_of(out);
}

static void configure(void)
{
	memset(&it, 0, sizeof(it));
	it.ca = pki_make_ca("Gateway CA", NULL);
	it.config.user = it.config.group = "";
	it.config.directory.ca.fd = it.config.directory.bind_password.fd = -1;
	it.config.upstream.ca.fd = it.config.devices.quarantine_text.fd = -1;
	it.config.upstream.login = CONFIG_LOGIN_MINTED;
	it.config.upstream.login_helpers = 2;
	it.config.upstream.login_time_ms = 60 * 1000;
	it.config.assertion.header = "";
	it.config.minted = (struct config_minted){
		.issuer = pem_of_certificate(it.ca.certificate),
		.key.fd = -1,
		.key_uri = "",
		.pkcs11_module = "",
		.crl_url = "",
		.pin.fd = -1,
		.life_ms = 3600 * 1000,
		.place = {"easproxy.conf", 7},
	};
}

static void configure_token(const char *pin)
{
	token_begin(&it.token, it.ca.key);
	it.config.minted.key_uri = "pkcs11:token=gateway;object=issuer";
	it.config.minted.pkcs11_module = TOKEN_MODULE;
	it.paths[0].text = it.token.folder;
	it.config.minted.pkcs11_paths = (struct config_words){1, it.paths};
	it.config.minted.pin = line_of(pin);
}

struct job {
	struct helper_job job;
	bool is_answered, has_failed;
	struct message_login_done done;
};

static struct job *job_of(struct helper_job *job)
{
	return (struct job *)((char *)job - offsetof(struct job, job));
}

static void ask(void *context, struct helper_job *job, struct message *question, int *fd)
{
	(void)context;
	(void)job;
	(void)fd;
	question->u.login_job.kind = LOGIN_MINTED;
	strcpy(question->u.login_job.subject.mailbox, "bob@example.com");
}

static void answered(void *context, struct helper_job *job, const struct message *answer, int fd)
{
	struct job *done = job_of(job);

	(void)context;
	CU_ASSERT_EQUAL(fd, -1);
	done->is_answered = true;
	done->has_failed = answer == NULL;
	if (answer != NULL)
		done->done = answer->u.login_done;
}

static void lost(void *context)
{
	(void)context;
	it.lost++;
}

static const struct helper_calls calls = {.ask = ask, .answered = answered, .lost = lost};

static void start(void)
{
	const struct child child = {
		.role = ROLE_IDENTITY, .config = &it.config, .supervisor = -1, .has_sandbox = true};
	struct error err = {""};
	int spawner;

	it.work = minter_work(&child);
	PKI_MUST(it.work != NULL);
	spawner = helpers_fork(&child, it.work, &err);
	if (spawner == -1)
		fprintf(stderr, "%s\n", err.text);
	CU_ASSERT_NOT_EQUAL_FATAL(spawner, -1);
	it.base = event_base_new();
	it.helpers = helpers_new(it.base, it.work, spawner, &calls, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.helpers);
}

/* The identity process has closed what its helpers have. */
static void stop(void)
{
	helpers_free(it.helpers);
	event_base_free(it.base);
	pki_free(&it.ca);
}

static struct job run(void)
{
	static struct job job;

	job = (struct job){.is_answered = false};
	helpers_ask(it.helpers, &job.job);
	while (!job.is_answered)
		event_base_loop(it.base, EVLOOP_ONCE);
	return job;
}

/* Another one is started in its place. */
static void end_helper(void)
{
	struct job job = {.is_answered = false};

	helpers_ask(it.helpers, &job.job);
	while (job.job.helper == NULL)
		event_base_loop(it.base, EVLOOP_ONCE);
	helpers_cancel(it.helpers, &job.job);
	CU_ASSERT_EQUAL(it.lost, 1);
}

static void assert_certificate(const struct job *job)
{
	BIO *in;
	EVP_PKEY *key;
	X509 *leaf;

	CU_ASSERT_FALSE_FATAL(job->has_failed);
	if (job->done.status != LOGIN_GIVEN)
		fprintf(stderr, "%s\n", job->done.fault.text);
	CU_ASSERT_EQUAL_FATAL(job->done.status, LOGIN_GIVEN);
	in = BIO_new_mem_buf(job->done.secret, (int)job->done.secret_len);
	key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	leaf = PEM_read_bio_X509(in, NULL, NULL, NULL);
	CU_ASSERT_EQUAL(X509_check_private_key(leaf, key), 1);
	CU_ASSERT_EQUAL(X509_verify(leaf, X509_get0_pubkey(it.ca.certificate)), 1);
	X509_free(leaf);
	EVP_PKEY_free(key);
	BIO_free(in);
}

static void test_a_helper_mints_with_a_key_from_a_file(void)
{
	struct job job;

	configure();
	it.config.minted.key = pem_of_key(it.ca.key);
	start();
	job = run();
	assert_certificate(&job);
	CU_ASSERT_TRUE(job.done.valid_until > time(NULL));
	job = run();
	assert_certificate(&job);
	CU_ASSERT_EQUAL(it.lost, 0);
	stop();
}

static void test_a_helper_mints_with_a_key_in_a_token_that_it_can_only_read(void)
{
	struct job job;

	configure();
	configure_token(TOKEN_PIN);
	start();
	for (int i = 0; i < 3; i++) {
		job = run();
		assert_certificate(&job);
	}
	CU_ASSERT_EQUAL(it.lost, 0);
	stop();
	token_end(&it.token);
}

static void test_a_token_that_comes_back_is_used_again(void)
{
	struct job job;

	configure();
	it.config.upstream.login_helpers = 1;
	configure_token(TOKEN_PIN);
	start();
	job = run();
	assert_certificate(&job);
	token_run(&it.token, "mkdir away && mv *-* away/");
	for (int i = 0; i < 2; i++) {
		job = run();
		CU_ASSERT_FALSE(job.has_failed);
		CU_ASSERT_EQUAL(job.done.status, LOGIN_UNAVAILABLE);
		CU_ASSERT_NOT_EQUAL(job.done.fault.text[0], '\0');
		CU_ASSERT_EQUAL(job.done.secret_len, 0);
	}
	token_run(&it.token, "mv away/* .");
	do
		job = run();
	while (job.has_failed); /* asked while it ended */
	assert_certificate(&job);
	stop();
	token_end(&it.token);
}

static void test_a_refused_pin_is_told_and_not_tried_again(void)
{
	struct job first, later;

	configure();
	it.config.upstream.login_helpers = 1;
	configure_token("9182");
	start();
	first = run();
	CU_ASSERT_FALSE(first.has_failed);
	CU_ASSERT_EQUAL(first.done.status, LOGIN_MISCONFIGURED);
	CU_ASSERT_PTR_NOT_NULL(strstr(first.done.fault.text, "not asked again"));
	CU_ASSERT_PTR_NOT_NULL(strstr(first.done.fault.hint, "pin-file"));
	/* Not even now that it is right, nor by another helper. */
	token_run(&it.token,
		"pkcs11-tool --module " TOKEN_MODULE
		" --token-label gateway --login --change-pin --pin " TOKEN_PIN " --new-pin 9182");
	end_helper();
	later = run();
	CU_ASSERT_FALSE(later.has_failed);
	CU_ASSERT_EQUAL(later.done.status, LOGIN_MISCONFIGURED);
	stop();
	token_end(&it.token);
}

static void test_a_module_that_cannot_be_loaded_ends_the_start(void)
{
	const struct child child = {.role = ROLE_IDENTITY, .config = &it.config, .supervisor = -1};
	struct error err;

	configure();
	it.config.minted.key_uri = "pkcs11:object=issuer";
	it.config.minted.pkcs11_module = "/nonexistent.so";
	CU_ASSERT_EQUAL(helpers_fork(&child, minter_work(&child), &err), -1);
	pki_free(&it.ca);
}

/* easproxyd -t */

static char reports[1024];

static void report(void *context, const char *text)
{
	(void)context;
	snprintf(reports, sizeof(reports), "%s", text);
}

static void test_the_check_tries_the_token(void)
{
	configure();
	configure_token(TOKEN_PIN);
	reports[0] = '\0';
	CU_ASSERT_EQUAL(identity_minter_check(&it.config, true, report, NULL), 0);
	CU_ASSERT_STRING_EQUAL(reports, "");
	/* What its helper could not read, it does not find here either. */
	it.config.minted.pkcs11_paths.count = 0;
	CU_ASSERT_EQUAL(identity_minter_check(&it.config, true, report, NULL), -1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(reports, "pkcs11-paths"));
	CU_ASSERT_EQUAL(identity_minter_check(&it.config, false, report, NULL), 0);
	it.config.minted.pkcs11_paths.count = 1;
	it.config.minted.key_uri = "pkcs11:token=gateway;object=other";
	CU_ASSERT_EQUAL(identity_minter_check(&it.config, true, report, NULL), -1);
	CU_ASSERT_STRING_EQUAL(reports, "easproxy.conf:7: minted-certificate: the key is not that "
					"of the first certificate in "
					"test.pem");
	it.config.minted.key_uri = "pkcs11:token=gateway;object=issuer";
	it.config.minted.pkcs11_module = "/nonexistent.so";
	CU_ASSERT_EQUAL(identity_minter_check(&it.config, true, report, NULL), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(reports, "loading the PKCS#11 module: /nonexistent.so"));
	/* With another login nobody loads it. */
	it.config.upstream.login = CONFIG_LOGIN_HEADER;
	CU_ASSERT_EQUAL(identity_minter_check(&it.config, true, report, NULL), 0);
	close(it.config.minted.issuer.fd);
	close(it.config.minted.pin.fd);
	pki_free(&it.ca);
	token_end(&it.token);
}

int main(void)
{
	static const struct check checks[] = {
		{"a helper mints with a key from a file",
			test_a_helper_mints_with_a_key_from_a_file},
		{"a helper mints with a key in a token that it can only read",
			test_a_helper_mints_with_a_key_in_a_token_that_it_can_only_read},
		{"a token that comes back is used again",
			test_a_token_that_comes_back_is_used_again},
		{"a refused PIN is told, and not tried again",
			test_a_refused_pin_is_told_and_not_tried_again},
		{"a module that cannot be loaded ends the start",
			test_a_module_that_cannot_be_loaded_ends_the_start},
		{"the check tries the token", test_the_check_tries_the_token},
	};

	return check_run("proxy/identity_minter", checks, sizeof(checks) / sizeof(checks[0]));
}
