/* The walk over names and braces that finds what the table of options does not know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/memory.h"
#include "config/text.h"

enum {
	DEPTH_MAX = 4, /* root, listener, certificate, and one to spare */
	SECTIONS_MAX = 1000
};

/* kind is 's' for a string or word, '+' for "+=", '\0' at the end, else the sign itself. */
struct token {
	char kind;
	int line;
	char *begin, *end; /* with quotes */
	const char *value; /* without */
	size_t value_len;
};

struct known {
	int level;         /* of the section that it was seen in */
	const void *what;  /* a row of a table */
	const char *title; /* "" for options */
	size_t title_len;
	int line;
};

struct level {
	enum option_section section;
	size_t known_from; /* what was seen since the section began */
};

struct walk {
	struct text *text;
	struct faults *faults;
	char *p;
	int line;
	struct token token; /* the one that is looked at */
	struct level levels[DEPTH_MAX];
	int depth;
	size_t known_count;
	struct known *known;
};

static void next_token(struct walk *walk)
{
	struct token *token = &walk->token;
	char *p = walk->p;

	for (; *p == ' ' || *p == '\t' || *p == '\n'; p++)
		walk->line += *p == '\n';
	*token = (struct token){
		.kind = *p, .line = walk->line, .begin = p, .end = p + 1, .value = ""};
	if (*p == '\0') {
		token->end = p;
	} else if (*p == '"' || *p == '\'') {
		/* text_clean() has seen to it that the string is closed. */
		for (p++; *p != *token->begin; p++)
			p += *p == '\\';
		token->kind = 's';
		token->end = p + 1;
		token->value = token->begin + 1;
		token->value_len = (size_t)(p - token->begin) - 1;
	} else if (*p == '+') {
		token->end = p + 2;
	} else if (strchr("{}()=,", *p) == NULL) {
		p += strcspn(p, " #\"'\t\n{}()+,=*");
		token->kind = 's';
		token->end = p;
		token->value = token->begin;
		token->value_len = (size_t)(p - token->begin);
	}
	walk->p = token->end;
}

/* Goes past a closing brace for the opening one that is looked at. */
static bool pass_braces(struct walk *walk)
{
	int depth = 0;

	do {
		depth += (walk->token.kind == '{') - (walk->token.kind == '}');
		if (walk->token.kind == '\0')
			return false;
		next_token(walk);
	} while (depth > 0);
	return true;
}

/* Goes past "= value", "+= value" or "= { … }". */
static bool pass_value(struct walk *walk)
{
	next_token(walk);
	if (walk->token.kind == '{')
		return pass_braces(walk);
	if (walk->token.kind != 's')
		return false;
	next_token(walk);
	return true;
}

/* Goes past what follows the name of an option or section, whichever it looks like. */
static bool pass_statement(struct walk *walk)
{
	if (walk->token.kind == '=' || walk->token.kind == '+')
		return pass_value(walk);
	if (walk->token.kind == 's')
		next_token(walk);
	return walk->token.kind == '{' && pass_braces(walk);
}

/* Blanks up to the token that is looked at then; lines keep their numbers. */
static bool strip_statement(struct walk *walk, char *begin)
{
	if (!pass_statement(walk))
		return false;
	for (; begin < walk->token.begin; begin++)
		if (*begin != '\n')
			*begin = ' ';
	return true;
}

static const struct known *find_known(
	const struct walk *walk, const void *what, const char *title, size_t title_len)
{
	for (size_t i = walk->levels[walk->depth].known_from; i < walk->known_count; i++) {
		const struct known *known = &walk->known[i];

		if (known->level == walk->depth && known->what == what &&
			known->title_len == title_len &&
			memcmp(known->title, title, title_len) == 0)
			return known;
	}
	return NULL;
}

static void remember(
	struct walk *walk, const void *what, const char *title, size_t title_len, int line)
{
	walk->known = memory_grow(walk->known, walk->known_count, sizeof(*walk->known));
	walk->known[walk->known_count++] =
		(struct known){walk->depth, what, title, title_len, line};
}

static bool walk_option(struct walk *walk, const struct option *option, struct token name)
{
	const struct known *known = find_known(walk, option, "", 0);
	bool is_append = walk->token.kind == '+';
	char words[80];

	if (known != NULL && !is_append) {
		option_describe(option, words, sizeof(words));
		fault_add(walk->faults, name.line, "%s stands in line %d already", words,
			known->line);
		return strip_statement(walk, name.begin);
	}
	if (known == NULL)
		remember(walk, option, "", 0, name.line);
	return (is_append || walk->token.kind == '=') && pass_value(walk);
}

