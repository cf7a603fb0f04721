/*
 * Log lines: facts as fields, one line per thing that happened, JSON or logfmt. A line is put
 * together in a buffer on the stack and written by one write(2); where the log cannot take it at
 * once it is dropped and counted, because nothing on the event loop blocks. A worker gathers the lines
 * of a turn of its loop and writes them together. For every process.
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

enum {
	LOG_LINE_MAX = 4096,
	LOG_BATCH_MAX = 32 * 1024,
};

struct log_line {
	bool is_wanted; /* false: below the configured level; the calls below do nothing */
	bool is_cut;    /* a field did not fit and was left out */
	size_t len;
	char text[LOG_LINE_MAX];
};

/* Lines that are written together, whole ones in their order. Its owner and the supervisor have the memory
 * in common, and nobody else has: what a process has gathered before it is killed is not lost. */
struct log_batch {
	_Atomic uint32_t begin, end; /* of what is still to be written */
	char text[LOG_BATCH_MAX];
};

/* Once per process. process: "worker", "supervisor"; slot: number in that field, or -1. fd: where
 * lines go; kept, not owned. dropped: counter for lines lost; may be NULL. */
void log_open(const struct config_log *config, int fd, const char *process, int slot,
	_Atomic uint64_t *dropped);

/* Where lines go. */
int log_fd(void);

/* Another descriptor for the same log (reopened on SIGUSR1). The old one is closed unless it is 2. */
void log_reopen(int fd);

/* For a fork: shared with the child that is born next, and with no later one. NULL when memory runs out. */
struct log_batch *log_batch_new(void);
/* In the supervisor, after the fork. */
void log_batch_keep(struct log_batch *batch);
/* In the supervisor, after the child's end: writes what it has left, and frees. NULL is allowed. */
void log_batch_take_over(struct log_batch *batch);

/* From now on lines are gathered in batch, which stays the caller's. With the first one due(context) is
 * called, and log_flush() is to follow before the loop sleeps. */
void log_gather(struct log_batch *batch, void (*due)(void *context), void *context);
/* Writes what has been gathered. */
void log_flush(void);

/* Whether lines of that level are written; for who would ask often, and is mostly told no. */
bool log_wants(enum config_log_level level);

/* Starts a line with time (RFC 3339, UTC, milliseconds), level, process and event,
 * which is a word (log_word()). */
void log_begin(struct log_line *line, enum config_log_level level, const char *event);

/* Fields. Text is escaped for the format; control characters and bytes that are not UTF-8 are
 * escaped too, so that no client can forge a line. Long values are cut at 512 bytes with "…".
 * An empty value is left out. */
void log_field(struct log_line *line, struct span key, struct span value);
/* A word of our own, which needs no quotes: a name out of a table, a number, an address. Never what somebody
 * else has said, as it is not looked at. */
void log_field_word(struct log_line *line, struct span key, struct span word);
void log_field_number(struct log_line *line, struct span key, int64_t value);
void log_field_bool(struct log_line *line, struct span key, bool value);

/* The same with keys that are string constants, whose lengths are known where it is called. NULL as a
 * text is left out, too. */
static inline void log_span(struct log_line *line, const char *key, struct span value)
{
	log_field(line, span_of_string(key), value);
}

static inline void log_text(struct log_line *line, const char *key, const char *value)
{
	if (value != NULL)
		log_field(line, span_of_string(key), span_of_string(value));
}

static inline void log_word(struct log_line *line, const char *key, const char *word)
{
	if (word != NULL)
		log_field_word(line, span_of_string(key), span_of_string(word));
}

static inline void log_number(struct log_line *line, const char *key, int64_t value)
{
	log_field_number(line, span_of_string(key), value);
}

static inline void log_bool(struct log_line *line, const char *key, bool value)
{
	log_field_bool(line, span_of_string(key), value);
}

void log_end(struct log_line *line);

/* A line with one field `message`. */
void log_message(enum config_log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
