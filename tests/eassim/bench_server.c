#include "bench_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_conn.h"
#include "serve.h"

enum { BACKLOG = 4096, TICK_MS = 1000, WAKE_TICK_MS = 10 };

static volatile sig_atomic_t must_stop;

static void server_on_accept(struct poller_item *item)
{
	struct bench_server *server =
		(struct bench_server *)((char *)item - offsetof(struct bench_server, listener));
	int fd;

	while ((fd = accept4(item->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1)
		bench_conn_open(server, fd);
	/* A full file table must not become a busy loop: the next tick tries again. */
	if (errno == EMFILE || errno == ENFILE) {
		fprintf(stderr, "eassim: accepting a connection: %s\n", strerror(errno));
		poller_want(&server->poller, item, 0);
	}
}

/* Waking */

uint64_t bench_server_wake(struct bench_server *server, uint32_t pace)
{
	server->wake_left = server->serve->stats.polls_waiting;
	server->wake_pace = pace;
	server->wake_begun_ms = bench_now_ms();
	server->woken = 0;
	return server->wake_left;
}

static void server_wake_some(struct bench_server *server)
{
	uint64_t due = UINT64_MAX;

	if (server->wake_pace > 0)
		due = (bench_now_ms() - server->wake_begun_ms) * server->wake_pace / 1000 + 1;
	while (server->wake_left > 0 && server->woken < due) {
		struct bench_conn *conn = TAILQ_FIRST(&server->polls);

		server->wake_left--;
		server->woken++;
		if (conn != NULL)
			bench_conn_wake(conn);
	}
}

static void server_expire(struct bench_server *server)
{
	uint32_t now_s = (uint32_t)(bench_now_ms() / 1000);
	struct bench_conn *conn;

	while ((conn = TAILQ_FIRST(&server->polls)) != NULL && conn->deadline_s <= now_s)
		bench_conn_expire(conn);
}

static void on_stop(int number)
{
	(void)number;
	must_stop = 1;
}

void bench_server_run(struct bench_server *server)
{
	struct sigaction action = {.sa_handler = on_stop};
	uint64_t expired_ms = bench_now_ms();

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	while (!must_stop) {
		poller_run(&server->poller, server->wake_left > 0 ? WAKE_TICK_MS : TICK_MS);
		if (server->wake_left > 0)
			server_wake_some(server);
		if (bench_now_ms() - expired_ms >= TICK_MS) {
			expired_ms = bench_now_ms();
			server_expire(server);
			poller_want(&server->poller, &server->listener, EPOLLIN);
		}
	}
}

/* Starting and stopping */

/* The usual answer with its head, so that both go out in one piece. */
static int answer_make(struct bench_server *server, enum bench_kind kind, struct error *err)
{
	static const char format[] =
		"HTTP/1.1 200 OK\r\nServer: eassim\r\nX-EAS-Stand-In: eassim\r\n"
		"MS-Server-ActiveSync: eassim/" EASPROXY_VERSION "\r\n"
		"Cache-Control: private\r\n%sContent-Length: %zu\r\n\r\n";
	static const char versions[] =
		"MS-ASProtocolVersions: 2.5,12.0,12.1,14.0,14.1,16.0,16.1\r\n"
		"MS-ASProtocolCommands: Sync,SendMail,FolderSync,Settings,Ping,Provision\r\n"
		"Public: OPTIONS,POST\r\nAllow: OPTIONS,POST\r\n";
	const struct bench_bytes *body = &server->content.answers[kind];
	struct bench_bytes *answer = &server->answers[kind];
	char head[1024];
	size_t head_len = (size_t)snprintf(head, sizeof(head), format,
		kind == BENCH_OPTIONS ? versions
		: body->len > 0       ? "Content-Type: application/vnd.ms-sync.wbxml\r\n"
				      : "",
		body->len);

	answer->len = head_len + body->len;
	answer->token_at = head_len + body->token_at;
	answer->data = malloc(answer->len);
	if (answer->data == NULL)
		return error_set(err, "making what the bench answers: out of memory");
	memcpy(answer->data, head, head_len);
	if (body->len > 0)
		memcpy(answer->data + head_len, body->data, body->len);
	return 0;
}

static int server_listen(struct bench_server *server, const char *text, struct error *err)
{
	struct sockaddr_storage address;
	int address_len = sizeof(address), on = 1;
	int fd;

	if (server_address_read(text, &address, &address_len) != 0)
		return error_set(err, "%s is not an address with a port, as 127.0.0.1:8080", text);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	server->listener = (struct poller_item){.on_ready = server_on_accept, .fd = fd};
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
		bind(fd, (struct sockaddr *)&address, (socklen_t)address_len) == -1 ||
		listen(fd, BACKLOG) == -1 ||
		poller_want(&server->poller, &server->listener, EPOLLIN) == -1)
		return error_sys(err, "listening on %s", text);
	return 0;
}

static enum refusal judge_nobody(void *owner, X509 *leaf, STACK_OF(X509) * sent)
{
	(void)owner;
	(void)leaf;
	(void)sent;
	return REFUSAL_NONE;
}

static int server_use_tls(struct bench_server *server, struct error *err)
{
	const struct serve_options *options = &server->serve->options;
	static char chain[] = "the certificate", key[] = "the key", name[] = "bench", none[] = "";
	struct config_certificate certificate = {.name = name,
		.chain = {.path = chain, .fd = open(options->tls_cert, O_RDONLY | O_CLOEXEC)},
		.key = {.path = key,
			.fd = options->tls_key != NULL
				      ? open(options->tls_key, O_RDONLY | O_CLOEXEC)
				      : -1}};
	struct config_listener listener = {.name = name,
		.certificates = &server->certificate,
		.certificate_count = 1,
		.tls_min = CONFIG_TLS_1_2,
		.ciphers = none};
	struct config_trust trust = {.security_level = 1};
	STACK_OF(X509_NAME) *nobody = sk_X509_NAME_new_null();

	server->certificate = certificate;
	if (certificate.chain.fd == -1 || certificate.key.fd == -1)
		error_set(err, "reading %s and its key %s: %s", options->tls_cert,
			options->tls_key != NULL ? options->tls_key : "(--tls-key is missing)",
			strerror(errno));
	else
		server->tls =
			tls_server_new(&listener, &trust, false, true, nobody, judge_nobody, err);
	sk_X509_NAME_free(nobody);
	if (certificate.chain.fd != -1)
		close(certificate.chain.fd);
	if (certificate.key.fd != -1)
		close(certificate.key.fd);
	return server->tls != NULL ? 0 : -1;
}

struct bench_server *bench_server_new(struct serve *serve, struct error *err)
{
	struct bench_server *server = calloc(1, sizeof(*server));
	int status;

	if (server == NULL) {
		error_set(err, "starting the server: out of memory");
		return NULL;
	}
	server->serve = serve;
	server->listener.fd = server->poller.fd = -1;
	TAILQ_INIT(&server->polls);
	status = bench_content_make(&server->content, err);
	for (enum bench_kind kind = BENCH_OPTIONS; status == 0 && kind < BENCH_KIND_COUNT; kind++)
		status = answer_make(server, kind, err);
	if (status != 0 || (serve->options.tls_cert != NULL && server_use_tls(server, err) != 0) ||
		poller_open(&server->poller, err) != 0 ||
		server_listen(server, serve->options.http.listen, err) != 0) {
		bench_server_free(server);
		return NULL;
	}
	return server;
}

void bench_server_free(struct bench_server *server)
{
	struct bench_conn *conn, *next;

	if (server == NULL)
		return;
	for (conn = LIST_FIRST(&server->conns); conn != NULL; conn = next) {
		next = LIST_NEXT(conn, link);
		bench_conn_close(conn);
	}
	if (server->listener.fd != -1)
		close(server->listener.fd);
	poller_close(&server->poller);
	tls_server_free(server->tls);
	for (int kind = 0; kind < BENCH_KIND_COUNT; kind++)
		free(server->answers[kind].data);
	bench_content_free(&server->content);
	free(server);
}

uint16_t bench_server_port(const struct bench_server *server)
{
	return server_socket_port(server->listener.fd);
}
