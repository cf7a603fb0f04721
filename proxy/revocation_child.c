/*
 * The revocation process: runs auth/revocation.h on an event loop and sends what it finds to the
 * supervisor, who spreads it.
 */
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/revocation.h"
#include "proxy/child.h"
#include "proxy/log.h"
#include "proxy/privacy.h"
#include "proxy/revocation_ocsp.h"
#include "proxy/sandbox.h"
#include "proxy/timeval.h"

enum {
	READY_GRACE_MS = 500,
	/* Less than service managers (90 s) and easproxyctl reload (120 s) wait, whatever a download may
	 * take. */
	READY_WAIT_MAX_MS = 60 * 1000,
	PATIENCE_MS = 10 * 1000
};

struct revocation_process {
	const struct child *child;
	struct event_base *base;
	struct event *supervisor, *ready_timer;
	struct revocation *revocation;
	struct revocation_ocsp *ocsp;
	bool is_ready;
};

/* Many CRLs at once fill the channel faster than the supervisor reads it. Nobody waits for this
 * process, so it waits. One that cannot say what it has found is of no use: a new one will say all
 * of it. */
static void tell_supervisor(
	const struct revocation_process *p, const struct message *message, int passed_fd)
{
	struct pollfd channel = {.fd = p->child->supervisor, .events = POLLOUT};

	while (message_send(p->child->supervisor, message, passed_fd) == -1)
		if (errno != EAGAIN || poll(&channel, 1, PATIENCE_MS) != 1) {
			event_base_loopbreak(p->base);
			return;
		}
}

static void send_ready(struct revocation_process *p)
{
	struct message message = {.type = MESSAGE_READY};

	if (p->is_ready)
		return;
	p->is_ready = true;
	tell_supervisor(p, &message, -1);
}

/* Ready is said when each location was looked at once: workers that started before would refuse
 * everybody under an authority whose CRL is a moment away. */
static void send_ready_if_done(struct revocation_process *p)
{
	if (!p->is_ready && revocation_is_settled(p->revocation))
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

	tell_supervisor(p, &message, fd);
	close(fd);
}

static void log_report(
	const struct revocation_process *p, int authority, const struct revocation_report *report)
{
	bool has_failed = report->error[0] != '\0';
	struct log_line line;

	if (!has_failed && (report->is_unchanged || report->looked_at == 0))
		return;
	log_begin(&line, has_failed ? CONFIG_LOG_WARNING : CONFIG_LOG_INFO,
		has_failed ? "crl-failed" : "crl-taken");
	log_text(&line, "authority", p->child->trust->authorities[authority].issuer);
	if (has_failed) {
		log_number(&line, "failures", report->failures);
		log_text(&line, "message", report->error);
	} else {
		log_text(&line, "location", report->url);
		log_number(&line, "compile_ms", report->compile_ms);
	}
	log_end(&line);
}

static void on_report(
	void *context, int authority, int place, const struct revocation_report *report)
{
	struct revocation_process *p = context;
	struct message message = {.type = MESSAGE_CRL,
		.u.crl = {.authority = (uint32_t)authority,
			.place = (uint32_t)place,
			.is_delta = report->is_delta,
			.is_unchanged = report->is_unchanged,
			.form = report->form,
			.failures = report->failures,
			.compile_ms = report->compile_ms,
			.looked_at = report->looked_at,
			.next_look = report->next_look,
			.began_ns = report->began_ns}};

	log_report(p, authority, report);
	snprintf(message.u.crl.error, sizeof(message.u.crl.error), "%s", report->error);
	tell_supervisor(p, &message, -1);
	send_ready_if_done(p);
}

static int authority_of(const struct message *message)
{
	return message->u.refresh.authority >= AUTHORITY_MAX ? -1
							     : (int)message->u.refresh.authority;
}

static void take_peer(struct revocation_process *p, uint32_t role, int fd)
{
	if (role == ROLE_WORKER || role == ROLE_CONTROL)
		revocation_ocsp_attach(p->ocsp, fd);
	else
		close(fd);
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
	struct revocation_process *p = arg;
	struct message message;
	int passed_fd, result;

	(void)what;
	while ((result = message_receive(fd, &message, &passed_fd)) == 1) {
		switch (message.type) {
		case MESSAGE_REFRESH:
			revocation_refresh(p->revocation, authority_of(&message));
			break;
		case MESSAGE_PEER: take_peer(p, message.u.peer.role, passed_fd); break;
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
		.context = p, .on_index = on_index, .on_report = on_report};
	const struct child *child = p->child;
	uint32_t longest_ms = child->config->revocation.time_limit_ms + READY_GRACE_MS;
	struct timeval wait =
		timeval_of_ms(longest_ms < READY_WAIT_MAX_MS ? longest_ms : READY_WAIT_MAX_MS);

	p->revocation = revocation_new(p->base, child->trust, &child->config->revocation,
		child->state_directory, &callbacks, err);
	if (p->revocation == NULL)
		return -1;
	p->ocsp = revocation_ocsp_new(p->base, child, err);
	if (p->ocsp == NULL)
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

	privacy_wipe(false); /* there are no private keys here */
	/* What is large comes and goes with a CRL, and goes back to the kernel: by itself, malloc() keeps more
	 * the larger the blocks that it has seen. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	/* Reads its configuration file while that can still be opened. */
	OPENSSL_init_ssl(0, NULL);
	p->base = event_base_new();
	if (p->base == NULL || start(p, &err) == -1 || sandbox_enter(child, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "start-failed", "%s", err.text);
		return 1;
	}
	log_unchecked(child->trust);
	send_ready_if_done(p);
	event_base_dispatch(p->base);
	/* The process ends here: the kernel takes all of it back at once. */
	return 0;
}
