#include <arpa/inet.h>
#include <dirent.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/revocation.h"
#include "auth/revocation_compile.h"
#include "auth/revocation_file.h"
#include "auth/revocation_local.h"
#include "auth/revocation_schedule.h"
#include "auth/revocation_state.h"
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
	SERVE_DATED,  /* 304 to who has it as of that date */
	SERVE_CACHED, /* 304 to who has it already */
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
	struct span delta;      /* at /delta.crl */
	bool is_delta_gone;     /* 404 there */
	struct span parts[2];   /* at /0.crl and /1.crl */
	size_t unchanged_count; /* answers 304 */
	int modified_ago_s;     /* Last-Modified */
	bool has_tag;           /* and an ETag made of it */
	size_t delta_count;     /* requests for the delta */
	size_t request_count;
	char directory_path[64];
	int directory;
	struct authority authority;
	struct trust_store store;
	struct config_revocation config;
	char url[160];
	char proxy[64];
	char delta_url[64];
	struct revocation *engine;
	struct revocation_index *indexes[CRL_LOCATION_MAX];
	struct revocation_index *index; /* the first of them */
	size_t index_count;
	size_t failure_count;
	size_t look_count;
	char failure[512];
	struct revocation_report reports[2]; /* the latest, of base and delta */
	int64_t clock_offset;
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

static void serve_bytes(struct evhttp_request *request, struct span bytes)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add(body, bytes.data, bytes.len);
	evhttp_send_reply(request, 200, "OK", body);
	evbuffer_free(body);
}

static void serve_cached(struct evhttp_request *request)
{
	const char *known =
		evhttp_find_header(evhttp_request_get_input_headers(request), "If-None-Match");

	if (known != NULL && strcmp(known, "\"one\"") == 0) {
		it.unchanged_count++;
		evhttp_send_reply(request, 304, "Not Modified", NULL);
		return;
	}
	evhttp_add_header(evhttp_request_get_output_headers(request), "ETag", "\"one\"");
	serve_crl(request, 0);
}

static void serve_dated(struct evhttp_request *request)
{
	time_t modified = time(NULL) - it.modified_ago_s;
	struct tm parts;
	char date[64];

	if (evhttp_find_header(evhttp_request_get_input_headers(request), "If-Modified-Since") !=
			NULL ||
		evhttp_find_header(evhttp_request_get_input_headers(request), "If-None-Match") !=
			NULL) {
		it.unchanged_count++;
		evhttp_send_reply(request, 304, "Not Modified", NULL);
		return;
	}
	gmtime_r(&modified, &parts);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Last-Modified", date);
	/* As nginx makes it. */
	if (it.has_tag)
		evhttp_add_header(evhttp_request_get_output_headers(request), "ETag", date + 5);
	serve_crl(request, 0);
}

/* The locations beside the first. True when it was one of them. */
static bool serve_other(struct evhttp_request *request)
{
	const char *uri = evhttp_request_get_uri(request);

	if (strcmp(uri, "/delta.crl") == 0) {
		it.delta_count++;
		if (it.is_delta_gone)
			evhttp_send_error(request, 404, NULL);
		else
			serve_bytes(request, it.delta);
		return true;
	}
	for (size_t i = 0; i < 2; i++)
		if (uri[1] == (char)('0' + i) && strcmp(uri + 2, ".crl") == 0) {
			serve_bytes(request, it.parts[i]);
			return true;
		}
	return false;
}

