#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/revocation.h"
#include "auth/revocation_compile.h"
#include "auth/revocation_file.h"
#include "check.h"
#include "tests/unit/auth_crl_maker.h"

enum { SIZE_LIMIT = 20000, TIME_LIMIT_MS = 400, WAIT_MS = 5000 };

enum serve {
	SERVE_CRL,
	SERVE_NOT_FOUND,
	SERVE_NOTHING_YET,     /* the request is never answered */
	SERVE_TOO_LARGE,       /* announced by Content-Length */
	SERVE_ENDLESS,         /* chunked, more than the limit */
	SERVE_LENGTH_TOO_LONG, /* more is announced than comes */
	SERVE_LENGTH_TOO_SHORT,
	SERVE_REDIRECT_LOOP,
	SERVE_REDIRECT_ONCE,
	SERVE_REDIRECT_TO_FILE,
};

/* Everything of one test: a CA, a server with one CRL, a state directory, the engine, and what it
 * reported. */
static struct {
	struct maker_ca ca;
	struct event_base *base;
	struct evhttp *server;
	uint16_t port;
	enum serve serve;
	struct span crl;
	size_t request_count;
	char directory_path[64];
	int directory;
	struct authority authority;
	struct trust_store store;
	struct config_revocation config;
	char url[160];
	char delta_url[64];
	struct revocation *engine;
	struct revocation_index *index;
	size_t index_count;
	size_t failure_count;
	char failure[512];
} it;

static void serve_chunks(struct evhttp_request *request)
{
	struct evbuffer *chunk = evbuffer_new();
	static const char zeros[5000];

	evhttp_send_reply_start(request, 200, "OK");
	for (int i = 0; i < 10; i++) {
		evbuffer_add(chunk, zeros, sizeof(zeros));
		evhttp_send_reply_chunk(request, chunk);
	}
	evhttp_send_reply_end(request);
	evbuffer_free(chunk);
}

static void serve_redirect(struct evhttp_request *request, const char *location)
{
	evhttp_add_header(evhttp_request_get_output_headers(request), "Location", location);
	evhttp_send_reply(request, 302, "Found", NULL);
}

static void serve_crl(struct evhttp_request *request, long length_error)
{
	struct evbuffer *body = evbuffer_new();
	char length[32];

	snprintf(length, sizeof(length), "%ld", (long)it.crl.len + length_error);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Length", length);
	evbuffer_add(body, it.crl.data, it.crl.len);
	evhttp_send_reply(request, 200, "OK", body);
	evbuffer_free(body);
}

static void serve_too_large(struct evhttp_request *request)
{
	evhttp_add_header(
		evhttp_request_get_output_headers(request), "Content-Length", "1000000000000");
	evhttp_send_reply(request, 200, "OK", NULL);
}

static void on_request(struct evhttp_request *request, void *context)
{
	(void)context;
	it.request_count++;
	switch (it.serve) {
	case SERVE_CRL: serve_crl(request, 0); break;
	case SERVE_NOT_FOUND: evhttp_send_error(request, 404, NULL); break;
	case SERVE_NOTHING_YET: break;
	case SERVE_TOO_LARGE: serve_too_large(request); break;
	case SERVE_ENDLESS: serve_chunks(request); break;
	case SERVE_LENGTH_TOO_LONG: serve_crl(request, 100); break;
	case SERVE_LENGTH_TOO_SHORT: serve_crl(request, -10); break;
	case SERVE_REDIRECT_LOOP: serve_redirect(request, "/again.crl"); break;
	case SERVE_REDIRECT_ONCE:
		it.serve = SERVE_CRL;
		serve_redirect(request, "/elsewhere.crl");
		break;
	case SERVE_REDIRECT_TO_FILE: serve_redirect(request, "file:///etc/passwd"); break;
	}
}

static void server_start(void)
{
	struct sockaddr_in address = {0};
	socklen_t len = sizeof(address);
	struct evhttp_bound_socket *bound;

	it.server = evhttp_new(it.base);
	evhttp_set_gencb(it.server, on_request, NULL);
	bound = evhttp_bind_socket_with_handle(it.server, "127.0.0.1", 0);
	maker_must(bound != NULL, "a server");
	getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len);
	it.port = ntohs(address.sin_port);
	snprintf(it.url, sizeof(it.url), "http://127.0.0.1:%u/ca.crl", it.port);
}

