/*
 * The revocation process: runs auth/revocation.h on an event loop and sends what it finds to the
 * supervisor, who spreads it.
 */
#include <errno.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/revocation.h"
#include "proxy/child.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"
#include "proxy/timeval.h"

enum { READY_GRACE_MS = 500 };

struct revocation_process {
	const struct child *child;
	struct event_base *base;
	struct event *supervisor, *ready_timer;
	struct revocation *revocation;
	bool is_ready;
	unsigned int reports_wanted[AUTHORITY_MAX]; /* before we are ready */
};

static void send_ready(struct revocation_process *p)
{
	struct message message = {.type = MESSAGE_READY};

	if (p->is_ready)
		return;
	p->is_ready = true;
	if (message_send(p->child->supervisor, &message, -1) == -1)
		event_base_loopbreak(p->base);
}

/* Ready is said when each authority's location was looked at once: workers that started before
 * would refuse everybody under an authority whose CRL is a moment away. */
static void send_ready_if_done(struct revocation_process *p)
{
	for (size_t i = 0; i < p->child->trust->count; i++)
		if (p->reports_wanted[i] > 0)
			return;
	send_ready(p);
}

static void on_ready_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_ready(arg);
}

static void on_index(
	void *context, int authority, int place, int fd, const struct revocation_facts *facts)
{
	struct revocation_process *p = context;
	struct message message = {.type = MESSAGE_INDEX,
		.u.index = {.authority = (uint32_t)authority,
			.place = (uint32_t)place,
			.facts = *facts}};

	/* Without it workers go on with an old index; a new process will send all of them. */
	if (message_send(p->child->supervisor, &message, fd) == -1)
		event_base_loopbreak(p->base);
	close(fd);
	p->reports_wanted[authority] = 0;
	send_ready_if_done(p);
}

static void on_failure(void *context, int authority, int place, const char *text)
{
	struct revocation_process *p = context;
	struct message message = {.type = MESSAGE_INDEX_FAILED,
		.u.failure = {.authority = (uint32_t)authority, .place = (uint32_t)place}};
	struct log_line line;

	log_begin(&line, CONFIG_LOG_WARNING, "crl-failed");
	log_text(&line, "authority", p->child->trust->authorities[authority].issuer);
	log_text(&line, "message", text);
	log_end(&line);
	snprintf(message.u.failure.text, sizeof(message.u.failure.text), "%s", text);
	message_send(p->child->supervisor, &message, -1);
	if (p->reports_wanted[authority] > 0)
		p->reports_wanted[authority]--;
	send_ready_if_done(p);
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
	struct revocation_process *p = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		switch (message.type) {
		case MESSAGE_REFRESH: revocation_refresh(p->revocation, -1); break;
		case MESSAGE_LOG: log_reopen(passed_fd); break;
		case MESSAGE_DRAIN: event_base_loopbreak(p->base); break;
		default:
			if (passed_fd != -1)
				close(passed_fd);
			break;
		}
	}
	if (result == 0 || errno != EAGAIN)
		event_base_loopbreak(p->base);
}

/* A delta location is reported once as a failure of its own, which says nothing about the base. */
static void count_reports(struct revocation_process *p)
{
	for (size_t i = 0; i < p->child->trust->count; i++) {
		const struct authority *authority = &p->child->trust->authorities[i];

		if (authority->crls[0].url[0] != '\0')
			p->reports_wanted[i] = authority->crls[0].delta_url[0] == '\0' ? 1 : 2;
	}
}

/* Whose certificates nobody can revoke an operator should know. */
static void log_unchecked(const struct trust_store *trust)
{
	struct log_line line;

	for (size_t i = 0; i < trust->count; i++) {
		if (trust->authorities[i].crls[0].url[0] != '\0')
			continue;
		log_begin(&line, CONFIG_LOG_INFO, "crl-not-configured");
		log_text(&line, "authority", trust->authorities[i].issuer);
		log_text(&line, "message", "its certificates are not checked for revocation");
		log_end(&line);
	}
}

static int start(struct revocation_process *p, struct error *err)
{
	const struct revocation_callbacks callbacks = {
		.context = p, .on_index = on_index, .on_failure = on_failure};
	const struct child *child = p->child;
	struct timeval wait =
		timeval_of_ms(child->config->revocation.time_limit_ms + READY_GRACE_MS);

	p->revocation = revocation_new(p->base, child->trust, &child->config->revocation,
		child->state_directory, &callbacks, err);
	if (p->revocation == NULL)
		return -1;
	p->supervisor =
		event_new(p->base, child->supervisor, EV_READ | EV_PERSIST, on_supervisor, p);
	p->ready_timer = evtimer_new(p->base, on_ready_timer, p);
	if (p->supervisor == NULL || p->ready_timer == NULL ||
		event_add(p->supervisor, NULL) == -1 || evtimer_add(p->ready_timer, &wait) == -1)
		return error_set(err, "out of memory");
	return 0;
}

int revocation_main(const struct child *child)
{
	struct revocation_process process = {.child = child};
	struct revocation_process *p = &process;
	struct error err = {"out of memory"};

	/* Reads its configuration file while that can still be opened. */
	OPENSSL_init_ssl(0, NULL);
	p->base = event_base_new();
	if (p->base == NULL || start(p, &err) == -1 || sandbox_enter(child, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	log_unchecked(child->trust);
	count_reports(p);
	send_ready_if_done(p);
	event_base_dispatch(p->base);
	/* The process ends here: the kernel takes all of it back at once. */
	return 0;
}