static void on_request(struct evhttp_request *request, void *context)
{
	(void)context;
	if (serve_other(request))
		return;
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
	case SERVE_DATED: serve_dated(request); break;
	case SERVE_CACHED: serve_cached(request); break;
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
	CU_ASSERT_FATAL(place >= 0 && place < CRL_LOCATION_MAX);
	revocation_index_close(it.indexes[place]);
	it.indexes[place] = revocation_index_open(fd, "test", &err);
	it.index = it.indexes[0];
	CU_ASSERT_PTR_NOT_NULL(it.indexes[place]);
	if (it.indexes[place] != NULL)
		CU_ASSERT_EQUAL(
			revocation_index_facts(it.indexes[place])->entry_count, facts->entry_count);
	CU_ASSERT_EQUAL(
		fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	close(fd);
	it.index_count++;
}

static void on_report(
	void *context, int authority, int place, const struct revocation_report *report)
{
	(void)context;
	CU_ASSERT_EQUAL(authority, 0);
	CU_ASSERT(place >= 0 && place < CRL_LOCATION_MAX);
	it.reports[report->is_delta] = *report;
	if (report->looked_at != 0)
		it.look_count++;
	if (report->error[0] == '\0')
		return;
	snprintf(it.failure, sizeof(it.failure), "%s", report->error);
	it.failure_count++;
}

/* The engine's clock: the wall's, moved. */
static int64_t on_now(void *context)
{
	(void)context;
	return (int64_t)time(NULL) + it.clock_offset;
}

static void engine_start(void)
{
	static const struct revocation_callbacks callbacks = {
		.on_index = on_index, .on_report = on_report, .now = on_now};
	struct error err;

	it.engine = revocation_new(it.base, &it.store, &it.config, it.directory, &callbacks, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.engine);
	CU_ASSERT_EQUAL(it.index_count + it.failure_count, 0);
}

static void engine_stop(void)
{
	revocation_free(it.engine);
	it.engine = NULL;
	for (size_t i = 0; i < CRL_LOCATION_MAX; i++) {
		revocation_index_close(it.indexes[i]);
		it.indexes[i] = NULL;
	}
	it.index = NULL;
	it.index_count = 0;
	it.failure_count = 0;
	it.look_count = 0;
	it.failure[0] = '\0';
}

/* Revokes entries from first to last, and takes those in removed out again. */
static void set_delta(
	uint32_t first, uint32_t last, int removed, long number, long base_number, long next_update)
{
	X509_CRL *crl = maker_crl_new(&it.ca, -20, next_update, number);
	ASN1_INTEGER *base = ASN1_INTEGER_new();
	uint8_t octets[16];

	ASN1_INTEGER_set(base, base_number);
	maker_must(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, 1, 0) == 1, "delta");
	ASN1_INTEGER_free(base);
	maker_revoke_series(crl, first, last - first);
	if (removed >= 0) {
		maker_serial((uint32_t)removed, octets);
		maker_revoke(crl, octets, sizeof(octets), 0, 8);
	}
	maker_span_free(&it.delta);
	it.delta = maker_crl_sign(crl, &it.ca, EVP_sha256());
}

/* Of what is kept of this kind. */
static const char *state_name(const char *kind)
{
	static char name[REVOCATION_STATE_NAME_SIZE];

	revocation_state_name(
		&it.authority, strcmp(kind, "delta") == 0 ? it.delta_url : it.url, kind, name);
	return name;
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
	it.config.proxy = it.proxy;
	it.authority.crl_count = 1;
	it.authority.crls[0].url = it.url;
	it.authority.crls[0].delta_url = it.delta_url;
	it.authority.issuer = it.delta_url;
	strcpy(it.authority.key_id, "0123456789abcdef");
	it.store = (struct trust_store){.count = 1, .authorities = &it.authority};
	server_start();
	set_crl(2, -60, 7200, 1);
}

static void directory_empty(void)
{
	DIR *directory = fdopendir(openat(it.directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *entry;

	while ((entry = readdir(directory)) != NULL)
		unlinkat(it.directory, entry->d_name, 0);
	closedir(directory);
}

static void teardown(void)
{
	engine_stop();
	evhttp_free(it.server);
	event_base_free(it.base);
	directory_empty();
	close(it.directory);
	CU_ASSERT_EQUAL(rmdir(it.directory_path), 0);
	maker_span_free(&it.crl);
	maker_span_free(&it.delta);
	maker_span_free(&it.parts[0]);
	maker_span_free(&it.parts[1]);
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

static bool run_until_looks(size_t look_count)
{
	for (int i = 0; i < WAIT_MS / 5 && it.look_count < look_count; i++) {
		struct timeval step = {0, 5000};

		event_base_loopexit(it.base, &step);
		event_base_dispatch(it.base);
	}
	return it.look_count == look_count;
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
	int fd = openat(it.directory, state_name("base"), O_RDWR | O_CLOEXEC);
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
	CU_ASSERT_EQUAL(fstatat(it.directory, state_name("base"), &st, AT_SYMLINK_NOFOLLOW), 0);
	CU_ASSERT_EQUAL(st.st_mode, S_IFREG | 0600);
	engine_stop();
	CU_ASSERT_EQUAL(unlinkat(it.directory, state_name("base"), 0), 0);
	CU_ASSERT_EQUAL(symlinkat("/etc/passwd", it.directory, state_name("base")), 0);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 1));
	engine_stop();
	CU_ASSERT_EQUAL(fstatat(it.directory, state_name("base"), &st, AT_SYMLINK_NOFOLLOW), 0);
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

static void test_what_the_server_says_is_unchanged_is_not_sent_again(void)
{
	setup();
	it.serve = SERVE_CACHED;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_EQUAL(it.unchanged_count, 0);
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until_looks(2));
	CU_ASSERT_EQUAL(it.unchanged_count, 1);
	CU_ASSERT_TRUE(it.reports[0].is_unchanged);
	CU_ASSERT_EQUAL(it.index_count, 1);
	/* A server that goes on saying so does not make an old one young. */
	it.clock_offset = 8000;
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_EQUAL(it.unchanged_count, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "past its nextUpdate"));
	/* It is asked for all of it then. */
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until(1, 2));
	CU_ASSERT_EQUAL(it.unchanged_count, 2);
	teardown();
}

