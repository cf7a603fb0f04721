#include "config/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/fault.h"
#include "config/file.h"
#include "config/memory.h"
#include "config/option.h"
#include "config/syntax.h"
#include "config/text.h"

static void keep_first(void *context, const char *text)
{
	struct error *err = context;

	if (err != NULL && err->text[0] == '\0')
		error_set(err, "%s", text);
}

/* As it is written; NULL where it is not. */
static char *find_value(cfg_t *tree, const struct option *option)
{
	cfg_t *section = option->section == SECTION_ROOT
				 ? tree
				 : cfg_getsec(tree, option_sections[option->section].name);
	const struct syntax_value *value =
		section != NULL ? syntax_value(section, option, 0) : NULL;

	return value != NULL ? memory_copy(value->text) : NULL;
}

/* Paths are relative to where the configuration is. */
static char *resolve(const char *config_path, const char *value)
{
	const char *slash = strrchr(config_path, '/');
	char *directory =
		slash == NULL ? memory_copy(".")
			      : memory_copy_part(config_path,
					slash == config_path ? 1 : (size_t)(slash - config_path));
	char *path = value[0] != '\0' ? file_path(directory, value) : memory_copy("");

	free(directory);
	return path;
}

char *config_lookup_path(
	const char *config_path, const char *section, const char *name, struct error *err)
{
	const struct option *option = option_find(
		option_find_section(SECTION_ROOT, section, strlen(section)), name, strlen(name));
	struct text text = {0};
	struct faults faults;
	cfg_t *tree = NULL;
	char *value = NULL, *path = NULL;

	if (err != NULL)
		err->text[0] = '\0';
	faults_begin(&faults, config_path);
	if (text_read(&text, config_path, &faults) == 0 && text_clean(&text, &faults) == 0 &&
		text_strip_unknown(&text, &faults) == 0) {
		/* What was found so far is no hindrance. */
		faults_clear(&faults);
		tree = syntax_parse(&text, &faults);
	}
	faults_report(&faults, keep_first, err);
	if (tree == NULL)
		goto out;
	value = find_value(tree, option);
	if (value == NULL && option->fallback != NULL)
		value = memory_copy(option->fallback);
	if (value == NULL)
		error_set(err, "%s has no %s in %s", config_path, name, section);
	else
		path = resolve(config_path, value);
	cfg_free(tree);
out:
	free(value);
	text_free(&text);
	return path;
}
