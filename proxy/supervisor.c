#include "proxy/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/clock.h"
#include "proxy/log.h"
#include "proxy/supervisor_process.h"
#include "proxy/supervisor_takeover.h"

enum {
	STEADY_MS = 30 * 1000, /* who lived so long starts anew with the shortest back-off */
	STALL_MS = 30 * 1000,  /* a child whose channel is full so long is taken for hung */
	MESSAGES_MAX = 64,     /* of one child in one turn */
	POLL_MAX = CHILD_MAX + 1,
	SIGNAL_AT = CHILD_MAX, /* in the array for poll(2); before it the children by record */
};

/* Messages */

static void spread_index(struct supervisor *s, const struct generation *generation,
	uint32_t authority, uint32_t place)
{
	struct child_record *record = NULL;

	while ((record = children_next(&s->children, generation, record)) != NULL) {
		if (!child_is_alive(record) ||
			(record->role != ROLE_WORKER && record->role != ROLE_CONTROL))
			continue;
		record->pending[authority] |= (uint8_t)(1u << place);
		child_flush(record);
	}
}

/* Where the index that it is about has been sent, it goes alone. */
static void spread_report(
	struct supervisor *s, const struct generation *generation, const struct message *message)
{
	const struct message_crl *report = &message->u.crl;
	uint8_t bit = (uint8_t)(1u << report->place);
	struct child_record *record = NULL;

	while ((record = children_next(&s->children, generation, record)) != NULL) {
		if (!child_is_alive(record) || record->role != ROLE_CONTROL ||
			(record->pending[report->authority] & bit) != 0 ||
			message_send(record->channel, message, -1) == 0)
			continue;
		record->pending[report->authority] |= bit;
		child_flush(record);
	}
}

static void refresh(struct supervisor *s, const struct message *message)
{
	struct child_record *record = NULL;

	while ((record = children_next(&s->children, NULL, record)) != NULL)
		if (child_is_alive(record) && record->role == ROLE_REVOCATION)
			child_send(record, message, -1);
}

static bool on_ready(struct supervisor *s, struct child_record *record)
{
	if (record->was_ready)
		return false;
	record->was_ready = true;
	if (record->state != CHILD_STARTING) /* told to finish meanwhile */
		return true;
	record->state = CHILD_READY;
	record->deadline_ms = 0;
	if (record->generation == s->next)
		takeover_advance(s);
	return true;
}

static void keep_list(struct supervisor *s, const struct child_record *record,
	enum generation_list list, int passed_fd)
{
	generation_keep_list(record->generation, list, passed_fd);
	takeover_spread_list(s, record->generation, list);
}

/* Takes passed_fd over where it keeps it, and sets it to -1. False for what this child has no
 * business to say. */
static bool handle_message(struct supervisor *s, struct child_record *record,
	const struct message *message, int *passed_fd)
{
	bool is_revocation = record->role == ROLE_REVOCATION;
	bool is_control = record->role == ROLE_CONTROL;

	switch (message->type) {
	case MESSAGE_READY: return on_ready(s, record);
	case MESSAGE_INDEX:
		if (!is_revocation ||
			!generation_keep_index(record->generation, message, *passed_fd))
			return false;
		*passed_fd = -1;
		spread_index(
			s, record->generation, message->u.index.authority, message->u.index.place);
		return true;
	case MESSAGE_CRL:
		if (!is_revocation || !generation_keep_report(record->generation, message))
			return false;
		spread_report(s, record->generation, message);
		return true;
	case MESSAGE_USERS:
	case MESSAGE_DEVICES:
		if (!is_control)
			return false;
		keep_list(s, record,
			message->type == MESSAGE_USERS ? GENERATION_LIST_USERS
						       : GENERATION_LIST_DEVICES,
			*passed_fd);
		*passed_fd = -1;
		return true;
	case MESSAGE_RELOAD:
		if (is_control)
			takeover_reload(s);
		return is_control;
	case MESSAGE_REFRESH:
		if (is_control)
			refresh(s, message);
		return is_control;
	default: return false;
	}
}

static void read_messages(struct supervisor *s, struct child_record *record)
{
	struct message message;
	int passed_fd;

	for (int i = 0; i < MESSAGES_MAX && child_is_alive(record); i++) {
		int result = message_receive(record->channel, &message, &passed_fd);
		bool is_welcome;

		if (result == -1 && errno == EAGAIN)
			return;
		if (result == 0 || (result == -1 && errno == ECONNRESET)) {
			/* Its end of the channel is closed, so it ends, or does not do its work. */
			kill(record->pid, SIGKILL);
			close(record->channel);
			record->channel = -1;
			return;
		}
		is_welcome = result == 1 && handle_message(s, record, &message, &passed_fd);
		if (passed_fd != -1)
			close(passed_fd);
		if (!is_welcome) {
			child_kill(record, "it sent a message that it must not send");
			return;
		}
	}
}

/* Ends of children */

static void schedule_restart(struct child_record *record, int64_t now)
{
	if (now - record->started_at_ms >= STEADY_MS)
		record->backoff_ms = BACKOFF_MIN_MS;
	record->state = CHILD_WAITING;
	record->restart_at_ms = now + record->backoff_ms;
	record->backoff_ms *= 2;
	if (record->backoff_ms > BACKOFF_MAX_MS)
		record->backoff_ms = BACKOFF_MAX_MS;
}