/* One that replaced another in the same second has the same date. */
static void check_young_date(bool has_tag)
{
	setup();
	it.serve = SERVE_DATED;
	it.has_tag = has_tag;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	it.modified_ago_s = 60;
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until_looks(2));
	CU_ASSERT_EQUAL(it.unchanged_count, 0);
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until_looks(3));
	CU_ASSERT_EQUAL(it.unchanged_count, 1);
	teardown();
}

static void test_a_date_that_is_too_young_is_not_believed(void)
{
	check_young_date(false);
}

static void test_nor_is_a_tag_that_is_made_of_it(void)
{
	check_young_date(true);
}

static void test_a_restart_does_not_fetch_what_it_has(void)
{
	static const char *const damage[] = {"", "\n\n\nend\n", "zz\n\n\nend\n", "\xff", NULL};

	setup();
	it.serve = SERVE_CACHED;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	engine_stop();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	it.look_count = 0;
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until_looks(1));
	CU_ASSERT_EQUAL(it.unchanged_count, 1);
	CU_ASSERT_TRUE(it.reports[0].is_unchanged);
	/* What cannot be read is as good as nothing. */
	for (size_t i = 0; damage[i] != NULL; i++) {
		int fd = openat(it.directory, state_name("seen"), O_WRONLY | O_TRUNC | O_CLOEXEC);

		CU_ASSERT_EQUAL(
			write(fd, damage[i], strlen(damage[i])), (ssize_t)strlen(damage[i]));
		close(fd);
		engine_stop();
		engine_start();
		CU_ASSERT_TRUE(run_until(1, 0));
		it.unchanged_count = it.look_count = 0;
		revocation_refresh(it.engine, -1);
		CU_ASSERT_TRUE(run_until_looks(1));
		CU_ASSERT_EQUAL(it.unchanged_count, 0);
		CU_ASSERT_EQUAL(it.failure_count, 0);
		CU_ASSERT_EQUAL(it.index_count, 1);
	}
	teardown();
}

/* A backup, or two processes that write during a reload, may leave an index that is not that of which
 * the server says that it is unchanged. */
static void test_what_is_kept_of_another_index_is_not_believed(void)
{
	uint8_t older[4096];
	ssize_t len;
	int fd;

	setup();
	set_crl(1, -3600, 3600, 1);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	fd = openat(it.directory, state_name("base"), O_RDWR | O_CLOEXEC);
	len = read(fd, older, sizeof(older));
	close(fd);
	CU_ASSERT_TRUE(len > 0 && (size_t)len < sizeof(older));
	set_crl(3, -60, 3600, 2);
	it.serve = SERVE_CACHED;
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until(2, 0));
	engine_stop();
	fd = openat(it.directory, state_name("base"), O_WRONLY | O_TRUNC | O_CLOEXEC);
	CU_ASSERT_EQUAL(write(fd, older, (size_t)len), len);
	close(fd);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_FALSE(is_revoked(2));
	it.look_count = 0;
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until_looks(1));
	CU_ASSERT_EQUAL(it.unchanged_count, 0);
	CU_ASSERT_TRUE(is_revoked(2));
	teardown();
}

