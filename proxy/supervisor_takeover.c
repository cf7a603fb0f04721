#include "proxy/supervisor_takeover.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/clock.h"
#include "proxy/log.h"
#include "proxy/notify.h"
#include "proxy/supervisor_files.h"

enum { GRACE_MS = 5 * 1000 /* after the drain time, and for helpers to finish */ };

static const enum role helpers[] = {ROLE_REVOCATION, ROLE_IDENTITY, ROLE_CONTROL};
enum { HELPER_COUNT = sizeof(helpers) / sizeof(helpers[0]) };

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
	struct child_record *record = NULL;
	struct message message = {.type = MESSAGE_RELOADED};

	snprintf(message.u.text, sizeof(message.u.text), "%s", s->faults);
	while ((record = children_next(&s->children, NULL, record)) != NULL)
		if (record->role == ROLE_CONTROL && child_is_alive(record))
			child_send(record, &message, -1);
}

/* Ending children */

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
	record->deadline_ms = clock_ms() + time_ms + GRACE_MS;
	child_send(record, &message, -1);
}

/* The helpers of an old generation serve its workers to their end, all but control, which the new
 * one's replaces at once. */
static void drain_helpers(struct supervisor *s, struct generation *generation)
{
	struct child_record *record = NULL;

	while ((record = children_next(&s->children, generation, record)) != NULL)
		if (record->role != ROLE_WORKER)
			drain_child(record, 0);
}

static void drain_generation(struct supervisor *s, struct generation *generation)
{
	struct child_record *record = NULL;

	generation->state = GENERATION_OLD;
	while ((record = children_next(&s->children, generation, record)) != NULL)
		if (record->role == ROLE_WORKER)
			drain_child(record, generation->config->drain_time_ms);
		else if (record->role == ROLE_CONTROL)
			drain_child(record, 0);
	if (children_count(&s->children, generation, ROLE_WORKER, CHILD_STARTING) == 0)
		drain_helpers(s, generation);
}

