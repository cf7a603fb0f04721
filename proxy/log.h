/*
 * Log lines: facts as fields, one line per thing that happened, JSON or logfmt. A line is put
 * together in a buffer on the stack and written by one write(2); where the log cannot take it at
 * once it is dropped and counted, because nothing on the event loop blocks. For every process.
 *
 *	struct log_line line;
 *	log_begin(&line, CONFIG_LOG_INFO, "request");
 *	log_text(&line, "mailbox", mailbox);
 *	log_number(&line, "status", 200);
 *	log_end(&line);
 */
#ifndef PROXY_LOG_H
#define PROXY_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/model.h"
#include "config/span.h"

enum { LOG_LINE_MAX = 4096 };

struct log_line {
	bool is_wanted; /* false: below the configured level; the calls below do nothing */
	bool is_cut;    /* a field did not fit and was left out */
	size_t len;
	char text[LOG_LINE_MAX];
};

/* Once per process. process: "worker", "supervisor"; slot: number in that field, or -1. fd: where
 * lines go; kept, not owned. dropped: counter for lines lost; may be NULL. */
void log_open(const struct config_log *config, int fd, const char *process, int slot,
	_Atomic uint64_t *dropped);

/* Where lines go. */
int log_fd(void);

/* Another descriptor for the same log (reopened on SIGUSR1). The old one is closed unless it is 2. */
void log_reopen(int fd);

/* Starts a line with time (RFC 3339, UTC, milliseconds), level, process and event. */
void log_begin(struct log_line *line, enum config_log_level level, const char *event);

/* Fields. Text is escaped for the format; control characters and bytes that are not UTF-8 are
 * escaped too, so that no client can forge a line. Long values are cut at 512 bytes with "…".
 * Empty or NULL text is left out. */
void log_text(struct log_line *line, const char *key, const char *value);
void log_span(struct log_line *line, const char *key, struct span value);
void log_number(struct log_line *line, const char *key, int64_t value);
void log_bool(struct log_line *line, const char *key, bool value);
void log_end(struct log_line *line);

/* A line with one field `message`. */
void log_message(enum config_log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
