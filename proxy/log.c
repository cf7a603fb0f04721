#include "proxy/log.h"

#include <assert.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/octets.h"
#include "proxy/shared.h"

enum {
	VALUE_MAX = 512, /* bytes of a value before it is cut */
	END_MAX = 16,    /* room that is kept for ,"cut":true} and the line's end */
	START_MAX = 256, /* of a line, up to its event; a process's name is short and plain */
	AROUND_MAX = 6,  /* ,"key":"value" has that much around its words */
	NUMBER_MAX = 20, /* digits and sign of any int64_t */
};

/* How every line of one level begins within one second, but for the milliseconds. */
struct line_start {
	time_t second; /* 0: not made yet */
	size_t len, ms_at;
	char text[START_MAX];
};

/* One log per process, as there is one standard error. Before log_open() it is standard error. */
static struct {
	enum config_log_format format;
	enum config_log_level level;
	int fd;
	bool may_block; /* a pipe, socket or terminal */
	char process[24];
	int slot;
	struct line_start
		starts[CONFIG_LOG_DEBUG + 1]; /* made anew with the first line of a second */
	_Atomic uint64_t *dropped;
	struct log_batch *batch; /* NULL: each line is written at once */
	void (*due)(void *context);
	void *due_context;
} opened = {
	.format = CONFIG_LOG_LOGFMT,
	.level = CONFIG_LOG_INFO,
	.fd = STDERR_FILENO,
	.may_block = true,
	.slot = -1,
};

static const char *const level_names[] = {
	[CONFIG_LOG_ERROR] = "error",
	[CONFIG_LOG_WARNING] = "warning",
	[CONFIG_LOG_INFO] = "info",
	[CONFIG_LOG_DEBUG] = "debug",
};

static void take_fd(int fd)
{
	struct stat st;

	opened.fd = fd;
	opened.may_block = fstat(fd, &st) == -1 || !S_ISREG(st.st_mode);
}

void log_open(const struct config_log *config, int fd, const char *process, int slot,
	_Atomic uint64_t *dropped)
{
	opened.format = config->format;
	opened.level = config->level;
	snprintf(opened.process, sizeof(opened.process), "%s", process);
	opened.slot = slot;
	memset(opened.starts, 0, sizeof(opened.starts));
	opened.dropped = dropped;
	take_fd(fd);
}

int log_fd(void)
{
	return opened.fd;
}

void log_reopen(int fd)
{
	log_flush();
	if (opened.fd != STDERR_FILENO && opened.fd != fd)
		close(opened.fd);
	take_fd(fd);
}

bool log_wants(enum config_log_level level)
{
	return level <= opened.level;
}

/* Adds bytes that need no escaping. A line that is full stays as it is: see field_end(). */
static bool add(struct log_line *line, const char *bytes, size_t len)
{
	if (len > LOG_LINE_MAX - END_MAX - line->len)
		return false;
	memcpy(line->text + line->len, bytes, len);
	line->len += len;
	return true;
}

static bool add_text(struct log_line *line, const char *text)
{
	return add(line, text, strlen(text));
}

/* The length of the well-formed UTF-8 sequence at the start of data (RFC 3629), with its code
 * point; 0 where there is none. */
static size_t utf8_length(const uint8_t *data, size_t len, uint32_t *code_point)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t count;

	if (data[0] < 0x80) {
		*code_point = data[0];
		return 1;
	}
	if (data[0] < 0xc2 || data[0] > 0xf4)
		return 0;
	count = data[0] < 0xe0 ? 2 : data[0] < 0xf0 ? 3 : 4;
	if (count > len)
		return 0;
	*code_point = data[0] & (0x7fu >> count);
	for (size_t i = 1; i < count; i++) {
		if ((data[i] & 0xc0) != 0x80)
			return 0;
		*code_point = *code_point << 6 | (data[i] & 0x3fu);
	}
	if (*code_point < smallest[count] || *code_point > 0x10ffff ||
		(*code_point >= 0xd800 && *code_point <= 0xdfff))
		return 0;
	return count;
}

/* What could end the line, move a terminal's cursor, or turn the reading direction around. */
static bool is_treacherous(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb);
}