static void test_a_refresh_during_a_download_looks_again(void)
{
	setup();
	it.serve = SERVE_NOTHING_YET;
	it.config.time_limit_ms = 300;
	engine_start();
	for (int i = 0; i < 200 && it.request_count == 0; i++)
		run_for_ms(5);
	revocation_refresh(it.engine, 0);
	revocation_refresh(it.engine, 0);
	run_for_ms(50);
	CU_ASSERT_EQUAL(it.request_count, 1);
	it.serve = SERVE_CRL;
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_EQUAL(it.request_count, 2);
	CU_ASSERT_EQUAL(it.reports[0].failures, 0);
	teardown();
}

static void test_failures_are_counted_and_wait_longer(void)
{
	int64_t first;

	setup();
	it.serve = SERVE_NOT_FOUND;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_EQUAL(it.reports[0].failures, 1);
	first = it.reports[0].next_look - it.reports[0].looked_at;
	CU_ASSERT(first >= 54 && first <= 60);
	revocation_refresh(it.engine, -1);
	CU_ASSERT_TRUE(run_until(0, 2));
	CU_ASSERT_EQUAL(it.reports[0].failures, 2);
	CU_ASSERT(it.reports[0].next_look - it.reports[0].looked_at >= 108);
	CU_ASSERT_FALSE(it.index_count > 0);
	CU_ASSERT_TRUE(revocation_is_settled(it.engine));
	teardown();
}

static void test_an_authority_has_limits_of_its_own(void)
{
	setup();
	it.config.size_limit = it.crl.len - 1;
	it.authority.crl_size_limit = it.crl.len;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	engine_stop();
	directory_empty();
	it.config.size_limit = SIZE_LIMIT;
	it.authority.crl_size_limit = it.crl.len - 1;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "larger than the limit"));
	engine_stop();
	it.authority.crl_size_limit = 0;
	it.config.time_limit_ms = 60000;
	it.authority.crl_time_limit_ms = 200;
	it.serve = SERVE_NOTHING_YET;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "timed out"));
	teardown();
}

static void test_grace_takes_a_late_crl_and_says_so(void)
{
	setup();
	set_crl(2, -7200, -600, 1);
	it.authority.grace_s = 3600;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_TRUE(is_revoked(1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "grace"));
	engine_stop();
	it.serve = SERVE_NOTHING_YET;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	engine_stop();
	it.serve = SERVE_CRL;
	it.clock_offset = 3600;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "past its nextUpdate"));
	teardown();
}

static void test_each_place_has_an_index_of_its_own(void)
{
	static const char *const names[] = {"0.crl", "1.crl"};
	char urls[2][64];

	setup();
	for (uint32_t i = 0; i < 2; i++) {
		X509_CRL *crl = maker_crl_new(&it.ca, -60, 7200, 5 - (long)i);

		maker_revoke_series(crl, i, 1);
		it.parts[i] = maker_crl_sign(crl, &it.ca, EVP_sha256());
		snprintf(urls[i], sizeof(urls[i]), "http://127.0.0.1:%u/%s", it.port, names[i]);
		it.authority.crls[i] =
			(struct crl_location){.url = urls[i], .delta_url = it.delta_url};
	}
	it.authority.crl_count = 2;
	engine_start();
	CU_ASSERT_TRUE(run_until(2, 0));
	CU_ASSERT_TRUE(revocation_is_settled(it.engine));
	for (int restarts = 0; restarts < 2; restarts++) {
		for (uint32_t i = 0; i < 2; i++) {
			struct serial serial = {{0}};

			maker_serial(i, serial.octets + 4);
			for (uint32_t j = 0; j < 2; j++)
				CU_ASSERT_EQUAL(
					revocation_index_find(it.indexes[j], NULL, &serial, NULL),
					i == j);
		}
		engine_stop();
		engine_start();
		CU_ASSERT_TRUE(run_until(2, 0));
	}
	teardown();
}

static void file_rename(struct span content)
{
	file_put(content);
	CU_ASSERT_EQUAL(renameat(it.directory, "ca.crl", it.directory, "published.crl"), 0);
}

