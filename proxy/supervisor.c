#include "proxy/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/log.h"
#include "proxy/notify.h"
#include "proxy/supervisor_children.h"
#include "proxy/supervisor_files.h"
#include "proxy/supervisor_generation.h"
#include "proxy/supervisor_process.h"
#include "proxy/supervisor_sockets.h"

enum {
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10 * 1000,
	STEADY_MS =
		30 * 1000,   /* a child that lived so long starts anew with the shortest back-off */
	GRACE_MS = 5 * 1000, /* after the drain time, and for helpers to finish */
	STALL_MS = 30 * 1000, /* a child whose channel is full so long is taken for hung */
	MESSAGES_MAX = 64,    /* of one child in one turn */
	POLL_MAX = CHILD_MAX + 1,
	SIGNAL_AT = CHILD_MAX, /* in the array for poll(2); before it the children by record */
};

struct supervisor {
	const struct supervisor_options *options;
	struct generation *current, *next; /* NULL: none */
	struct children children;
	struct sockets sockets;
	int signals;  /* signalfd */
	int pid_file; /* held for its lock; -1: none */
	char *pid_path;
	bool has_log;
	bool wants_reload;
	bool is_stopping, has_stopped;
	int status;                                         /* of the process */
	char faults[sizeof(((struct message *)0)->u.text)]; /* of the last load; "": none */
};

/* --- what went wrong --- */

/* A fault goes to the log and to whoever asked for the reload; while easproxyd starts, to standard
 * error. */
static void report_fault(void *context, const char *text)
{
	struct supervisor *s = context;
	bool is_warning = strstr(text, "warning: ") != NULL;
	size_t len = strlen(s->faults);

	if (!s->has_log || (s->current == NULL && s->children.log_fd != STDERR_FILENO))
		fprintf(stderr, "easproxyd: %s\n", text);
	if (s->has_log)
		log_message(is_warning ? CONFIG_LOG_WARNING : CONFIG_LOG_ERROR,
			is_warning ? "configuration-warning" : "configuration-fault", "%s", text);
	if (!is_warning)
		snprintf(s->faults + len, sizeof(s->faults) - len, "%s%s", len == 0 ? "" : "\n",
			text);
}

static void tell_reloaded(struct supervisor *s)
{
	struct child_record *record;
	struct message message = {.type = MESSAGE_RELOADED};

	snprintf(message.u.text, sizeof(message.u.text), "%s", s->faults);
	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record))
		if (record->role == ROLE_CONTROL && child_is_alive(record))
			child_send(record, &message, -1);
}

/* --- ending children --- */

static void drain_child(struct child_record *record, uint32_t time_ms)
{
	struct message message = {.type = MESSAGE_DRAIN, .u.drain = {.time_ms = time_ms}};

	if (!child_is_alive(record)) {
		child_release(record);
		return;
	}
	if (record->state == CHILD_DRAINING)
		return;
	record->state = CHILD_DRAINING;
	record->deadline_ms = children_now_ms() + time_ms + GRACE_MS;
	child_send(record, &message, -1);
}

/* The helpers of an old generation serve its workers to their end, all but control, which the new
 * one's replaces at once. */
static void drain_helpers(struct supervisor *s, struct generation *generation)
{
	struct child_record *record;
	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record))
		if (record->generation == generation && record->role != ROLE_WORKER)
			drain_child(record, 0);
}

static void drain_generation(struct supervisor *s, struct generation *generation)
{
	struct child_record *record;
	generation->state = GENERATION_OLD;
	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record))
		if (record->generation == generation &&
			(record->role == ROLE_WORKER || record->role == ROLE_CONTROL))
			drain_child(record, record->role == ROLE_WORKER
						    ? generation->config->drain_time_ms
						    : 0);
	if (children_count(&s->children, generation, ROLE_WORKER, CHILD_STARTING) == 0)
		drain_helpers(s, generation);
}

/* generation NULL: all. */
static void kill_generation(struct supervisor *s, const struct generation *generation)
{
	struct child_record *record;

	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record)) {
		if (generation != NULL && record->generation != generation)
			continue;
		if (child_is_alive(record)) {
			kill(record->pid, SIGKILL);
			record->state = CHILD_DRAINING;
		} else {
			child_release(record);
		}
	}
}

/* Frees an old generation once its last child has gone; ends the process with the last child of
 * all. */
static void let_go(struct supervisor *s, struct generation *generation)
{
	if (s->is_stopping && children_count(&s->children, NULL, ROLE_COUNT, CHILD_WAITING) == 0)
		s->has_stopped = true;
	if (generation->state == GENERATION_OLD && generation != s->current &&
		children_count(&s->children, generation, ROLE_COUNT, CHILD_WAITING) == 0)
		generation_free(generation);
}

/* --- starting a generation --- */

static void abandon_next(struct supervisor *s, const char *why)
{
	struct generation *generation = s->next;

	report_fault(s, why);
	if (s->current == NULL) {
		kill_generation(s, NULL);
		s->status = 1;
		s->has_stopped = true;
		return;
	}
	log_message(CONFIG_LOG_ERROR, "reload-failed", "the old configuration stays in force");
	s->next = NULL;
	generation->state = GENERATION_OLD;
	sockets_retreat(&s->sockets);
	kill_generation(s, generation);
	let_go(s, generation);
	notify_ready();
	tell_reloaded(s);
}