static void on_child_end(struct supervisor *s, struct child_record *record, int status)
{
	struct generation *generation = record->generation;
	bool was_draining = record->state == CHILD_DRAINING;
	enum role role = record->role;
	char how[96], why[160];

	child_describe_end(status, how, sizeof(how));
	child_rescue_log(record);
	child_log_end(record, was_draining, how);
	children_bury(&s->children, record);
	if (generation == s->current && generation->state == GENERATION_CURRENT) {
		schedule_restart(record, clock_ms());
		return;
	}
	child_release(record);
	if (generation == s->next) {
		snprintf(why, sizeof(why),
			"the %s process ended during its start (the log says why): %s",
			role_name(role), how);
		takeover_abandon(s, why);
		return;
	}
	takeover_child_gone(s, generation);
}

static void reap(struct supervisor *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child_record *record = children_find(&s->children, pid);

		if (record == NULL)
			continue;
		/* What it said last counts, and says more than its end. */
		if (record->channel != -1)
			read_messages(s, record);
		on_child_end(s, record, status);
	}
}

/* Time */

static void restart_child(struct supervisor *s, struct child_record *record)
{
	struct error err;
	struct log_line line;

	if (children_restart(&s->children, record, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "restart-failed", "%s", err.text);
		schedule_restart(record, clock_ms());
		return;
	}
	log_begin(&line, CONFIG_LOG_INFO, "child-restarted");
	log_text(&line, "child", role_name(record->role));
	log_number(&line, "pid", record->pid);
	log_end(&line);
}

/* Does what is due; returns how many milliseconds there are until the next thing is, -1: nothing. */
static int handle_timers(struct supervisor *s)
{
	struct child_record *record = NULL;
	int64_t now = clock_ms(), next = INT64_MAX;

	while ((record = children_next(&s->children, NULL, record)) != NULL) {
		int64_t due = record->state == CHILD_WAITING ? record->restart_at_ms
							     : record->deadline_ms;

		if (due != 0 && due <= now) {
			record->deadline_ms = 0;
			if (record->state == CHILD_WAITING)
				restart_child(s, record);
			else
				child_kill(record, record->state == CHILD_DRAINING
							   ? "it did not finish in time"
							   : "it did not start in time");
			due = record->deadline_ms;
		}
		if (due != 0 && due < next)
			next = due;
		if (child_is_alive(record) && record->stalled_at_ms != 0) {
			due = record->stalled_at_ms + STALL_MS;
			if (due <= now)
				child_kill(record, "it does not read its messages");
			else if (due < next)
				next = due;
		}
	}
	if (next == INT64_MAX)
		return -1;
	return next - now > INT32_MAX ? INT32_MAX : (int)(next > now ? next - now : 0);
}

/* The loop */

static void handle_signal(struct supervisor *s, uint32_t number)
{
	switch (number) {
	case SIGCHLD: reap(s); break;
	case SIGHUP: takeover_reload(s); break;
	case SIGUSR1:
		if (s->current != NULL || s->next != NULL) /* the latter while we start */
			takeover_reopen_log(s, (s->current != NULL ? s->current : s->next)->config);
		break;
	case SIGTERM:
	case SIGINT: takeover_stop(s); break;
	default: break;
	}
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		handle_signal(s, info.ssi_signo);
}

static void run(struct supervisor *s)
{
	static struct pollfd ready[POLL_MAX];

	while (!s->has_stopped) {
		int timeout_ms = handle_timers(s);

		for (size_t i = 0; i < CHILD_MAX; i++) {
			const struct child_record *record = &s->children.records[i];

			ready[i] = (struct pollfd){
				.fd = child_is_alive(record) ? record->channel : -1,
				.events = child_has_pending(record) ? POLLIN | POLLOUT : POLLIN};
		}
		ready[SIGNAL_AT] = (struct pollfd){.fd = s->signals, .events = POLLIN};
		if (poll(ready, POLL_MAX, timeout_ms) == -1 && errno != EINTR)
			break;
		/* Channels first: what a dead child said last is read before its end is seen. A record
		 * that changes hands on the way has another channel, so the descriptor is compared. */
		for (size_t i = 0; i < CHILD_MAX; i++) {
			struct child_record *record = &s->children.records[i];

			if (ready[i].fd == -1 || ready[i].revents == 0 || !child_is_alive(record) ||
				record->channel != ready[i].fd)
				continue;
			if (child_has_pending(record))
				child_flush(record);
			read_messages(s, record);
		}
		if (ready[SIGNAL_AT].revents != 0)
			read_signals(s);
		if (s->wants_reload && s->next == NULL)
			takeover_reload(s);
	}
}

static void clean_up(struct supervisor *s)
{
	takeover_kill(s, NULL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		continue;
	for (struct child_record *record = children_next(&s->children, NULL, NULL); record != NULL;
		record = children_next(&s->children, NULL, record))
		child_rescue_log(record);
	generation_free(s->next); /* removes its control socket */
	if (s->current != NULL)
		unlink(s->current->config->control_socket);
	if (s->pid_path != NULL)
		unlink(s->pid_path);
	free(s->pid_path);
}

int supervisor_run(const struct supervisor_options *options)
{
	static struct supervisor supervisor; /* large, and there is one */
	struct supervisor *s = &supervisor;
	struct error err;

	s->options = options;
	s->children.sockets = &s->sockets;
	s->children.has_sandbox = options->has_sandbox;
	s->children.log_fd = STDERR_FILENO;
	s->signals = s->pid_file = -1;
	process_open_standard_descriptors();
	process_raise_descriptor_limit();
	sockets_take_passed(&s->sockets);
	s->children.shared = process_map_shared(&err);
	if (s->children.shared != NULL)
		s->children.folders = folder_table_map(&err);
	if (s->children.folders == NULL || process_open_signals(&s->signals, &err) == -1) {
		fprintf(stderr, "easproxyd: %s\n", err.text);
		return 1;
	}
	takeover_load(s);
	run(s);
	if (s->status == 0)
		log_message(CONFIG_LOG_INFO, "stopped", "version %s", EASPROXY_VERSION);
	clean_up(s);
	return s->status;
}