void takeover_kill(struct supervisor *s, const struct generation *generation)
{
	struct child_record *record = NULL;

	while ((record = children_next(&s->children, generation, record)) != NULL) {
		if (!child_is_alive(record)) {
			child_release(record);
			continue;
		}
		kill(record->pid, SIGKILL);
		record->state = CHILD_DRAINING;
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

void takeover_child_gone(struct supervisor *s, struct generation *generation)
{
	if (generation->state == GENERATION_OLD &&
		children_count(&s->children, generation, ROLE_WORKER, CHILD_STARTING) == 0)
		drain_helpers(s, generation);
	let_go(s, generation);
}

/* What older generations have to hear */

static bool hears_of(const struct supervisor *s, const struct generation *generation,
	const struct generation *from)
{
	if (generation == from)
		return true;
	/* One that may never take over has no say but among its own. */
	if (from == s->next)
		return false;
	return generation->number < from->number ||
	       strcmp(generation->config->state_directory, from->config->state_directory) == 0;
}

void takeover_spread_list(
	struct supervisor *s, const struct generation *from, enum generation_list list)
{
	struct child_record *record = NULL;

	while ((record = children_next(&s->children, NULL, record)) != NULL) {
		struct generation *generation = record->generation;

		if (!hears_of(s, generation, from))
			continue;
		if (generation != from && generation_copy_list(generation, list, from) == -1) {
			if (child_is_alive(record))
				child_kill(record, "it cannot be told who is out");
			continue;
		}
		if (!child_wants_list(record, list) || !child_is_alive(record))
			continue;
		record->has_pending_list[list] = true;
		child_flush(record);
	}
}

/* Who came in by an authority that the new configuration does not trust any more, or on other terms,
 * must not stay until the old workers have finished. */
static void tell_withdrawn(struct supervisor *s)
{
	struct child_record *record = NULL;
	struct message message = {.type = MESSAGE_TRUST};

	while ((record = children_next(&s->children, NULL, record)) != NULL)
		if (record->role == ROLE_WORKER && record->generation != s->current &&
			child_is_alive(record) &&
			generation_withdraws(
				record->generation, s->current, message.u.trust.withdrawn))
			child_send(record, &message, -1);
}

/* The next generation */

void takeover_abandon(struct supervisor *s, const char *why)
{
	struct generation *generation = s->next;

	report_fault(s, why);
	if (s->current == NULL) {
		takeover_kill(s, NULL);
		s->status = 1;
		s->has_stopped = true;
		return;
	}
	log_message(CONFIG_LOG_ERROR, "reload-failed", "the old configuration stays in force");
	s->next = NULL;
	generation->state = GENERATION_OLD;
	sockets_retreat(&s->sockets);
	takeover_kill(s, generation);
	let_go(s, generation);
	notify_ready();
	tell_reloaded(s);
}

static int start_helpers(struct supervisor *s, struct generation *generation, struct error *err)
{
	generation->state = GENERATION_HELPERS;
	for (size_t i = 0; i < HELPER_COUNT; i++)
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

void takeover_reopen_log(struct supervisor *s, const struct config *config)
{
	struct child_record *record = NULL;
	struct message message = {.type = MESSAGE_LOG};
	struct error err;
	int fd = files_open_log(&config->log, &err);

	if (fd == -1) {
		log_message(CONFIG_LOG_ERROR, "log-not-reopened", "%s", err.text);
		return;
	}
	log_reopen(fd);
	s->children.log_fd = fd;
	while ((record = children_next(&s->children, NULL, record)) != NULL)
		if (child_is_alive(record))
			child_send(record, &message, fd);
}

static void take_over(struct supervisor *s)
{
	struct generation *old = s->current;

	s->current = s->next;
	s->next = NULL;
	s->current->state = GENERATION_CURRENT;
	s->current->owns_control_path = false;
	sockets_keep(&s->sockets, s->current->config);
	atomic_store(&s->children.shared->generation, s->current->number);
	if (old != NULL) {
		if (strcmp(old->config->log.file, s->current->config->log.file) != 0)
			takeover_reopen_log(s, s->current->config);
		log_open(&s->current->config->log, s->children.log_fd, "supervisor", -1, NULL);
		tell_reloaded(s);
		if (strcmp(old->config->control_socket, s->current->config->control_socket) != 0)
			unlink(old->config->control_socket); /* "": no harm */
		takeover_spread_list(s, s->current, GENERATION_LIST_USERS);
		takeover_spread_list(s, s->current, GENERATION_LIST_DEVICES);
		tell_withdrawn(s);
		drain_generation(s, old);
		let_go(s, old);
	}
	log_ready(s, old == NULL ? "ready" : "reloaded");
	notify_ready();
}

void takeover_advance(struct supervisor *s)
{
	struct generation *next = s->next;
	struct error err;

	if (next->state == GENERATION_HELPERS &&
		children_count(&s->children, next, ROLE_COUNT, CHILD_READY) == HELPER_COUNT) {
		if (start_workers(s, next, &err) == -1)
			takeover_abandon(s, err.text);
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

void takeover_load(struct supervisor *s)
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
		takeover_abandon(s, err.text);
}

void takeover_reload(struct supervisor *s)
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
	takeover_load(s);
}

void takeover_stop(struct supervisor *s)
{
	if (s->next != NULL && s->current != NULL)
		takeover_abandon(s, "easproxyd is being stopped");
	notify_stopping();
	if (s->is_stopping || s->current == NULL) {
		log_message(CONFIG_LOG_WARNING, "stopping", "at once");
		takeover_kill(s, NULL);
		s->has_stopped = true;
		return;
	}
	s->is_stopping = true;
	log_message(CONFIG_LOG_INFO, "stopping", "workers finish within %u ms",
		s->current->config->drain_time_ms);
	drain_generation(s, s->current);
	let_go(s, s->current);
}