static int start_helpers(struct supervisor *s, struct generation *generation, struct error *err)
{
	static const enum role helpers[] = {ROLE_REVOCATION, ROLE_IDENTITY, ROLE_CONTROL};

	generation->state = GENERATION_HELPERS;
	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++)
		if (children_start(&s->children, generation, helpers[i], 0, err) == NULL)
			return -1;
	return 0;
}

static int start_workers(struct supervisor *s, struct generation *generation, struct error *err)
{
	generation->state = GENERATION_WORKERS;
	if (sockets_listen(&s->sockets, err) == -1)
		return -1;
	for (unsigned int i = 0; i < generation->config->workers; i++)
		if (children_start(&s->children, generation, ROLE_WORKER, i, err) == NULL)
			return -1;
	return 0;
}

static void log_ready(struct supervisor *s, const char *event)
{
	const struct generation *generation = s->current;
	struct log_line line;
	char listen[LOG_LINE_MAX / 2];

	sockets_describe(&s->sockets, generation->config, listen, sizeof(listen));
	log_begin(&line, CONFIG_LOG_INFO, event);
	log_text(&line, "version", EASPROXY_VERSION);
	log_number(&line, "pid", getpid());
	log_number(&line, "generation", generation->number);
	log_number(&line, "workers", generation->config->workers);
	log_number(&line, "authorities", (int64_t)generation->trust->count);
	log_text(&line, "listen", listen);
	log_text(&line, "config", generation->config->path);
	log_end(&line);
}

static void reopen_log(struct supervisor *s, const struct config *config)
{
	struct child_record *record;
	struct message message = {.type = MESSAGE_LOG};
	struct error err;
	int fd = files_open_log(&config->log, &err);

	if (fd == -1) {
		log_message(CONFIG_LOG_ERROR, "log-not-reopened", "%s", err.text);
		return;
	}
	log_reopen(fd);
	s->children.log_fd = fd;
	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record))
		if (child_is_alive(record))
			child_send(record, &message, fd);
}

static void take_over(struct supervisor *s)
{
	struct generation *old = s->current;

	s->current = s->next;
	s->next = NULL;
	s->current->state = GENERATION_CURRENT;
	sockets_keep(&s->sockets, s->current->config);
	atomic_store(&s->children.shared->generation, s->current->number);
	if (old != NULL) {
		if (strcmp(old->config->log.file, s->current->config->log.file) != 0)
			reopen_log(s, s->current->config);
		log_open(&s->current->config->log, s->children.log_fd, "supervisor", -1, NULL);
		tell_reloaded(s);
		if (strcmp(old->config->control_socket, s->current->config->control_socket) != 0)
			unlink(old->config->control_socket); /* "": no harm */
		drain_generation(s, old);
		let_go(s, old);
	}
	log_ready(s, old == NULL ? "ready" : "reloaded");
	notify_ready();
}

/* A child of the coming generation became ready: perhaps the last that was waited for. */
static void advance_next(struct supervisor *s)
{
	struct generation *next = s->next;
	struct error err;

	if (next->state == GENERATION_HELPERS &&
		children_count(&s->children, next, ROLE_COUNT, CHILD_READY) == 3) {
		if (start_workers(s, next, &err) == -1)
			abandon_next(s, err.text);
	} else if (next->state == GENERATION_WORKERS &&
		   children_count(&s->children, next, ROLE_WORKER, CHILD_READY) ==
			   next->config->workers) {
		take_over(s);
	}
}

static void load_failed(struct supervisor *s)
{
	generation_free(s->next);
	s->next = NULL;
	if (s->current == NULL) {
		s->status = 1;
		s->has_stopped = true;
		return;
	}
	log_message(CONFIG_LOG_ERROR, "reload-failed", "the old configuration stays in force");
	notify_ready();
	tell_reloaded(s);
}

/* What is done once in the life of the process, as the first configuration says. */
static int open_once(struct supervisor *s, const struct config *config, struct error *err)
{
	const char *path = s->options->pid_file != NULL ? s->options->pid_file : config->pid_file;

	if (path[0] != '\0') {
		s->pid_file = files_lock_pid(path, err);
		if (s->pid_file == -1)
			return -1;
		s->pid_path = strdup(path);
	}
	s->children.log_fd = files_open_log(&config->log, err);
	if (s->children.log_fd == -1)
		return -1;
	log_open(&config->log, s->children.log_fd, "supervisor", -1, NULL);
	s->has_log = true;
	return 0;
}

/* Loads the configuration and starts its children; the rest happens as they become ready. */
static void load(struct supervisor *s)
{
	struct error err;

	s->faults[0] = '\0';
	s->next = generation_new(s->options->config_path, s->current, report_fault, s);
	if (s->next == NULL) {
		load_failed(s);
		return;
	}
	if (!s->has_log && open_once(s, s->next->config, &err) == -1) {
		report_fault(s, err.text);
		load_failed(s);
		return;
	}
	if (sockets_extend(&s->sockets, s->next->config, report_fault, s) == -1) {
		load_failed(s);
		return;
	}
	if (start_helpers(s, s->next, &err) == -1)
		abandon_next(s, err.text);
}

