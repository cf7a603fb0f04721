#include "auth/directory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "auth/directory_file.h"
#include "auth/directory_groups.h"
#include "auth/unicode.h"

struct directory {
	const struct directory_backend *backend;
	void *state;
};

static const struct directory_backend *backend_of(enum config_directory_backend kind)
{
	switch (kind) {
	case CONFIG_DIRECTORY_FILE: return &directory_file;
	case CONFIG_DIRECTORY_LDAP: return &directory_ldap;
	default: return &directory_none;
	}
}

struct directory *directory_new(const struct config_directory *config, struct error *err)
{
	struct directory *directory = calloc(1, sizeof(*directory));

	if (directory == NULL) {
		error_sys(err, "opening the directory");
		return NULL;
	}
	directory->backend = backend_of(config->backend);
	directory->state = directory->backend->open(config, err);
	if (directory->state != NULL)
		return directory;
	free(directory);
	return NULL;
}

void directory_free(struct directory *directory)
{
	if (directory == NULL)
		return;
	directory->backend->close(directory->state);
	free(directory);
}

void directory_ask(struct directory *directory, const struct directory_question *question,
	struct directory_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	directory->backend->ask(directory->state, question, answer);
}

bool directory_may_block(const struct config_directory *config)
{
	return config->backend == CONFIG_DIRECTORY_LDAP;
}

int directory_watch_fd(const struct directory *directory)
{
	if (directory->backend->watch_fd == NULL)
		return -1;
	return directory->backend->watch_fd(directory->state);
}

int directory_refresh(struct directory *directory, struct error *err)
{
	if (directory->backend->refresh == NULL)
		return 0;
	return directory->backend->refresh(directory->state, err);
}

int directory_config_check(
	const struct config_directory *config, config_report *report, void *report_context)
{
	struct directory_groups *groups;
	struct error err;

	if (config->backend == CONFIG_DIRECTORY_NONE)
		return 0;
	groups = directory_groups_new(config->group_count, config->groups, &err);
	if (groups == NULL) {
		report(report_context, err.text);
		return -1;
	}
	directory_groups_free(groups);
	if (config->backend != CONFIG_DIRECTORY_FILE)
		return 0;
	return directory_file_check(config->file, report, report_context);
}

void directory_answer_set(struct directory_answer *answer, enum directory_status status,
	const char *mailbox, const char *format, ...)
{
	va_list args;

	memset(answer, 0, sizeof(*answer));
	answer->status = status;
	snprintf(answer->mailbox, sizeof(answer->mailbox), "%s", mailbox);
	va_start(args, format);
	vsnprintf(answer->entry, sizeof(answer->entry), format, args);
	va_end(args);
	for (char *c = answer->entry; *c != '\0'; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

void directory_answer_add_user(struct directory_answer *answer, struct span name)
{
	char folded[IDENTITY_ADDRESS_MAX + 1];
	size_t used = strlen(answer->users), len;
	bool is_address = name.len > 0 && memchr(name.data, '@', name.len) != NULL;

	if (name.len == 0 || !unicode_is_plain(name, false))
		return;
	if (is_address ? address_fold(name, folded) == -1
		       : unicode_fold(name, folded, sizeof(folded)) == -1)
		return;
	len = strlen(folded);
	if (used + len + 2 > sizeof(answer->users))
		return;
	if (used > 0)
		answer->users[used++] = ' ';
	memcpy(answer->users + used, folded, len + 1);
}
