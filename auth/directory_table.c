/* The text of a directory file, as a sorted table of everything that leads to a mailbox. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/address.h"
#include "auth/binding.h"
#include "auth/directory_file.h"
#include "auth/unicode.h"

struct box {
	size_t mailbox; /* where its address begins, in text */
	uint32_t line;
	bool is_disabled, has_upn;
	uint64_t groups;
};

/* What leads to a mailbox: a letter for its kind, and its text. */
struct key {
	size_t at;
	uint32_t box;
};

struct directory_table {
	char *name;
	char *text;
	size_t text_len, text_size;
	struct box *boxes;
	size_t box_count, box_size;
	struct key *keys;
	size_t key_count, key_size;
};

struct parser {
	struct directory_table *table;
	const struct directory_groups *groups;
	config_report *report;
	void *report_context;
	uint32_t line;
	unsigned int fault_count;
	bool is_out_of_memory;
};

enum { KEY_ADDRESS = 'a', KEY_UPN = 'u', KEY_SID = 's', KEY_BINDING = 'b' };

__attribute__((format(printf, 3, 4))) static void fault(
	struct parser *parser, uint32_t line, const char *format, ...)
{
	char what[400], text[600];
	va_list args;

	if (parser->fault_count++ >= DIRECTORY_FILE_FAULTS_MAX || parser->report == NULL)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	/* The file's own words are in it, whatever they are. */
	for (char *c = what; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	snprintf(text, sizeof(text), "%s:%u: %s", parser->table->name, line, what);
	parser->report(parser->report_context, text);
}

static bool grow(void **list, size_t *size, size_t wanted, size_t element)
{
	size_t bigger = *size > 0 ? *size * 2 : 256;
	void *grown;

	if (wanted <= *size)
		return true;
	while (bigger < wanted)
		bigger *= 2;
	grown = realloc(*list, bigger * element);
	if (grown == NULL)
		return false;
	*list = grown;
	*size = bigger;
	return true;
}

/* Copies kind (0: none) and text with its NUL; SIZE_MAX when memory runs out. */
static size_t keep_text(struct directory_table *table, char kind, const char *text)
{
	size_t len = strlen(text) + 1, at = table->text_len;

	if (!grow((void **)&table->text, &table->text_size, at + len + 1, 1))
		return SIZE_MAX;
	if (kind != 0)
		table->text[table->text_len++] = kind;
	memcpy(table->text + table->text_len, text, len);
	table->text_len += len;
	return at;
}

static void add_key(struct parser *parser, char kind, const char *text)
{
	struct directory_table *table = parser->table;

	assert(table->box_count > 0); /* a line begins with its mailbox */
	if (!grow((void **)&table->keys, &table->key_size, table->key_count + 1,
		    sizeof(*table->keys))) {
		parser->is_out_of_memory = true;
		return;
	}
	table->keys[table->key_count].box = (uint32_t)table->box_count - 1;
	table->keys[table->key_count].at = keep_text(table, kind, text);
	if (table->keys[table->key_count].at == SIZE_MAX)
		parser->is_out_of_memory = true;
	else
		table->key_count++;
}

static void add_address(struct parser *parser, char kind, struct span text)
{
	char folded[IDENTITY_ADDRESS_MAX + 1];

	if (address_fold(text, folded) == 0)
		add_key(parser, kind, folded);
	else
		fault(parser, parser->line, "'%.*s' is not an address; write user@domain",
			text.len > 100 ? 100 : (int)text.len, (const char *)text.data);
}

static bool skip_prefix(struct span *word, const char *prefix)
{
	size_t len = strlen(prefix);

	if (word->len < len || strncasecmp((const char *)word->data, prefix, len) != 0)
		return false;
	*word = span_of(word->data + len, word->len - len);
	return true;
}

static void add_binding(struct parser *parser, struct span word)
{
	char folded[DIRECTORY_VALUE_MAX + 1];
	struct span rest = word;

	if (skip_prefix(&rest, "X509:<PN>")) {
		add_address(parser, KEY_UPN, rest);
	} else if (skip_prefix(&rest, "X509:<RFC822>")) {
		add_address(parser, KEY_ADDRESS, rest);
	} else if (!binding_is_value(word) || unicode_fold(word, folded, sizeof(folded)) == -1) {
		fault(parser, parser->line,
			"'%.*s' is no binding; write X509:<SKI>, X509:<SHA1-PUKEY>, "
			"X509:<I>…<SR>…, X509:<I>…<S>…, X509:<S>…, X509:<PN> or X509:<RFC822> "
			"with its value, as in altSecurityIdentities",
			word.len > 60 ? 60 : (int)word.len, (const char *)word.data);
	} else {
		add_key(parser, KEY_BINDING, folded);
	}
}

static void add_sid(struct parser *parser, struct span sid)
{
	char text[BINDING_SID_MAX + 1];

	if (!binding_is_sid(sid)) {
		fault(parser, parser->line, "'%.*s' is not a SID; write S-1-5-21-…",
			sid.len > 100 ? 100 : (int)sid.len, (const char *)sid.data);
		return;
	}
	memcpy(text, sid.data, sid.len);
	text[sid.len] = '\0';
	add_key(parser, KEY_SID, text);
}

/* One that no rule names does not matter, but has to be one. */
static void add_group(struct parser *parser, struct span name)
{
	struct box *box = &parser->table->boxes[parser->table->box_count - 1];
	char folded[DIRECTORY_GROUP_SIZE];
	int is_dn;

	if (directory_group_fold(name, folded, &is_dn) == -1)
		fault(parser, parser->line,
			"'%.*s' is no group; write group:name, as it stands in the rules",
			name.len > 100 ? 100 : (int)name.len, (const char *)name.data);
	else
		box->groups |= directory_groups_find(parser->groups, name);
}

static void take_value(struct parser *parser, struct span word)
{
	struct box *box = &parser->table->boxes[parser->table->box_count - 1];
	struct span rest = word;

	if (span_equal(word, span_of_string("disabled"))) {
		box->is_disabled = true;
	} else if (skip_prefix(&rest, "smtp:")) {
		add_address(parser, KEY_ADDRESS, rest);
	} else if (skip_prefix(&rest, "upn:")) {
		box->has_upn = true;
		add_address(parser, KEY_UPN, rest);
	} else if (skip_prefix(&rest, "sid:")) {
		add_sid(parser, rest);
	} else if (skip_prefix(&rest, "X509:")) {
		add_binding(parser, word);
	} else if (skip_prefix(&rest, "group:")) {
		add_group(parser, rest);
	} else {
		fault(parser, parser->line,
			"'%.*s' is none of smtp:…, upn:…, sid:…, X509:<…>…, group:… and disabled",
			word.len > 100 ? 100 : (int)word.len, (const char *)word.data);
	}
}

static bool begin_box(struct parser *parser, struct span word)
{
	struct directory_table *table = parser->table;
	char folded[IDENTITY_ADDRESS_MAX + 1];
	size_t at;

	if (address_fold(word, folded) == -1) {
		fault(parser, parser->line,
			"'%.*s' is not a mailbox; a line begins with its address, user@domain",
			word.len > 100 ? 100 : (int)word.len, (const char *)word.data);
		return false;
	}
	at = keep_text(table, 0, folded);
	if (at == SIZE_MAX || !grow((void **)&table->boxes, &table->box_size, table->box_count + 1,
				      sizeof(*table->boxes))) {
		parser->is_out_of_memory = true;
		return false;
	}
	table->boxes[table->box_count++] = (struct box){.mailbox = at, .line = parser->line};
	add_key(parser, KEY_ADDRESS, folded);
	return !parser->is_out_of_memory;
}

/* The next word of the line, which is moved past it: bare up to a blank, or in double quotes with \"
 * and \\. unquoted has room for the line. 1, 0 at the end or a comment, -1: the quotes do not end, or
 * something stands right behind them. */
static int next_word(struct span *line, char *unquoted, struct span *word)
{
	size_t at = 0, len = 0;
	const uint8_t *text;

	while (line->len > 0 && (line->data[0] == ' ' || line->data[0] == '\t'))
		*line = span_of(line->data + 1, line->len - 1);
	text = line->data;
	if (line->len == 0 || text[0] == '#')
		return 0;
	if (text[0] != '"') {
		while (at < line->len && text[at] != ' ' && text[at] != '\t')
			at++;
		*word = span_of(text, at);
		*line = span_of(text + at, line->len - at);
		return 1;
	}
	for (at = 1; at < line->len && text[at] != '"'; at++) {
		if (text[at] == '\\' && ++at == line->len)
			return -1;
		unquoted[len++] = (char)text[at];
	}
	if (at == line->len || (at + 1 < line->len && text[at + 1] != ' ' && text[at + 1] != '\t'))
		return -1;
	*word = span_of(unquoted, len);
	*line = span_of(text + at + 1, line->len - at - 1);
	return 1;
}

static void parse_line(struct parser *parser, struct span line)
{
	char unquoted[DIRECTORY_FILE_LINE_MAX];
	struct span word;
	bool is_first = true;
	int result;

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (line.len > sizeof(unquoted)) {
		fault(parser, parser->line, "the line is longer than %d bytes",
			DIRECTORY_FILE_LINE_MAX);
		return;
	}
	while (!parser->is_out_of_memory && (result = next_word(&line, unquoted, &word)) != 0) {
		if (result == -1) {
			fault(parser, parser->line,
				"a word in quotes does not end, or something stands right behind "
				"it");
			return;
		}
		if (is_first && !begin_box(parser, word))
			return;
		if (!is_first)
			take_value(parser, word);
		is_first = false;
	}
	/* Where nothing else is said, people log in with the address of their mailbox. */
	if (!is_first && !parser->is_out_of_memory &&
		!parser->table->boxes[parser->table->box_count - 1].has_upn) {
		char mailbox[IDENTITY_ADDRESS_MAX + 1];

		/* A copy, as the text may move. */
		snprintf(mailbox, sizeof(mailbox), "%s",
			parser->table->text +
				parser->table->boxes[parser->table->box_count - 1].mailbox);
		add_key(parser, KEY_UPN, mailbox);
	}
}

static int compare_keys(const void *a, const void *b, void *text)
{
	const struct key *left = a, *right = b;
	int order = strcmp((const char *)text + left->at, (const char *)text + right->at);

	if (order != 0)
		return order;
	return left->box < right->box ? -1 : left->box > right->box;
}

/* Sorts, and tells where one thing leads to two mailboxes. */
static void index_keys(struct parser *parser)
{
	struct directory_table *table = parser->table;

	if (table->key_count == 0)
		return;
	qsort_r(table->keys, table->key_count, sizeof(*table->keys), compare_keys, table->text);
	for (size_t i = 1; i < table->key_count; i++) {
		const struct key *one = &table->keys[i - 1], *two = &table->keys[i];

		if (one->box != two->box &&
			strcmp(table->text + one->at, table->text + two->at) == 0)
			fault(parser, table->boxes[two->box].line,
				"'%.200s' leads to another mailbox already, line %u",
				table->text + two->at + 1, table->boxes[one->box].line);
	}
}

struct directory_table *directory_table_parse(struct span text, const char *name,
	const struct directory_groups *groups, config_report *report, void *report_context)
{
	struct directory_table *table = calloc(1, sizeof(*table));
	struct parser parser = {.table = table,
		.groups = groups,
		.report = report,
		.report_context = report_context};

	if (table == NULL)
		return NULL;
	table->name = strdup(name);
	parser.is_out_of_memory = table->name == NULL;
	while (text.len > 0 && !parser.is_out_of_memory) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		size_t len = end != NULL ? (size_t)(end - text.data) : text.len;

		parser.line++;
		parse_line(&parser, span_of(text.data, len));
		len += end != NULL;
		text = span_of(text.data + len, text.len - len);
	}
	if (!parser.is_out_of_memory)
		index_keys(&parser);
	if (!parser.is_out_of_memory && parser.fault_count == 0)
		return table;
	if (parser.is_out_of_memory && report != NULL)
		report(report_context, "reading the directory file: out of memory");
	directory_table_free(table);
	return NULL;
}