static void test_a_watched_file_is_read_when_it_changes(void)
{
	setup();
	snprintf(it.url, sizeof(it.url), "file:%s/published.crl", it.directory_path);
	file_rename(it.crl);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	set_crl(3, -30, 7200, 2);
	file_rename(it.crl);
	CU_ASSERT_TRUE(run_until(2, 0));
	CU_ASSERT_TRUE(is_revoked(2));
	/* Another file in that directory is nothing to us. */
	it.look_count = 0;
	file_put(it.crl);
	run_for_ms(100);
	CU_ASSERT_EQUAL(it.look_count, 0);
	/* The same file is not read again for nothing. */
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until_looks(1));
	CU_ASSERT_TRUE(it.reports[0].is_unchanged);
	/* Nor one that is bad, whatever happens around it. */
	file_rename(span_of((const uint8_t *)"no CRL", 6));
	CU_ASSERT_TRUE(run_until(2, 1));
	file_put(it.crl);
	run_for_ms(100);
	CU_ASSERT_EQUAL(it.failure_count, 1);
	teardown();
}

static void setup_delta(void)
{
	setup();
	snprintf(it.delta_url, sizeof(it.delta_url), "http://127.0.0.1:%u/delta.crl", it.port);
	set_crl(2, -60, 7200, 10);
	set_delta(2, 3, -1, 11, 10, 3600);
}

/* A base that revokes 0 and 1, and holds 7. */
static void set_holding_crl(long number)
{
	X509_CRL *crl = maker_crl_new(&it.ca, -60, 7200, number);
	uint8_t octets[16];

	maker_revoke_series(crl, 0, 2);
	maker_serial(7, octets);
	maker_revoke(crl, octets, sizeof(octets), 0, 6);
	maker_span_free(&it.crl);
	it.crl = maker_crl_sign(crl, &it.ca, EVP_sha256());
}

static void test_a_delta_is_merged_into_its_base(void)
{
	const struct revocation_facts *facts;

	setup_delta();
	set_holding_crl(10);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.index);
	CU_ASSERT_TRUE(is_revoked(0) && is_revoked(1) && is_revoked(2) && is_revoked(7));
	facts = revocation_index_facts(it.index);
	CU_ASSERT_TRUE(facts->has_delta);
	CU_ASSERT_EQUAL(facts->next_update - facts->this_update, 3620);
	/* The delta is looked for by its own time, not by the base's. */
	CU_ASSERT(it.reports[1].next_look < it.reports[0].next_look);
	set_delta(2, 4, 7, 12, 10, 3600);
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until(2, 0));
	CU_ASSERT_TRUE(is_revoked(0) && is_revoked(1) && is_revoked(2) && is_revoked(3));
	CU_ASSERT_FALSE(is_revoked(7));
	teardown();
}

static void test_a_pair_without_its_delta_is_no_pair(void)
{
	setup_delta();
	it.is_delta_gone = true;
	it.config.retry_ms = 200;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "404"));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, it.delta_url));
	it.is_delta_gone = false;
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_TRUE(is_revoked(2));
	teardown();
}

static void test_a_delta_without_its_base_waits_for_it(void)
{
	setup_delta();
	it.serve = SERVE_NOT_FOUND;
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 2));
	CU_ASSERT_EQUAL(it.delta_count, 0);
	CU_ASSERT_TRUE(revocation_is_settled(it.engine));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.reports[1].error, "its base CRL has not been fetched"));
	it.serve = SERVE_CRL;
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until(1, 2));
	CU_ASSERT_TRUE(is_revoked(2));
	teardown();
}

static void test_a_delta_that_wants_a_newer_base_gets_it(void)
{
	setup_delta();
	it.config.retry_ms = 100;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	run_for_ms(150);
	set_crl(4, -30, 7200, 20);
	set_delta(4, 5, -1, 21, 20, 3600);
	it.request_count = 0;
	/* The delta comes first, and does not fit. */
	it.look_count = it.failure_count = 0;
	revocation_refresh(it.engine, 0);
	for (int i = 0; i < 400 && !is_revoked(4); i++)
		run_for_ms(5);
	CU_ASSERT_TRUE(is_revoked(3) && is_revoked(4));
	CU_ASSERT(it.request_count <= 3);
	teardown();
}