/* One character of a quoted value. Both formats quote alike, but JSON knows no \x. */
static bool add_character(struct log_line *line, const uint8_t *data, size_t len, uint32_t c)
{
	char escape[12];

	if (len == 0) /* not UTF-8: one byte, shown as \xe9 */
		snprintf(escape, sizeof(escape),
			opened.format == CONFIG_LOG_JSON ? "\\\\x%02x" : "\\x%02x", data[0]);
	else if (c == '"' || c == '\\')
		snprintf(escape, sizeof(escape), "\\%c", (char)c);
	else if (c == '\n')
		return add_text(line, "\\n");
	else if (c == '\r')
		return add_text(line, "\\r");
	else if (c == '\t')
		return add_text(line, "\\t");
	else if (is_treacherous(c))
		snprintf(escape, sizeof(escape), "\\u%04x", c);
	else
		return add(line, (const char *)data, len);
	return add_text(line, escape);
}

/* How many of the first len characters stand for themselves between quotes: nearly all, as a rule. */
static size_t plain_length(const uint8_t *data, size_t len)
{
	size_t plain = 0;

	while (len - plain >= sizeof(uint64_t)) {
		uint64_t octets = octets_load(data + plain);

		if ((octets_below(octets, ' ') | octets_high(octets) | octets_equal(octets, 0x7f) |
			    octets_equal(octets, '"') | octets_equal(octets, '\\')) != 0)
			break;
		plain += sizeof(octets);
	}
	while (plain < len && data[plain] >= ' ' && data[plain] < 0x7f && data[plain] != '"' &&
		data[plain] != '\\')
		plain++;
	return plain;
}

static bool add_quoted(struct log_line *line, struct span value)
{
	size_t shown = value.len < VALUE_MAX ? value.len : VALUE_MAX;
	size_t at = 0;

	if (!add_text(line, "\""))
		return false;
	while (at < value.len) {
		size_t plain = plain_length(value.data + at, shown - at);
		uint32_t c = 0;
		size_t len;

		if (!add(line, (const char *)value.data + at, plain))
			return false;
		at += plain;
		if (at == value.len)
			break;
		len = utf8_length(value.data + at, value.len - at, &c);
		if (at + (len == 0 ? 1 : len) > VALUE_MAX) {
			if (!add_text(line, "…"))
				return false;
			break;
		}
		if (!add_character(line, value.data + at, len, c))
			return false;
		at += len == 0 ? 1 : len;
	}
	return add_text(line, "\"");
}

/* Eight at a time. The top bit of an octet is set where it does not stand for itself between quotes, or where
 * one below it in the word does not. What is compared has no top bit, or is one of those anyway. */
static inline uint64_t not_plain(uint64_t octets)
{
	return octets | (octets - octets_each(' ')) | (octets + octets_each(1)) /* 0x7f */ |
	       ((octets ^ octets_each('"')) - octets_each(1)) |
	       ((octets ^ octets_each('\\')) - octets_each(1));
}

/* The same without quotes. */
static inline uint64_t not_bare(uint64_t octets)
{
	return not_plain(octets) | (octets - octets_each('!')) |
	       ((octets ^ octets_each('=')) - octets_each(1));
}

/* Fewer than eight octets as eight, with letters for what octets_few() leaves zero. */
static uint64_t octets_of_few(const uint8_t *data, size_t len)
{
	uint64_t octets = octets_few(data, len);

	return len < 4 ? octets | octets_each('a') << 24 : octets;
}

/* Whether nothing in a value, which is not empty, is such. */
static inline bool has_none(struct span value, uint64_t (*of)(uint64_t))
{
	uint64_t found;

	if (value.len > VALUE_MAX)
		return false;
	if (value.len < sizeof(uint64_t))
		return (of(octets_of_few(value.data, value.len)) & octets_each(0x80)) == 0;
	/* The last eight may have some in common with the eight before them. */
	found = of(octets_load(value.data + value.len - sizeof(uint64_t)));
	for (size_t at = 0; at + sizeof(uint64_t) < value.len; at += sizeof(uint64_t))
		found |= of(octets_load(value.data + at));
	return (found & octets_each(0x80)) == 0;
}

/* Whether a value stands for itself in both formats but for JSON's quotes, as nearly all do. */
static bool is_bare(struct span value)
{
	return has_none(value, not_bare);
}

static bool is_plain(struct span value)
{
	return has_none(value, not_plain);
}

static size_t room_left(const struct log_line *line)
{
	return LOG_LINE_MAX - END_MAX - line->len;
}