void directory_table_free(struct directory_table *table)
{
	if (table == NULL)
		return;
	free(table->keys);
	free(table->boxes);
	free(table->text);
	free(table->name);
	free(table);
}

size_t directory_table_count(const struct directory_table *table)
{
	return table->box_count;
}

static char key_kind(uint32_t kind)
{
	switch (kind) {
	case CONFIG_NAME_PRINCIPAL: return KEY_UPN;
	case CONFIG_NAME_RFC822:
	case CONFIG_NAME_SMTP_UTF8: return KEY_ADDRESS;
	case CONFIG_NAME_SID: return KEY_SID;
	default: return KEY_BINDING;
	}
}

static const struct key *find(const struct directory_table *table, char kind, const char *value)
{
	size_t from = 0, to = table->key_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const char *text = table->text + table->keys[middle].at;
		int order = text[0] - kind;

		if (order == 0)
			order = strcmp(text + 1, value);
		if (order == 0)
			return &table->keys[middle];
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

/* The texts of a line stand one behind the other, its mailbox first. */
static void describe_box(
	const struct directory_table *table, const struct box *box, struct directory_answer *answer)
{
	size_t end = box + 1 < table->boxes + table->box_count ? box[1].mailbox : table->text_len;
	size_t at = box->mailbox + strlen(table->text + box->mailbox) + 1;

	directory_answer_set(answer, DIRECTORY_FOUND, table->text + box->mailbox, "%s:%u",
		table->name, box->line);
	answer->groups = box->groups;
	for (; at < end; at += strlen(table->text + at) + 1) {
		const char *key = table->text + at;

		if ((key[0] == KEY_UPN || key[0] == KEY_ADDRESS) &&
			strcmp(key + 1, answer->mailbox) != 0)
			directory_answer_add_user(answer, span_of_string(key + 1));
	}
}

void directory_table_ask(const struct directory_table *table,
	const struct directory_question *question, struct directory_answer *answer)
{
	char kind = key_kind(question->kind), folded[DIRECTORY_VALUE_MAX + 1];
	const char *value = question->value;
	const struct key *key = NULL;
	const struct box *box;

	if (kind == KEY_BINDING) {
		if (unicode_fold(span_of_string(value), folded, sizeof(folded)) == -1)
			value = NULL;
		else
			value = folded;
	}
	if (value != NULL)
		key = find(table, kind, value);
	if (key == NULL) {
		directory_answer_set(
			answer, DIRECTORY_NOT_FOUND, "", "no line of %s has it", table->name);
		return;
	}
	box = &table->boxes[key->box];
	if (box->is_disabled)
		directory_answer_set(
			answer, DIRECTORY_DISABLED, "", "%s:%u: disabled", table->name, box->line);
	else
		describe_box(table, box, answer);
}