static void reload(struct supervisor *s)
{
	if (s->is_stopping)
		return;
	if (s->next != NULL) {
		s->wants_reload = true;
		return;
	}
	s->wants_reload = false;
	notify_reloading();
	log_message(CONFIG_LOG_INFO, "reloading", "%s", s->options->config_path);
	load(s);
}

static void stop(struct supervisor *s)
{
	if (s->next != NULL && s->current != NULL)
		abandon_next(s, "easproxyd is being stopped");
	notify_stopping();
	if (s->is_stopping || s->current == NULL) {
		log_message(CONFIG_LOG_WARNING, "stopping", "at once");
		kill_generation(s, NULL);
		s->has_stopped = true;
		return;
	}
	s->is_stopping = true;
	log_message(CONFIG_LOG_INFO, "stopping", "workers finish within %u ms",
		s->current->config->drain_time_ms);
	drain_generation(s, s->current);
	let_go(s, s->current);
}

/* --- messages --- */

static void spread_index(
	struct supervisor *s, const struct generation *generation, uint32_t authority)
{
	struct child_record *record;
	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record)) {
		if (!child_is_alive(record) || record->generation != generation ||
			(record->role != ROLE_WORKER && record->role != ROLE_CONTROL))
			continue;
		record->pending[authority / 64] |= UINT64_C(1) << (authority % 64);
		child_flush(record);
	}
}

static void spread_failure(
	struct supervisor *s, const struct generation *generation, const struct message *message)
{
	struct child_record *record;
	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record))
		if (child_is_alive(record) && record->generation == generation &&
			record->role == ROLE_CONTROL)
			child_send(record, message, -1);
}

static void refresh(struct supervisor *s)
{
	struct child_record *record;
	struct message message = {.type = MESSAGE_REFRESH};

	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record))
		if (child_is_alive(record) && record->role == ROLE_REVOCATION)
			child_send(record, &message, -1);
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
		advance_next(s);
	return true;
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
	case MESSAGE_DRAINED: return record->role == ROLE_WORKER;
	case MESSAGE_INDEX:
		if (!is_revocation ||
			!generation_keep_index(record->generation, message, *passed_fd))
			return false;
		*passed_fd = -1;
		atomic_fetch_add(&s->children.shared->revocation_epoch, 1);
		spread_index(s, record->generation, message->u.index.authority);
		return true;
	case MESSAGE_INDEX_FAILED:
		if (!is_revocation || !generation_keep_failure(record->generation, message))
			return false;
		spread_failure(s, record->generation, message);
		return true;
	case MESSAGE_RELOAD:
		if (is_control)
			reload(s);
		return is_control;
	case MESSAGE_REFRESH:
		if (is_control)
			refresh(s);
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

/* --- ends of children --- */

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
	child_log_end(record, was_draining, how);
	children_bury(&s->children, record);
	if (generation == s->current && generation->state == GENERATION_CURRENT) {
		schedule_restart(record, children_now_ms());
		return;
	}
	child_release(record);
	if (generation == s->next) {
		snprintf(why, sizeof(why), "a %s process ended during its start: %s",
			role_name(role), how);
		abandon_next(s, why);
		return;
	}
	if (generation->state == GENERATION_OLD &&
		children_count(&s->children, generation, ROLE_WORKER, CHILD_STARTING) == 0)
		drain_helpers(s, generation);
	let_go(s, generation);
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

/* --- time --- */

static void restart_child(struct supervisor *s, struct child_record *record)
{
	struct error err;
	struct log_line line;

	if (children_restart(&s->children, record, &err) == -1) {
		log_message(CONFIG_LOG_ERROR, "restart-failed", "%s", err.text);
		schedule_restart(record, children_now_ms());
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
	struct child_record *record;
	int64_t now = children_now_ms(), next = INT64_MAX;

	for (record = children_next(&s->children, NULL); record != NULL;
		record = children_next(&s->children, record)) {
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

/* --- the loop --- */

static void handle_signal(struct supervisor *s, uint32_t number)
{
	switch (number) {
	case SIGCHLD: reap(s); break;
	case SIGHUP: reload(s); break;
	case SIGUSR1:
		if (s->current != NULL)
			reopen_log(s, s->current->config);
		break;
	case SIGTERM:
	case SIGINT: stop(s); break;
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
			reload(s);
	}
}

static void clean_up(struct supervisor *s)
{
	kill_generation(s, NULL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		continue;
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
	if (s->children.shared == NULL || process_open_signals(&s->signals, &err) == -1) {
		fprintf(stderr, "easproxyd: %s\n", err.text);
		return 1;
	}
	load(s);
	run(s);
	if (s->status == 0)
		log_message(CONFIG_LOG_INFO, "stopped", "version %s", EASPROXY_VERSION);
	clean_up(s);
	return s->status;
}