/* Writes a key and what stands around it, for which there is room; returns where the value goes. */
static inline char *key_write(struct log_line *line, struct span key)
{
	char *at = line->text + line->len;

	if (opened.format == CONFIG_LOG_JSON) {
		*at++ = line->len == 0 ? '{' : ',';
		*at++ = '"';
		memcpy(at, key.data, key.len);
		at += key.len;
		*at++ = '"';
		*at++ = ':';
	} else {
		if (line->len > 0)
			*at++ = ' ';
		memcpy(at, key.data, key.len);
		at += key.len;
		*at++ = '=';
	}
	return at;
}

static bool add_key(struct log_line *line, struct span key)
{
	if (key.len + 4 > room_left(line)) /* with what stands around it */
		return false;
	line->len = (size_t)(key_write(line, key) - line->text);
	return true;
}

/* A field that does not fit is left out whole, and the line says that it was cut. */
static void field_end(struct log_line *line, size_t start, bool fits)
{
	if (fits)
		return;
	line->len = start;
	line->is_cut = true;
}

/* Writes a field for which there is room, and whose value stands for itself. */
static inline void field_write(
	struct log_line *line, struct span key, struct span value, bool is_quoted)
{
	char *at = key_write(line, key);

	if (is_quoted)
		*at++ = '"';
	memcpy(at, value.data, value.len);
	at += value.len;
	if (is_quoted)
		*at++ = '"';
	line->len = (size_t)(at - line->text);
}

static inline bool has_room(const struct log_line *line, struct span key, struct span value)
{
	return key.len + value.len + AROUND_MAX <= room_left(line);
}

/* One that needs a closer look, or whose line is nearly full. Apart from log_field(), which is to stay
 * small. */
__attribute__((noinline)) static void field_add(
	struct log_line *line, struct span key, struct span value)
{
	size_t start = line->len;
	bool fits;

	if (is_plain(value) && has_room(line, key, value)) {
		field_write(line, key, value, true);
		return;
	}
	fits = add_key(line, key);
	if (opened.format == CONFIG_LOG_LOGFMT && is_bare(value))
		fits = fits && add(line, (const char *)value.data, value.len);
	else
		fits = fits && add_quoted(line, value);
	field_end(line, start, fits);
}

void log_field(struct log_line *line, struct span key, struct span value)
{
	if (!line->is_wanted || value.len == 0)
		return;
	if (has_room(line, key, value) && is_bare(value))
		field_write(line, key, value, opened.format == CONFIG_LOG_JSON);
	else
		field_add(line, key, value);
}

void log_field_word(struct log_line *line, struct span key, struct span word)
{
	assert(word.len == 0 || is_bare(word)); /* it is ours */
	if (!line->is_wanted || word.len == 0)
		return;
	if (has_room(line, key, word))
		field_write(line, key, word, opened.format == CONFIG_LOG_JSON);
	else
		field_add(line, key, word);
}

void log_field_number(struct log_line *line, struct span key, int64_t value)
{
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	char text[NUMBER_MAX];
	char *at = text + sizeof(text);
	struct span number;
	size_t start = line->len;

	if (!line->is_wanted)
		return;
	do
		*--at = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (value < 0)
		*--at = '-';
	number = span_of(at, (size_t)(text + sizeof(text) - at));
	if (has_room(line, key, number))
		field_write(line, key, number, false);
	else
		field_end(line, start, add_key(line, key) && add(line, at, number.len));
}

void log_field_bool(struct log_line *line, struct span key, bool value)
{
	size_t start = line->len;

	if (line->is_wanted)
		field_end(line, start,
			add_key(line, key) && add_text(line, value ? "true" : "false"));
}

/* Begins a line, and keeps the beginning for the lines that follow it in this second. */
static void start_make(struct log_line *line, enum config_log_level level, time_t second)
{
	struct line_start *start = &opened.starts[level];
	char moment[40];
	struct tm utc;

	gmtime_r(&second, &utc);
	strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%S.000Z", &utc);
	log_text(line, "time", moment);
	start->ms_at = (size_t)((const char *)memchr(line->text, '.', line->len) + 1 - line->text);
	log_word(line, "level", level_names[level]);
	log_text(line, "process", opened.process);
	if (opened.slot >= 0)
		log_number(line, "slot", opened.slot);
	assert(line->len <= sizeof(start->text));
	memcpy(start->text, line->text, line->len);
	start->len = line->len;
	start->second = second;
}