static void enter_section(struct walk *walk, enum option_section section, int line)
{
	struct text *text = walk->text;

	text->sections = memory_grow(text->sections, text->section_count, sizeof(*text->sections));
	text->sections[text->section_count++] = (struct text_section){section, line};
	walk->depth++;
	walk->levels[walk->depth] = (struct level){section, walk->known_count};
}

static bool walk_section(struct walk *walk, enum option_section section, struct token name)
{
	const struct option_section_row *row = &option_sections[section];
	struct token title = {.value = "", .value_len = 0};
	const struct known *known;
	struct walk after_name = *walk;

	if (row->has_title) {
		if (walk->token.kind != 's')
			return false;
		title = walk->token;
		next_token(walk);
	}
	if (walk->token.kind != '{')
		return false;
	known = find_known(walk, row, title.value, title.value_len);
	if (known != NULL) {
		fault_add(walk->faults, name.line, "section '%s%s%.*s' stands in line %d already",
			row->name, row->has_title ? " " : "", (int)title.value_len, title.value,
			known->line);
		walk->p = after_name.p;
		walk->line = after_name.line;
		walk->token = after_name.token;
		return strip_statement(walk, name.begin);
	}
	if (walk->text->section_count == SECTIONS_MAX) {
		fault_add(walk->faults, name.line, "more than %d sections", SECTIONS_MAX);
		return strip_statement(walk, name.begin);
	}
	remember(walk, row, title.value, title.value_len, name.line);
	enter_section(walk, section, name.line);
	next_token(walk);
	return true;
}

static bool walk_unknown(struct walk *walk, struct token name)
{
	enum option_section here = walk->levels[walk->depth].section;
	enum option_section home = option_find_home(here, name.value, name.value_len);
	bool is_option = walk->token.kind == '=' || walk->token.kind == '+';
	int len = name.value_len < 100 ? (int)name.value_len : 100;
	char hint[80] = "";

	if (is_option && home == SECTION_ROOT)
		snprintf(hint, sizeof(hint), "; it stands outside of all sections");
	else if (is_option && home != SECTION_COUNT)
		snprintf(hint, sizeof(hint), "; it belongs in %s", option_sections[home].name);
	fault_add(walk->faults, name.line, "unknown %s '%.*s'%s%s%s",
		is_option ? "option" : "section", len, name.value,
		here == SECTION_ROOT ? "" : " in ", option_sections[here].name, hint);
	return strip_statement(walk, name.begin);
}

/* One statement, or the end of a section. False where the grammar is broken, and at the end. */
static bool walk_statement(struct walk *walk)
{
	enum option_section here = walk->levels[walk->depth].section;
	struct token name = walk->token;
	const struct option *option;
	enum option_section section;

	if (name.kind == '}' && walk->depth > 0) {
		walk->known_count = walk->levels[walk->depth].known_from;
		walk->depth--;
		next_token(walk);
		return true;
	}
	if (name.kind != 's')
		return false;
	next_token(walk);
	option = option_find(here, name.value, name.value_len);
	if (option != NULL)
		return walk_option(walk, option, name);
	section = option_find_section(here, name.value, name.value_len);
	if (section != SECTION_ROOT)
		return walk_section(walk, section, name);
	return walk_unknown(walk, name);
}

/* libconfuse takes the end of the file for the end of every section. */
static int check_closed(const struct walk *walk)
{
	const struct text_section *last;
	int depth = walk->depth;

	if (walk->token.kind != '\0' || depth == 0)
		return 0;
	last = &walk->text->sections[walk->text->section_count - 1];
	for (; last->section != walk->levels[depth].section; last--)
		;
	faults_clear(walk->faults);
	fault_add(walk->faults, last->line, "section '%s' is not closed",
		option_sections[last->section].name);
	return -1;
}

int text_strip_unknown(struct text *text, struct faults *faults)
{
	struct walk walk = {.text = text, .faults = faults, .p = text->data, .line = 1};
	int result;

	next_token(&walk);
	while (walk_statement(&walk))
		;
	result = check_closed(&walk);
	free(walk.known);
	return result;
}
