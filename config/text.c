#include "config/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/memory.h"

static int read_descriptor(struct text *text, int fd, struct faults *faults)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		fault_add(faults, 0, "this is a directory, not a configuration file");
		return -1;
	}
	text->data = memory_get(TEXT_SIZE_MAX + 2, 1);
	while (text->len <= TEXT_SIZE_MAX) {
		ssize_t got = read(fd, text->data + text->len, TEXT_SIZE_MAX + 1 - text->len);

		if (got == 0)
			return 0;
		if (got == -1 && errno != EINTR) {
			fault_add(faults, 0, "reading the configuration: %s", strerror(errno));
			return -1;
		}
		text->len += got > 0 ? (size_t)got : 0;
	}
	fault_add(faults, 0, "the configuration is larger than 1 MB");
	return -1;
}

int text_read(struct text *text, const char *path, struct faults *faults)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int result;

	*text = (struct text){0};
	if (fd == -1) {
		fault_add(faults, 0, "opening the configuration: %s", strerror(errno));
		return -1;
	}
	result = read_descriptor(text, fd, faults);
	close(fd);
	return result;
}

/* Blanks from p up to end, but keeps line ends, so that lines keep their numbers. */
static void blank(char *p, const char *end)
{
	for (; p < end; p++)
		if (*p != '\n')
			*p = ' ';
}

static int count_lines(const char *p, const char *end)
{
	int count = 0;

	for (; p < end; p++)
		count += *p == '\n';
	return count;
}

/* Returns what follows the closing quote; NULL with a fault. libconfuse knows more escapes, which no
 * value here needs, and takes strings over several lines, which are forgotten quotes. */
static char *pass_string(char *p, int line, struct faults *faults)
{
	char quote = *p++;

	for (; *p != quote; p++) {
		if (*p == '\0' || *p == '\n') {
			fault_add(faults, line, "this line ends inside of quotes");
			return NULL;
		}
		if (quote == '"' && p[0] == '$' && p[1] == '{') {
			fault_add(faults, line, "${…}: environment variables are not read");
			return NULL;
		}
		if (*p != '\\')
			continue;
		p++;
		if (*p != '\\' && *p != quote && !(quote == '"' && *p == '$')) {
			fault_add(faults, line,
				"a backslash in quotes can stand before \\, %c%s alone", quote,
				quote == '"' ? " or $" : "");
			return NULL;
		}
	}
	return p + 1;
}

/* Returns what follows the comment at p, or p where there is none; NULL with a fault. */
static char *pass_comment(char *p, int line, struct faults *faults)
{
	char *end;

	if (p[0] == '#' || (p[0] == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	if (p[0] != '/' || p[1] != '*')
		return p;
	end = strstr(p + 2, "*/");
	if (end == NULL) {
		fault_add(faults, line, "this comment is not closed");
		return NULL;
	}
	return end + 2;
}

static bool is_word_char(char c)
{
	return c != '\0' && strchr(" #\"'\t\n\r={}()+,*", c) == NULL;
}

/* A word may hold slashes, as paths do. libconfuse drops a lone '*' or '+' without a word, and
 * expands ${…} in a word. */
static char *pass_word(char *p, int line, struct faults *faults)
{
	for (; is_word_char(*p); p++) {
		if (p[0] == '$' && p[1] == '{') {
			fault_add(faults, line, "${…}: environment variables are not read");
			return NULL;
		}
	}
	if (*p == '*' || (*p == '+' && p[1] != '=')) {
		fault_add(faults, line, "what holds a '%c' has to be written in quotes", *p);
		return NULL;
	}
	return p;
}

static int check_characters(struct text *text, struct faults *faults)
{
	int line = 1;

	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];

		if (c == '\r')
			text->data[i] = ' ';
		else if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f) {
			fault_add(faults, line, "a control character (0x%02x)", c);
			return -1;
		}
		line += c == '\n';
	}
	text->line_count = line > 1 && text->data[text->len - 1] == '\n' ? line - 1 : line;
	return 0;
}

/* Returns what follows the string, word or sign at p; NULL with a fault. */
static char *pass_token(char *p, int line, struct faults *faults)
{
	if (*p == '"' || *p == '\'')
		return pass_string(p, line, faults);
	if (p[0] == '+' && p[1] == '=')
		return p + 2;
	if (!is_word_char(*p) && *p != '*' && *p != '+')
		return p + 1;
	return pass_word(p, line, faults);
}

int text_clean(struct text *text, struct faults *faults)
{
	int line = 1;

	if (check_characters(text, faults) == -1)
		return -1;
	for (char *p = text->data, *next; *p != '\0'; p = next) {
		next = pass_comment(p, line, faults);
		if (next == NULL)
			return -1;
		if (next != p) {
			line += count_lines(p, next);
			blank(p, next);
			continue;
		}
		next = pass_token(p, line, faults);
		if (next == NULL)
			return -1;
		line += *p == '\n';
	}
	return 0;
}

int text_section_line(const struct text *text, enum option_section section, size_t nth)
{
	for (size_t i = 0; i < text->section_count; i++)
		if (text->sections[i].section == section && nth-- == 0)
			return text->sections[i].line;
	return text->line_count;
}

void text_free(struct text *text)
{
	free(text->data);
	free(text->sections);
	*text = (struct text){0};
}