static void on_index(
	void *context, int authority, int place, int fd, const struct revocation_facts *facts)
{
	struct error err;

	(void)context;
	CU_ASSERT_EQUAL(authority, 0);
	CU_ASSERT_EQUAL(place, 0);
	revocation_index_close(it.index);
	it.index = revocation_index_open(fd, "test", &err);
	CU_ASSERT_PTR_NOT_NULL(it.index);
	if (it.index != NULL)
		CU_ASSERT_EQUAL(revocation_index_facts(it.index)->entry_count, facts->entry_count);
	CU_ASSERT_EQUAL(
		fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	close(fd);
	it.index_count++;
}

static void on_failure(void *context, int authority, int place, const char *text)
{
	(void)context;
	CU_ASSERT_EQUAL(authority, 0);
	CU_ASSERT_EQUAL(place, 0);
	snprintf(it.failure, sizeof(it.failure), "%s", text);
	it.failure_count++;
}

static void engine_start(void)
{
	static const struct revocation_callbacks callbacks = {
		.on_index = on_index, .on_failure = on_failure};
	struct error err;

	it.engine = revocation_new(it.base, &it.store, &it.config, it.directory, &callbacks, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.engine);
	CU_ASSERT_EQUAL(it.index_count + it.failure_count, 0);
}

static void engine_stop(void)
{
	revocation_free(it.engine);
	it.engine = NULL;
	revocation_index_close(it.index);
	it.index = NULL;
	it.index_count = 0;
	it.failure_count = 0;
	it.failure[0] = '\0';
}

static void set_crl(uint32_t entry_count, long this_update, long next_update, long number)
{
	X509_CRL *crl = maker_crl_new(&it.ca, this_update, next_update, number);

	maker_revoke_series(crl, 0, entry_count);
	maker_span_free(&it.crl);
	it.crl = maker_crl_sign(crl, &it.ca, EVP_sha256());
}

static void setup(void)
{
	memset(&it, 0, sizeof(it));
	it.ca = maker_ca_new("Test CA");
	it.base = event_base_new();
	strcpy(it.directory_path, "/tmp/easproxy-test-XXXXXX");
	maker_must(mkdtemp(it.directory_path) != NULL, "a directory");
	it.directory = open(it.directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	it.config = (struct config_revocation){.size_limit = SIZE_LIMIT,
		.time_limit_ms = TIME_LIMIT_MS,
		.refresh_ms = 3600000,
		.retry_ms = 60000};
	it.authority.certificate = it.ca.certificate;
	it.authority.crls[0].url = it.url;
	it.authority.crls[0].delta_url = it.delta_url;
	it.authority.issuer = it.delta_url;
	strcpy(it.authority.key_id, "0123456789abcdef");
	it.store = (struct trust_store){.count = 1, .authorities = &it.authority};
	server_start();
	set_crl(2, -60, 7200, 1);
}

static void teardown(void)
{
	engine_stop();
	evhttp_free(it.server);
	event_base_free(it.base);
	unlinkat(it.directory, "0123456789abcdef.index", 0);
	unlinkat(it.directory, "ca.crl", 0);
	close(it.directory);
	CU_ASSERT_EQUAL(rmdir(it.directory_path), 0);
	maker_span_free(&it.crl);
	maker_ca_free(&it.ca);
}

/* Runs the loop until there were so many reports of both kinds, or time is over. */
static bool run_until(size_t index_count, size_t failure_count)
{
	for (int i = 0; i < WAIT_MS / 5; i++) {
		struct timeval step = {0, 5000};

		event_base_loopexit(it.base, &step);
		event_base_dispatch(it.base);
		if (it.index_count >= index_count && it.failure_count >= failure_count)
			break;
	}
	return it.index_count == index_count && it.failure_count == failure_count;
}

static void run_for_ms(int ms)
{
	struct timeval step = {ms / 1000, ms % 1000 * 1000L};

	event_base_loopexit(it.base, &step);
	event_base_dispatch(it.base);
}

static bool is_revoked(uint32_t i)
{
	struct serial serial = {{0}};

	maker_serial(i, serial.octets + 4);
	return it.index != NULL && revocation_index_find(it.index, NULL, &serial, NULL);
}

static void test_http_location_is_downloaded(void)
{
	setup();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_TRUE(is_revoked(0));
	CU_ASSERT_TRUE(is_revoked(1));
	CU_ASSERT_FALSE(is_revoked(2));
	CU_ASSERT_EQUAL(it.request_count, 1);
	teardown();
}

static void test_unchanged_crl_is_not_reported_again(void)
{
	setup();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	revocation_refresh(it.engine, 0);
	run_for_ms(200);
	CU_ASSERT_EQUAL(it.request_count, 2);
	CU_ASSERT_EQUAL(it.index_count, 1);
	CU_ASSERT_EQUAL(it.failure_count, 0);
	teardown();
}

struct failing {
	enum serve serve;
	const char *why;
};

static void check_failing(const struct failing *c)
{
	setup();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	it.serve = c->serve;
	set_crl(3, -30, 7200, 2);
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, c->why));
	if (strstr(it.failure, c->why) == NULL)
		fprintf(stderr, "\nwanted \"%s\", got \"%s\"\n", c->why, it.failure);
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, it.url));
	CU_ASSERT_FALSE(is_revoked(2));
	it.serve = SERVE_CRL;
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until(2, 1));
	CU_ASSERT_TRUE(is_revoked(2));
	teardown();
}

