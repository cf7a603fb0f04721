#include "auth/revocation_fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/revocation_ldap.h"

enum { REDIRECT_MAX = 3, BODY_FIRST_SIZE = 65536, PROXY_PORT = 3128 };

/* One download. */
struct fetch {
	struct revocation_fetcher *fetcher;
	struct fetch *next;
	void *context;
	CURL *easy;
	struct curl_slist *fields; /* of the request, beside libcurl's own */
	uint64_t size_limit;
	bool is_ldap;
	uint8_t *body;
	size_t len;
	size_t capacity;
	bool is_too_large;
	char etag[REVOCATION_VALIDATOR_SIZE];
	char last_modified[REVOCATION_VALIDATOR_SIZE];
	char date[REVOCATION_VALIDATOR_SIZE];
	char reason[CURL_ERROR_SIZE];
};

struct revocation_fetcher {
	struct event_base *base;
	struct event *timer;
	CURLM *multi;
	struct fetch *fetches;
	const char *proxy;
	revocation_fetch_done *done;
};

static void fetch_free(struct fetch *fetch)
{
	curl_easy_cleanup(fetch->easy);
	curl_slist_free_all(fetch->fields);
	free(fetch->body);
	free(fetch);
}

static size_t fetch_on_body(char *data, size_t size, size_t count, void *arg)
{
	struct fetch *fetch = arg;
	size_t len = size * count; /* libcurl's size is always 1 */
	uint64_t limit =
		fetch->is_ldap ? revocation_ldap_text_size(fetch->size_limit) : fetch->size_limit;

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

/* The value of a validator's field, if that is what the line is and it has room. */
static void take_validator(
	const char *line, size_t len, const char *name, char value[REVOCATION_VALIDATOR_SIZE])
{
	size_t skip = strlen(name);

	if (len <= skip || strncasecmp(line, name, skip) != 0)
		return;
	while (skip < len && (line[skip] == ' ' || line[skip] == '\t'))
		skip++;
	while (len > skip && (unsigned char)line[len - 1] <= ' ')
		len--;
	value[0] = '\0';
	if (len - skip >= REVOCATION_VALIDATOR_SIZE)
		return;
	/* It goes back into a request: what is no visible character is not taken. */
	for (size_t i = skip; i < len; i++)
		if ((unsigned char)line[i] < ' ' || (unsigned char)line[i] >= 0x7f)
			return;
	memcpy(value, line + skip, len - skip);
	value[len - skip] = '\0';
}

/* Called for every line of every head: a redirect's validators are not those of what it leads to. */
static size_t fetch_on_head(char *data, size_t size, size_t count, void *arg)
{
	struct fetch *fetch = arg;
	size_t len = size * count;

	if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0)
		fetch->etag[0] = fetch->last_modified[0] = fetch->date[0] = '\0';
	take_validator(data, len, "ETag:", fetch->etag);
	take_validator(data, len, "Last-Modified:", fetch->last_modified);
	take_validator(data, len, "Date:", fetch->date);
	return len;
}

/* What a finished download failed with, in words; NULL if it did not. */
static const char *fetch_failure(struct fetch *fetch, CURLcode code, long status, char text[256])
{
	if (fetch->is_too_large || code == CURLE_FILESIZE_EXCEEDED) {
		snprintf(text, 256, "larger than the limit of %llu bytes",
			(unsigned long long)fetch->size_limit);
		return text;
	}
	if (code != CURLE_OK) {
		snprintf(text, 256, "%s",
			fetch->reason[0] != '\0' ? fetch->reason : curl_easy_strerror(code));
		return text;
	}
	if (fetch->is_ldap || status == 200 || (status == 304 && fetch->fields != NULL))
		return NULL;
	snprintf(text, 256, "answered with HTTP status %ld", status);
	return text;
}

/* The text was bounded with some room, the value is now. */
static int fetch_decode(const struct fetch *fetch, struct span *body, struct error *err)
{
	if (revocation_ldap_decode(fetch->body, fetch->len, body, err) == -1)
		return -1;
	return body->len <= fetch->size_limit
		       ? 0
		       : error_set(err, "larger than the limit of %llu bytes",
				 (unsigned long long)fetch->size_limit);
}

/* RFC 9110 8.8.2.2: what was modified in the second in which it was sent may be modified again in it, and
 * would have the same date then. So may its tag, which nginx and others make of date and length. A CRL
 * that comes so soon after another must not be missed. */