static void test_a_newer_base_counts_before_its_delta_comes_but_not_for_longer(void)
{
	int64_t until;

	setup_delta();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.index);
	until = revocation_index_facts(it.index)->next_update;
	it.is_delta_gone = true;
	set_crl(5, -20, 72000, 20);
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until(2, 2) || run_until(2, 1));
	CU_ASSERT_TRUE(is_revoked(4));
	CU_ASSERT_EQUAL(revocation_index_facts(it.index)->next_update, until);
	CU_ASSERT_FALSE(revocation_index_facts(it.index)->has_delta);
	/* Over a restart too. */
	engine_stop();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_TRUE(is_revoked(4));
	CU_ASSERT_EQUAL(revocation_index_facts(it.index)->next_update, until);
	it.is_delta_gone = false;
	set_delta(5, 6, -1, 21, 20, 3600);
	revocation_refresh(it.engine, 0);
	for (int i = 0; i < 400 && !is_revoked(5); i++)
		run_for_ms(5);
	CU_ASSERT_TRUE(is_revoked(4) && is_revoked(5));
	CU_ASSERT_TRUE(revocation_index_facts(it.index)->has_delta);
	teardown();
}

static void test_a_pair_outlives_a_restart_without_network(void)
{
	setup_delta();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	engine_stop();
	it.serve = SERVE_NOTHING_YET;
	it.is_delta_gone = true;
	it.request_count = it.delta_count = 0;
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	CU_ASSERT_TRUE(is_revoked(1) && is_revoked(2));
	CU_ASSERT_TRUE(revocation_is_settled(it.engine));
	run_for_ms(50);
	CU_ASSERT_EQUAL(it.request_count + it.delta_count, 0);
	teardown();
}

static void test_a_replayed_delta_is_refused(void)
{
	setup_delta();
	set_delta(2, 4, -1, 12, 10, 3600);
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	set_delta(2, 3, -1, 11, 10, 7200);
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, it.delta_url));
	engine_stop();
	engine_start();
	CU_ASSERT_TRUE(run_until(1, 0));
	revocation_refresh(it.engine, 0);
	CU_ASSERT_TRUE(run_until(1, 1));
	CU_ASSERT_TRUE(is_revoked(3));
	teardown();
}

static void test_a_delta_past_its_next_update_is_a_failure(void)
{
	setup_delta();
	set_delta(2, 3, -1, 11, 10, -10);
	engine_start();
	CU_ASSERT_TRUE(run_until(0, 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(it.failure, "delta CRL is past its nextUpdate"));
	teardown();
}

static void test_authority_without_location_is_left_alone(void)
{
	setup();
	it.url[0] = '\0';
	it.authority.crl_count = 0;
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
		{"a date that is too young is not believed",
			test_a_date_that_is_too_young_is_not_believed},
		{"nor is a tag that is made of it", test_nor_is_a_tag_that_is_made_of_it},
		{"what the server says is unchanged is not sent again",
			test_what_the_server_says_is_unchanged_is_not_sent_again},
		{"a restart does not fetch what it has", test_a_restart_does_not_fetch_what_it_has},
		{"what is kept of another index is not believed",
			test_what_is_kept_of_another_index_is_not_believed},
		{"a refresh during a download looks again",
			test_a_refresh_during_a_download_looks_again},
		{"failures are counted and wait longer", test_failures_are_counted_and_wait_longer},
		{"an authority has limits of its own", test_an_authority_has_limits_of_its_own},
		{"grace takes a late CRL and says so", test_grace_takes_a_late_crl_and_says_so},
		{"each place has an index of its own", test_each_place_has_an_index_of_its_own},
		{"a watched file is read when it changes",
			test_a_watched_file_is_read_when_it_changes},
		{"a delta is merged into its base", test_a_delta_is_merged_into_its_base},
		{"a pair without its delta is no pair", test_a_pair_without_its_delta_is_no_pair},
		{"a delta without its base waits for it",
			test_a_delta_without_its_base_waits_for_it},
		{"a delta that wants a newer base gets it",
			test_a_delta_that_wants_a_newer_base_gets_it},
		{"a newer base counts before its delta comes, but not for longer",
			test_a_newer_base_counts_before_its_delta_comes_but_not_for_longer},
		{"a pair outlives a restart without network",
			test_a_pair_outlives_a_restart_without_network},
		{"a replayed delta is refused, after a restart too",
			test_a_replayed_delta_is_refused},
		{"a delta past its nextUpdate is a failure",
			test_a_delta_past_its_next_update_is_a_failure},
		{"an authority without location is left alone",
			test_authority_without_location_is_left_alone},
		{"the engine can end in mid download", test_engine_can_end_in_mid_download},
	};

	return check_run("auth/revocation_engine", checks, sizeof(checks) / sizeof(checks[0]));
}
