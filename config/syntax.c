#include "config/syntax.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/memory.h"

/* libconfuse hands its error callback no context, and its scanner is global itself: one file is read
 * at a time. */
static struct faults *current_faults;

static void on_error(cfg_t *cfg, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
	char text[300];

	vsnprintf(text, sizeof(text), format, args);
	fault_add(current_faults, cfg->line, "%s", text);
}

static int keep_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	size_t size = strlen(text) + 1;
	struct syntax_value *value = memory_get(1, sizeof(*value) + size);

	(void)opt;
	value->line = cfg->line;
	memcpy(value->text, text, size);
	*(void **)result = value;
	return 0;
}

static cfg_opt_t make_option(const struct option *option)
{
	cfg_flag_t flags = option_is_list(option) ? CFGF_LIST : CFGF_NONE;

	return (cfg_opt_t)CFG_PTR_CB(option->name, NULL, flags, keep_value, free);
}

static cfg_opt_t make_section(enum option_section section, cfg_opt_t *options)
{
	const struct option_section_row *row = &option_sections[section];
	cfg_flag_t flags = row->has_title ? CFGF_MULTI | CFGF_TITLE : CFGF_NONE;

	return (cfg_opt_t)CFG_SEC(row->name, options, flags);
}

/* Fills the rows of one section. Sections inside of it have their rows in lists already, since a
 * section's number is higher than its parent's. */
static void make_options(enum option_section section, cfg_opt_t **lists)
{
	cfg_opt_t *list = memory_get(option_count + SECTION_COUNT + 1, sizeof(*list));
	size_t count = 0;

	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].section == section)
			list[count++] = make_option(&option_table[i]);
	for (enum option_section i = SECTION_ROOT + 1; i < SECTION_COUNT; i++)
		if (option_sections[i].parent == section)
			list[count++] = make_section(i, lists[i]);
	list[count] = (cfg_opt_t)CFG_END();
	lists[section] = list;
}

static cfg_t *make_tree(void)
{
	cfg_opt_t *lists[SECTION_COUNT] = {NULL};
	cfg_t *cfg;

	for (enum option_section i = SECTION_COUNT; i-- > SECTION_ROOT;)
		make_options(i, lists);
	cfg = cfg_init(lists[SECTION_ROOT], CFGF_NONE);
	for (size_t i = 0; i < SECTION_COUNT; i++)
		free(lists[i]);
	return cfg;
}

cfg_t *syntax_parse(const struct text *text, struct faults *faults)
{
	cfg_t *cfg = make_tree();
	size_t count = faults->count;

	if (cfg == NULL) {
		fault_add(faults, 0, "starting the parser: out of memory");
		return NULL;
	}
	current_faults = faults;
	cfg_set_error_function(cfg, on_error);
	if (cfg_parse_buf(cfg, text->data) != CFG_SUCCESS || faults->count > count) {
		if (faults->count == count)
			fault_add(faults, text->line_count, "this is not how options are written");
		cfg_free(cfg);
		cfg = NULL;
	}
	current_faults = NULL;
	return cfg;
}

const struct syntax_value *syntax_value(cfg_t *section, const struct option *option, size_t nth)
{
	cfg_opt_t *opt = cfg_getopt(section, option->name);

	if (opt == NULL || nth >= cfg_opt_size(opt))
		return NULL;
	return cfg_opt_getnptr(opt, (unsigned int)nth);
}