static void test_failing_servers_change_nothing_until_they_recover(void)
{
	static const struct failing cases[] = {
		{SERVE_NOT_FOUND, "404"},
		{SERVE_NOTHING_YET, "timed out"},
		{SERVE_TOO_LARGE, "larger than the limit of 20000 bytes"},
		{SERVE_ENDLESS, "larger than the limit of 20000 bytes"},
		{SERVE_LENGTH_TOO_LONG, "timed out"},
		{SERVE_LENGTH_TOO_SHORT, "not a whole CRL"},
		{SERVE_REDIRECT_LOOP, "redirects followed"},
		{SERVE_REDIRECT_TO_FILE, "Protocol \"file\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_failing(&cases[i]);
}

static void test_redirect_is_followed(void)
{
	setup();
	it.serve = SERVE_REDIRECT_ONCE;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_EQUAL(it.request_count, 2);
	teardown();
}

static void test_failure_is_retried_by_itself(void)
{
	setup();
	it.serve = SERVE_NOT_FOUND;
	it.config.retry_ms = 200;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	it.serve = SERVE_CRL;
	CU_ASSERT_TRUE(run_until(1, 1));
	teardown();
}

static void test_refresh_comes_by_itself(void)
{
	setup();
	it.config.refresh_ms = 200;
	it.config.retry_ms = 200;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	set_crl(3, -30, 7200, 2);
	CU_ASSERT_TRUE(run_until(2, 0));
	CU_ASSERT_TRUE(is_revoked(2));
	teardown();
}

static void test_replayed_crl_is_refused(void)
{
	setup();
	set_crl(3, -30, 7200, 2);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	set_crl(0, -60, 7200, 1);
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "replayed"));
	engine_stop();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "replayed"));
	CU_ASSERT_TRUE(is_revoked(2));
	teardown();
}

static void test_expired_crl_is_a_failure(void)
{
	setup();
	set_crl(3, -7200, -3600, 2);
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "nextUpdate"));
	teardown();
}

static void test_restart_needs_no_network(void)
{
	setup();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	engine_stop();
	it.serve = SERVE_NOTHING_YET;
	it.request_count = 0;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_TRUE(is_revoked(1));
	run_for_ms(50);
	CU_ASSERT_EQUAL(it.request_count, 0);
	teardown();
}

static void index_file_change(off_t at)
{
	int fd = openat(it.directory, "0123456789abcdef.index", O_RDWR | O_CLOEXEC);
	uint8_t octet;

	CU_ASSERT_EQUAL(pread(fd, &octet, 1, at), 1);
	octet ^= 1;
	CU_ASSERT_EQUAL(pwrite(fd, &octet, 1, at), 1);
	close(fd);
}

static void test_damaged_index_is_reported_and_replaced(void)
{
	setup();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	engine_stop();
	index_file_change(140);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "checksum"));
	engine_stop();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	teardown();
}

static void test_index_of_another_authority_is_not_used(void)
{
	struct maker_ca other;

	setup();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	engine_stop();
	other = maker_ca_new("Test CA");
	it.authority.certificate = other.certificate;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 2)); /* the index, then the CRL */
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "signature"));
	it.authority.certificate = it.ca.certificate;
	teardown();
	maker_ca_free(&other);
}

