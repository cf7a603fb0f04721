#include "auth/revocation_fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REDIRECT_MAX = 3, BODY_FIRST_SIZE = 65536 };

/* One download. */
struct fetch {
	struct revocation_fetcher *fetcher;
	struct fetch *next;
	void *context;
	CURL *easy;
	uint8_t *body;
	size_t len;
	size_t capacity;
	bool is_too_large;
	char reason[CURL_ERROR_SIZE];
};

struct revocation_fetcher {
	struct event_base *base;
	struct event *timer;
	CURLM *multi;
	struct fetch *fetches;
	uint64_t size_limit;
	uint32_t time_limit_ms;
	revocation_fetch_done *done;
};

static void fetch_free(struct fetch *fetch)
{
	curl_easy_cleanup(fetch->easy);
	free(fetch->body);
	free(fetch);
}

static size_t fetch_on_body(char *data, size_t size, size_t count, void *arg)
{
	struct fetch *fetch = arg;
	size_t len = size * count; /* libcurl's size is always 1 */
	uint64_t limit = fetch->fetcher->size_limit;

	if (len > limit || fetch->len > limit - len) {
		fetch->is_too_large = true;
		return 0;
	}
	if (len > fetch->capacity - fetch->len) {
		size_t wanted = fetch->capacity == 0 ? BODY_FIRST_SIZE : fetch->capacity * 2;
		uint8_t *body;

		if (wanted < fetch->len + len)
			wanted = fetch->len + len;
		body = realloc(fetch->body, wanted);
		if (body == NULL)
			return 0;
		fetch->body = body;
		fetch->capacity = wanted;
	}
	memcpy(fetch->body + fetch->len, data, len);
	fetch->len += len;
	return len;
}

/* What a finished download failed with, in words; NULL if it did not. */
static const char *fetch_failure(struct fetch *fetch, CURLcode code, char text[256])
{
	long status = 0;

	if (fetch->is_too_large || code == CURLE_FILESIZE_EXCEEDED) {
		snprintf(text, 256, "larger than the limit of %llu bytes",
			(unsigned long long)fetch->fetcher->size_limit);
		return text;
	}
	if (code != CURLE_OK) {
		snprintf(text, 256, "%s",
			fetch->reason[0] != '\0' ? fetch->reason : curl_easy_strerror(code));
		return text;
	}
	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return NULL;
	snprintf(text, 256, "answered with HTTP status %ld", status);
	return text;
}

static void fetch_finish(struct fetch *fetch, CURLcode code)
{
	struct revocation_fetcher *fetcher = fetch->fetcher;
	char text[256];
	const char *failure = fetch_failure(fetch, code, text);

	for (struct fetch **link = &fetcher->fetches; *link != NULL; link = &(*link)->next)
		if (*link == fetch) {
			*link = fetch->next;
			break;
		}
	curl_multi_remove_handle(fetcher->multi, fetch->easy);
	fetcher->done(
		fetch->context, span_of(fetch->body, failure == NULL ? fetch->len : 0), failure);
	fetch_free(fetch);
}

static void fetcher_collect(struct revocation_fetcher *fetcher)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		char *fetch = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
		fetch_finish((struct fetch *)(void *)fetch, code);
	}
}

static void fetcher_on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct revocation_fetcher *fetcher = arg;
	int running;
	int action = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
		     ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);

	curl_multi_socket_action(fetcher->multi, fd, action, &running);
	fetcher_collect(fetcher);
}

static void fetcher_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct revocation_fetcher *fetcher = arg;
	int running;

	(void)fd;
	(void)what;
	curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	fetcher_collect(fetcher);
}

/* libcurl: watch this socket for that, or no longer. */
static int fetcher_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct revocation_fetcher *fetcher = arg;
	struct event *event = socket_arg;
	short flags = EV_PERSIST;

	(void)easy;
	if (event != NULL)
		event_free(event);
	curl_multi_assign(fetcher->multi, fd, NULL);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		flags |= EV_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		flags |= EV_WRITE;
	event = event_new(fetcher->base, fd, flags, fetcher_on_socket, fetcher);
	if (event == NULL)
		return -1;
	if (event_add(event, NULL) == -1) {
		event_free(event);
		return -1;
	}
	curl_multi_assign(fetcher->multi, fd, event);
	return 0;
}

/* libcurl: call again after so long; -1: not by time. */
static int fetcher_set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct revocation_fetcher *fetcher = arg;
	struct timeval after = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	(void)multi;
	if (timeout_ms < 0)
		return event_del(fetcher->timer);
	return event_add(fetcher->timer, &after);
}