static bool can_be_told_apart(const struct fetch *fetch)
{
	time_t modified = curl_getdate(fetch->last_modified, NULL);
	time_t sent = curl_getdate(fetch->date, NULL);

	return modified != -1 && sent != -1 && sent - modified >= 2;
}

static void fetch_respond(struct fetch *fetch, CURLcode code)
{
	bool is_young = fetch->last_modified[0] != '\0' && !can_be_told_apart(fetch);
	struct revocation_response response = {.etag = is_young ? "" : fetch->etag,
		.last_modified = is_young ? "" : fetch->last_modified};
	char text[256];
	struct error err;
	long status = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	response.failure = fetch_failure(fetch, code, status, text);
	response.is_unchanged = response.failure == NULL && !fetch->is_ldap && status == 304;
	if (response.failure == NULL && !response.is_unchanged)
		response.body = span_of(fetch->body, fetch->len);
	if (response.failure == NULL && fetch->is_ldap &&
		fetch_decode(fetch, &response.body, &err) == -1)
		response.failure = err.text;
	fetch->fetcher->done(fetch->context, &response);
}

static void fetch_finish(struct fetch *fetch, CURLcode code)
{
	struct revocation_fetcher *fetcher = fetch->fetcher;

	for (struct fetch **link = &fetcher->fetches; *link != NULL; link = &(*link)->next)
		if (*link == fetch) {
			*link = fetch->next;
			break;
		}
	curl_multi_remove_handle(fetcher->multi, fetch->easy);
	fetch_respond(fetch, code);
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

struct revocation_fetcher *revocation_fetcher_new(
	struct event_base *base, const char *proxy, revocation_fetch_done *done, struct error *err)
{
	struct revocation_fetcher *fetcher = calloc(1, sizeof(*fetcher));

	if (fetcher == NULL)
		goto fail;
	fetcher->base = base;
	fetcher->proxy = proxy;
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

/* value NULL or "": none. */
static bool fetch_add_field(struct fetch *fetch, const char *field, const char *value)
{
	char line[REVOCATION_VALIDATOR_SIZE + 32];
	struct curl_slist *longer;

	if (value == NULL || value[0] == '\0' || fetch->is_ldap)
		return true;
	snprintf(line, sizeof(line), "%s: %s", field, value);
	longer = curl_slist_append(fetch->fields, line);
	if (longer == NULL)
		return false;
	fetch->fields = longer;
	return curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, longer) == CURLE_OK;
}

static bool fetch_set_question(struct fetch *fetch, const struct revocation_request *request)
{
	CURL *easy = fetch->easy;

	if (request->media_type == NULL)
		return true;
	/* A redirected POST would come out as a GET without the question. */
	return curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->question.len) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->question.data) == CURLE_OK;
}

/* Nothing from the environment, nothing kept between downloads, redirects to http: alone. */
static bool fetch_set_options(struct fetch *fetch, const struct revocation_request *request)
{
	const struct revocation_fetcher *fetcher = fetch->fetcher;
	CURL *easy = fetch->easy;
	curl_off_t size_limit = (curl_off_t)request->size_limit;
	long time_limit_ms = (long)request->time_limit_ms;

	return curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,ldap") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECT_MAX) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, size_limit) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, time_limit_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, time_limit_ms) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, fetch->is_ldap ? "" : fetcher->proxy) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXYPORT, (long)PROXY_PORT) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, "easproxyd/" EASPROXY_VERSION) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->reason) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, fetch_on_head) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, fetch_on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
	       fetch_set_question(fetch, request) &&
	       fetch_add_field(fetch, "Content-Type", request->media_type) &&
	       /* So that a copy that is still the newest does not come again. */
	       fetch_add_field(fetch, "If-None-Match", request->etag) &&
	       fetch_add_field(fetch, "If-Modified-Since", request->last_modified);
}

int revocation_fetcher_start(struct revocation_fetcher *fetcher,
	const struct revocation_request *request, void *context, struct error *err)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (fetch == NULL)
		return error_set(err, "out of memory");
	fetch->fetcher = fetcher;
	fetch->context = context;
	fetch->size_limit = request->size_limit;
	fetch->is_ldap = strncasecmp(request->url, "ldap:", 5) == 0;
	fetch->easy = curl_easy_init();
	if (fetch->easy == NULL || !fetch_set_options(fetch, request) ||
		curl_multi_add_handle(fetcher->multi, fetch->easy) != CURLM_OK) {
		fetch_free(fetch);
		return error_set(err, "not a location that can be downloaded");
	}
	fetch->next = fetcher->fetches;
	fetcher->fetches = fetch;
	return 0;
}