static void test_index_file_is_private_and_no_link_is_followed(void)
{
	struct stat st;

	setup();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_EQUAL(
		fstatat(it.directory, "0123456789abcdef.index", &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_EQUAL(st.st_mode, S_IFREG | 0600);
	engine_stop();
	CU_ASSERT_EQUAL(unlinkat(it.directory, "0123456789abcdef.index", 0), 0);
	CU_ASSERT_EQUAL(symlinkat("/etc/passwd", it.directory, "0123456789abcdef.index"), 0);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 1));
	engine_stop();
	CU_ASSERT_EQUAL(
		fstatat(it.directory, "0123456789abcdef.index", &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_TRUE(S_ISREG(st.st_mode));
	teardown();
}

static void file_put(struct span content)
{
	int fd = openat(it.directory, "ca.crl", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL(write(fd, content.data, content.len), (ssize_t)content.len);
	close(fd);
}

static void test_file_locations_are_read(void)
{
	static const char *const forms[] = {
		"file:%s/ca.crl", "file://%s/ca.crl", "file://localhost%s/ca.crl"};
	const char *path;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *form = forms[i];
		const char *at = strstr(form, "%s");

		setup();
		snprintf(it.url, sizeof(it.url), "%.*s%s/ca.crl", (int)(at - form), form,
			it.directory_path);
		file_put(it.crl);
		engine_start();
		CU_ASSERT_TRUE(run_until(1, 0));
		CU_ASSERT_TRUE(is_revoked(1));
		CU_ASSERT_EQUAL(revocation_file_paths(&it.store, &path, 1), 1);
		CU_ASSERT_EQUAL(strncmp(path, it.directory_path, strlen(it.directory_path)), 0);
		set_crl(3, -30, 7200, 2);
		file_put(it.crl);
		revocation_refresh(it.engine, -1);
		CU_ASSERT_TRUE(run_until(2, 0));
		CU_ASSERT_TRUE(is_revoked(2));
		teardown();
	}
}

static void test_bad_files_are_failures(void)
{
	static const struct {
		const char *url, *why;
	} cases[] = {
		{"file:/nonexistent/ca.crl", "No such file"},
		{"file:///etc", "not a regular file"},
		{"file:///dev/zero", "not a regular file"},
		{"file:///etc/passwd", "neither DER nor PEM"},
		{"ftp://127.0.0.1/ca.crl", "not supported"},
		{"http://user@127.0.0.1/ca.crl", "Login denied"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup();
		strcpy(it.url, cases[i].url);
		engine_start();
		CU_ASSERT_TRUE(run_until(0, 1));
		CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, cases[i].why));
		if (strstr(it.failure, cases[i].why) == NULL)
			fprintf(stderr, "\nwanted \"%s\", got \"%s\"\n", cases[i].why, it.failure);
		teardown();
	}
	setup();
	snprintf(it.url, sizeof(it.url), "file:%s/ca.crl", it.directory_path);
	it.config.size_limit = it.crl.len - 1;
	file_put(it.crl);
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "larger than the limit"));
	teardown();
}

static void test_delta_location_is_reported_once(void)
{
	setup();
	strcpy(it.delta_url, "http://127.0.0.1/delta.crl");
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "not merged yet"));
	revocation_refresh(it.engine, 0);
	run_for_ms(100);
	CU_ASSERT_EQUAL(it.failure_count, 1);
	teardown();
}

static void test_authority_without_location_is_left_alone(void)
{
	setup();
	it.url[0] = '\0';
	engine_start();
	revocation_refresh(it.engine, -1);
	run_for_ms(50);
	CU_ASSERT_EQUAL(it.index_count + it.failure_count, 0);
	CU_ASSERT_EQUAL(revocation_file_paths(&it.store, NULL, 0), 0);
	teardown();
}

static void test_engine_can_end_in_mid_download(void)
{
	setup();
	it.serve = SERVE_NOTHING_YET;
	engine_start();
	for (int i = 0; i < 200 && it.request_count == 0; i++)
		run_for_ms(5);
	CU_ASSERT_EQUAL(it.request_count, 1);
	engine_stop();
	run_for_ms(20);
	CU_ASSERT_EQUAL(it.index_count + it.failure_count, 0);
	teardown();
}

int main(void)
{
	static const struct check checks[] = {
		{"an http: location is downloaded", test_http_location_is_downloaded},
		{"an unchanged CRL is not reported again",
			test_unchanged_crl_is_not_reported_again},
		{"failing servers change nothing until they recover",
			test_failing_servers_change_nothing_until_they_recover},
		{"a redirect is followed", test_redirect_is_followed},
		{"a failure is retried by itself", test_failure_is_retried_by_itself},
		{"refresh comes by itself", test_refresh_comes_by_itself},
		{"a replayed CRL is refused, after a restart too", test_replayed_crl_is_refused},
		{"an expired CRL is a failure", test_expired_crl_is_a_failure},
		{"a restart needs no network", test_restart_needs_no_network},
		{"a damaged index is reported and replaced",
			test_damaged_index_is_reported_and_replaced},
		{"an index of another authority is not used",
			test_index_of_another_authority_is_not_used},
		{"index files are private and no link is followed",
			test_index_file_is_private_and_no_link_is_followed},
		{"file: locations are read", test_file_locations_are_read},
		{"bad files are failures", test_bad_files_are_failures},
		{"a delta location is reported once", test_delta_location_is_reported_once},
		{"an authority without location is left alone",
			test_authority_without_location_is_left_alone},
		{"the engine can end in mid download", test_engine_can_end_in_mid_download},
	};

	return check_run("auth/revocation_engine", checks, sizeof(checks) / sizeof(checks[0]));
}