struct revocation_fetcher *revocation_fetcher_new(struct event_base *base, uint64_t size_limit,
	uint32_t time_limit_ms, revocation_fetch_done *done, struct error *err)
{
	struct revocation_fetcher *fetcher = calloc(1, sizeof(*fetcher));

	if (fetcher == NULL)
		goto fail;
	fetcher->base = base;
	fetcher->size_limit = size_limit;
	fetcher->time_limit_ms = time_limit_ms;
	fetcher->done = done;
	/* No TLS: CRLs are signed, and only http: is fetched (RFC 5280 8 warns of https: loops). */
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
		free(fetcher);
		fetcher = NULL;
		goto fail;
	}
	fetcher->timer = evtimer_new(base, fetcher_on_timer, fetcher);
	fetcher->multi = curl_multi_init();
	if (fetcher->timer == NULL || fetcher->multi == NULL)
		goto fail;
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, fetcher_watch);
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, fetcher_set_timer);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
	return fetcher;
fail:
	revocation_fetcher_free(fetcher);
	error_set(err, "preparing to download CRLs failed: out of memory?");
	return NULL;
}

void revocation_fetcher_free(struct revocation_fetcher *fetcher)
{
	if (fetcher == NULL)
		return;
	while (fetcher->fetches != NULL) {
		struct fetch *fetch = fetcher->fetches;

		fetcher->fetches = fetch->next;
		curl_multi_remove_handle(fetcher->multi, fetch->easy);
		fetch_free(fetch);
	}
	if (fetcher->multi != NULL)
		curl_multi_cleanup(fetcher->multi);
	if (fetcher->timer != NULL)
		event_free(fetcher->timer);
	curl_global_cleanup();
	free(fetcher);
}

/* Nothing from the environment, nothing kept between downloads, nothing but http:. */
static bool fetch_set_options(struct fetch *fetch, const char *url)
{
	const struct revocation_fetcher *fetcher = fetch->fetcher;
	curl_off_t size_limit =
		(curl_off_t)(fetcher->size_limit > INT64_MAX ? INT64_MAX : fetcher->size_limit);
	CURL *easy = fetch->easy;

	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECT_MAX) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, size_limit) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)fetcher->time_limit_ms) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)fetcher->time_limit_ms) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, "easproxyd/" EASPROXY_VERSION) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->reason) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, fetch_on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK;
}

int revocation_fetcher_start(
	struct revocation_fetcher *fetcher, const char *url, void *context, struct error *err)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (fetch == NULL)
		return error_set(err, "out of memory");
	fetch->fetcher = fetcher;
	fetch->context = context;
	fetch->easy = curl_easy_init();
	if (fetch->easy == NULL || !fetch_set_options(fetch, url) ||
		curl_multi_add_handle(fetcher->multi, fetch->easy) != CURLM_OK) {
		fetch_free(fetch);
		return error_set(err, "not a location that can be downloaded");
	}
	fetch->next = fetcher->fetches;
	fetcher->fetches = fetch;
	return 0;
}

const char *revocation_file_path(const char *url)
{
	const char *path;

	if (strncasecmp(url, "file:", 5) != 0)
		return NULL;
	path = url + 5;
	if (strncmp(path, "//", 2) == 0) {
		path += 2;
		if (strncasecmp(path, "localhost/", 10) == 0)
			path += 9;
	}
	return path[0] == '/' ? path : NULL;
}

static int file_read_open(
	int fd, uint64_t size_limit, uint8_t **data, size_t *len, struct error *err)
{
	struct stat st;
	size_t size;
	size_t at = 0;

	if (fstat(fd, &st) == -1)
		return error_sys(err, "reading it");
	if (!S_ISREG(st.st_mode))
		return error_set(err, "not a regular file");
	if ((uint64_t)st.st_size > size_limit)
		return error_set(
			err, "larger than the limit of %llu bytes", (unsigned long long)size_limit);
	size = (size_t)st.st_size;
	*data = malloc(size + 1);
	if (*data == NULL)
		return error_set(err, "out of memory");
	while (at < size) {
		ssize_t got = read(fd, *data + at, size - at);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			error_sys(err, "reading it");
			free(*data);
			return -1;
		}
		if (got == 0)
			break; /* it was cut meanwhile: what is missing the compiler sees */
		at += (size_t)got;
	}
	*len = at;
	return 0;
}

int revocation_file_read(
	const char *path, uint64_t size_limit, uint8_t **data, size_t *len, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int result;

	if (fd == -1)
		return error_sys(err, "opening it");
	result = file_read_open(fd, size_limit, data, len, err);
	close(fd);
	return result;
}
