#include "proxy/easproxyctl_client.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/control.h"
#include "proxy/easproxyctl_usage.h"

/* What an operator may do about it. */
static const char *hint_at(int code)
{
	if (code == ENOENT || code == ECONNREFUSED)
		return "; is it running, and is this its control-socket?";
	if (code == EACCES)
		return "; it is open to root and the group of easproxyd";
	return "";
}

static int connect_to(const char *path, struct error *err)
{
	/* A reload is answered when it is done. */
	const struct timeval patience = {.tv_sec = CONTROL_RELOAD_TIME_MS / 1000 + 5};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, "the name of the socket %s is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return error_sys(err, "making a socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == -1 ||
		connect(fd, (const struct sockaddr *)&address, sizeof(address)) == -1) {
		int code = errno;

		error_set(
			err, "reaching easproxyd on %s: %s%s", path, strerror(code), hint_at(code));
		close(fd);
		return -1;
	}
	return fd;
}

static char *receive_answer(int fd, struct error *err)
{
	size_t len = 0, size = 16384;
	char *answer = malloc(size);

	if (answer == NULL)
		error_set(err, "out of memory");
	while (answer != NULL) {
		ssize_t got = recv(fd, answer + len, size - 1 - len, 0);
		char *larger;

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			error_sys(err, "waiting for easproxyd's answer");
			break;
		}
		len += (size_t)got;
		answer[len] = '\0';
		if (got == 0 && len > 0)
			return answer;
		if (got == 0 || len >= CONTROL_ANSWER_MAX) {
			error_set(err, got == 0 ? "easproxyd gave no answer"
						: "easproxyd's answer is too long");
			break;
		}
		if (len < size - 1)
			continue;
		size *= 2;
		larger = realloc(answer, size);
		if (larger == NULL) {
			error_set(err, "out of memory");
			break;
		}
		answer = larger;
	}
	free(answer);
	return NULL;
}

/* The bytes, and the line feed that ends a request. */
static int send_line(int fd, const char *line, struct error *err)
{
	size_t len = strlen(line), sent = 0;

	if (len >= CONTROL_REQUEST_MAX)
		return error_set(err, "what was to be asked is longer than %d bytes",
			CONTROL_REQUEST_MAX - 1);
	while (sent <= len) {
		const char *from = sent < len ? line + sent : "\n";
		ssize_t here = send(fd, from, sent < len ? len - sent : 1, MSG_NOSIGNAL);

		if (here == -1 && errno == EINTR)
			continue;
		if (here == -1)
			return error_sys(err, "asking easproxyd");
		sent += (size_t)here;
	}
	return 0;
}

char *ctl_ask(const char *socket_path, const char *line, struct error *err)
{
	char *answer = NULL;
	int fd = connect_to(socket_path, err);

	if (fd == -1)
		return NULL;
	if (send_line(fd, line, err) == 0)
		answer = receive_answer(fd, err);
	close(fd);
	return answer;
}

json_t *ctl_request(const char *socket_path, json_t *request, struct error *err)
{
	char *line = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
	char *text = line == NULL ? NULL : ctl_ask(socket_path, line, err);
	json_t *answer = NULL;
	const char *error;

	json_decref(request);
	if (line == NULL)
		error_set(err, "out of memory");
	free(line);
	if (text == NULL)
		return NULL;
	answer = json_loads(text, 0, NULL);
	free(text);
	if (json_is_true(json_object_get(answer, "ok")))
		return answer;
	error = json_string_value(json_object_get(answer, "error"));
	error_set(err, "%s", error == NULL ? "easproxyd's answer makes no sense" : error);
	json_decref(answer);
	return NULL;
}

enum { LINE_ROOM = 65536, LINE_MAX_ROOM = 2 * CONTROL_ANSWER_MAX };

/* Lines as they come, in a buffer that grows up to the longest. */
struct line_reader {
	char *data;
	size_t len, size;
};

/* Hands out the lines that are whole. */
static void take_lines(struct line_reader *reader, ctl_line *take, void *context)
{
	size_t from = 0;
	char *end;

	while ((end = memchr(reader->data + from, '\n', reader->len - from)) != NULL) {
		*end = '\0';
		take(context, reader->data + from);
		from = (size_t)(end - reader->data) + 1;
	}
	memmove(reader->data, reader->data + from, reader->len - from);
	reader->len -= from;
}

static int reader_grow(struct line_reader *reader, struct error *err)
{
	size_t size = reader->size == 0 ? LINE_ROOM : 2 * reader->size;
	char *larger = size <= LINE_MAX_ROOM ? realloc(reader->data, size) : NULL;

	if (larger == NULL)
		return error_set(err, "a line of easproxyd's answer is too long");
	reader->data = larger;
	reader->size = size;
	return 0;
}

static int receive_lines(int fd, ctl_line *take, void *context, struct error *err)
{
	struct line_reader reader = {NULL, 0, 0};
	int result = 0;

	for (;;) {
		ssize_t got;

		if (reader.len == reader.size && (result = reader_grow(&reader, err)) != 0)
			break;
		got = recv(fd, reader.data + reader.len, reader.size - reader.len, 0);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			result = error_sys(err, "waiting for easproxyd");
		if (got <= 0)
			break;
		reader.len += (size_t)got;
		take_lines(&reader, take, context);
	}
	free(reader.data);
	return result;
}

int ctl_stream(const char *socket_path, json_t *request, uint32_t time_ms, ctl_line *take,
	void *context, struct error *err)
{
	const struct timeval patience = {.tv_sec = (time_t)(time_ms / 1000)};
	char *line = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
	int fd, result;

	json_decref(request);
	if (line == NULL)
		return error_set(err, "out of memory");
	fd = connect_to(socket_path, err);
	result = fd != -1 ? send_line(fd, line, err) : -1;
	if (result == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == -1)
		result = error_sys(err, "setting how long to wait");
	if (result == 0)
		result = receive_lines(fd, take, context, err);
	if (fd != -1)
		close(fd);
	free(line);
	return result;
}

static int print_result(const char *answer, const char *done)
{
	json_t *object = json_loads(answer, 0, NULL);
	const char *error = json_string_value(json_object_get(object, "error"));
	int status = json_is_true(json_object_get(object, "ok")) ? 0 : 1;

	if (status == 0)
		puts(done);
	else
		fprintf(stderr, "%s\n",
			error == NULL ? "easproxyd's answer makes no sense" : error);
	json_decref(object);
	return status;
}

int ctl_simple_request(int argc, char **argv, const char *done)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	const char *path = CTL_DEFAULT_SOCKET;
	struct error err;
	int option, status;
	char *answer;

	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, "s:", options, NULL)) == 's')
		path = optarg;
	if (option != -1 || optind != argc) {
		fprintf(ctl_usage_stream(argc, argv), "usage: easproxyctl %s [-s SOCKET]\n",
			argv[0]);
		return ctl_usage_status(argc, argv);
	}
	answer = ctl_ask(path, argv[0], &err);
	if (answer == NULL) {
		fprintf(stderr, "easproxyctl: %s\n", err.text);
		return 1;
	}
	status = print_result(answer, done);
	free(answer);
	return status;
}