void log_begin(struct log_line *line, enum config_log_level level, const char *event)
{
	const struct line_start *start = &opened.starts[level];
	struct timespec now;
	unsigned int ms;

	line->is_wanted = log_wants(level);
	line->is_cut = false;
	line->len = 0;
	if (!line->is_wanted)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	if (start->second != now.tv_sec) {
		start_make(line, level, now.tv_sec);
	} else {
		memcpy(line->text, start->text, start->len);
		line->len = start->len;
	}
	/* RFC 3339: UTC, here with milliseconds. */
	ms = (unsigned int)(now.tv_nsec / 1000000);
	line->text[start->ms_at] = (char)('0' + ms / 100);
	line->text[start->ms_at + 1] = (char)('0' + ms / 10 % 10);
	line->text[start->ms_at + 2] = (char)('0' + ms % 10);
	log_word(line, "event", event);
}

/* One write, or none: nobody waits for the log. */
static bool write_text(const char *text, size_t len)
{
	struct pollfd ready = {.fd = opened.fd, .events = POLLOUT};

	if (opened.may_block && (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0))
		return false;
	return write(opened.fd, text, len) == (ssize_t)len;
}

static void count_dropped(const char *text, size_t len)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	if (opened.dropped != NULL)
		shared_add(opened.dropped, lines);
}

/* How many bytes of whole lines are written at a time. What goes to a file stays together however much it
 * is; in a pipe, where other processes write too, up to PIPE_BUF does. */
static size_t piece_len(const char *text, size_t len)
{
	const char *end;

	if (!opened.may_block || len <= PIPE_BUF)
		return len;
	end = memrchr(text, '\n', PIPE_BUF);
	return end != NULL ? (size_t)(end - text) + 1 : len;
}

static void write_lines(struct log_batch *batch)
{
	uint32_t begin = atomic_load_explicit(&batch->begin, memory_order_relaxed);
	uint32_t end = atomic_load_explicit(&batch->end, memory_order_acquire);

	while (begin < end && end <= LOG_BATCH_MAX) {
		size_t len = piece_len(batch->text + begin, end - begin);

		if (!write_text(batch->text + begin, len))
			count_dropped(batch->text + begin, len);
		begin += (uint32_t)len;
		atomic_store_explicit(&batch->begin, begin, memory_order_release);
	}
	atomic_store_explicit(&batch->end, 0, memory_order_release);
	atomic_store_explicit(&batch->begin, 0, memory_order_release);
}

void log_flush(void)
{
	if (opened.batch != NULL)
		write_lines(opened.batch);
}

void log_gather(struct log_batch *batch, void (*due)(void *context), void *context)
{
	opened.batch = batch;
	opened.due = due;
	opened.due_context = context;
}

static void gather(struct log_batch *batch, const char *text, size_t len)
{
	uint32_t end = atomic_load_explicit(&batch->end, memory_order_relaxed);

	if (len > LOG_BATCH_MAX - end) {
		write_lines(batch);
		end = 0;
	}
	memcpy(batch->text + end, text, len);
	atomic_store_explicit(&batch->end, end + (uint32_t)len, memory_order_release);
	if (end == 0)
		opened.due(opened.due_context);
}

struct log_batch *log_batch_new(void)
{
	struct log_batch *batch = mmap(
		NULL, sizeof(*batch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return batch != MAP_FAILED ? batch : NULL;
}

void log_batch_keep(struct log_batch *batch)
{
	madvise(batch, sizeof(*batch), MADV_DONTFORK);
}

void log_batch_take_over(struct log_batch *batch)
{
	if (batch == NULL)
		return;
	write_lines(batch);
	munmap(batch, sizeof(*batch));
}

void log_end(struct log_line *line)
{
	bool is_json = opened.format == CONFIG_LOG_JSON;

	if (!line->is_wanted)
		return;
	/* For which room was kept. */
	if (line->is_cut) {
		const char *end = is_json ? ",\"cut\":true" : " cut=true";

		memcpy(line->text + line->len, end, strlen(end));
		line->len += strlen(end);
	}
	if (is_json)
		line->text[line->len++] = '}';
	line->text[line->len++] = '\n';
	if (opened.batch != NULL)
		gather(opened.batch, line->text, line->len);
	else if (!write_text(line->text, line->len))
		count_dropped(line->text, line->len);
}

void log_message(enum config_log_level level, const char *event, const char *format, ...)
{
	struct log_line line;
	char text[VALUE_MAX];
	va_list args;

	log_begin(&line, level, event);
	if (!line.is_wanted)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_text(&line, "message", text);
	log_end(&line);
}
