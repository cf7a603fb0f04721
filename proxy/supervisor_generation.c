#include "proxy/supervisor_generation.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/directory.h"
#include "auth/login_check.h"
#include "proxy/policy.h"
#include "proxy/sandbox.h"
#include "proxy/supervisor_files.h"

static int open_control(struct generation *generation, const struct generation *previous, gid_t gid,
	struct error *err)
{
	const char *path = generation->config->control_socket;

	if (path[0] == '\0')
		return 0;
	if (previous == NULL || strcmp(previous->config->control_socket, path) != 0) {
		generation->control_socket = files_open_control(path, gid, err);
		generation->owns_control_path = generation->control_socket != -1;
		return generation->control_socket == -1 ? -1 : 0;
	}
	generation->control_socket = fcntl(previous->control_socket, F_DUPFD_CLOEXEC, 0);
	if (generation->control_socket == -1)
		return error_sys(err, "taking over the control socket %s", path);
	return 0;
}

static int open_files(
	struct generation *generation, const struct generation *previous, struct error *err)
{
	uid_t uid;
	gid_t gid;

	if (sandbox_find_user(generation->config, &uid, &gid, err) == -1 ||
		files_open_state(generation->config, uid, gid, &generation->state_directory,
			&generation->spool_directory, err) == -1 ||
		open_control(generation, previous, gid, err) == -1)
		return -1;
	return 0;
}

/* config_load() had the trust store checked and its faults and warnings reported. */
static void report_nothing(void *context, const char *text)
{
	(void)context;
	(void)text;
}

struct generation *generation_new(const char *config_path, const struct generation *previous,
	config_report *report, void *report_context)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	struct error err = {"out of memory"};

	if (generation == NULL) {
		report(report_context, err.text);
		return NULL;
	}
	generation->number = previous == NULL ? 1 : previous->number + 1;
	generation->state_directory = generation->spool_directory = -1;
	generation->control_socket = -1;
	for (size_t i = 0; i < GENERATION_LIST_COUNT; i++)
		generation->lists[i] = -1;
	for (size_t i = 0; i < AUTHORITY_MAX; i++)
		for (size_t place = 0; place < CRL_LOCATION_MAX; place++)
			generation->indexes[i][place].fd = -1;

	generation->config =
		config_load(config_path, trust_store_config_check, report, report_context);
	if (generation->config == NULL ||
		directory_config_check(&generation->config->directory, report, report_context) ==
			-1 ||
		login_config_check(generation->config, report, report_context) == -1 ||
		policy_config_check(generation->config, report, report_context) == -1)
		goto fail;
	generation->trust =
		trust_store_load(&generation->config->trust.store, report_nothing, NULL);
	if (generation->trust == NULL) {
		report(report_context, "the trust store could be read once, but not twice");
		goto fail;
	}
	generation->has_store =
		previous != NULL &&
		strcmp(previous->config->state_directory, generation->config->state_directory) == 0;
	if (open_files(generation, previous, &err) == -1) {
		report(report_context, err.text);
		goto fail;
	}
	return generation;

fail:
	generation_free(generation);
	return NULL;
}

static void close_if_open(int fd)
{
	if (fd != -1)
		close(fd);
}

void generation_free(struct generation *generation)
{
	if (generation == NULL)
		return;
	for (size_t i = 0; i < AUTHORITY_MAX; i++)
		for (size_t place = 0; place < CRL_LOCATION_MAX; place++)
			close_if_open(generation->indexes[i][place].fd);
	for (size_t i = 0; i < GENERATION_LIST_COUNT; i++)
		close_if_open(generation->lists[i]);
	if (generation->owns_control_path)
		unlink(generation->config->control_socket);
	close_if_open(generation->control_socket);
	close_if_open(generation->spool_directory);
	close_if_open(generation->state_directory);
	trust_store_free(generation->trust);
	config_free(generation->config);
	free(generation);
}

static bool is_location(const struct generation *generation, uint32_t authority, uint32_t place)
{
	return authority < generation->trust->count && place < CRL_LOCATION_MAX;
}

bool generation_keep_index(
	struct generation *generation, const struct message *message, int passed_fd)
{
	struct generation_index *kept;

	if (!is_location(generation, message->u.index.authority, message->u.index.place) ||
		passed_fd == -1)
		return false;
	kept = &generation->indexes[message->u.index.authority][message->u.index.place];
	/* Workers do not take it, and those who start later must not either: a revocation process that
	 * could not write down what it had may have been given an older CRL. */
	if (kept->fd != -1 && message->u.index.facts.this_update < kept->index.facts.this_update) {
		close(passed_fd);
		return true;
	}
	close_if_open(kept->fd);
	kept->fd = passed_fd;
	kept->index = message->u.index;
	return true;
}

bool generation_keep_report(struct generation *generation, const struct message *message)
{
	const struct message_crl *report = &message->u.crl;
	struct generation_index *kept;

	if (!is_location(generation, report->authority, report->place))
		return false;
	kept = &generation->indexes[report->authority][report->place];
	kept->has_report[report->is_delta] = true;
	kept->reports[report->is_delta] = *report;
	return true;
}

void generation_keep_list(struct generation *generation, enum generation_list list, int passed_fd)
{
	close_if_open(generation->lists[list]);
	generation->lists[list] = passed_fd;
}

int generation_copy_list(
	struct generation *generation, enum generation_list list, const struct generation *from)
{
	int fd;

	if (from->lists[list] == -1)
		return 0;
	fd = fcntl(from->lists[list], F_DUPFD_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	generation_keep_list(generation, list, fd);
	return 0;
}

enum message_type generation_list_message(enum generation_list list)
{
	return list == GENERATION_LIST_USERS ? MESSAGE_USERS : MESSAGE_DEVICES;
}

bool generation_withdraws(const struct generation *old, const struct generation *now,
	uint64_t withdrawn[AUTHORITY_MAX / 64])
{
	uint64_t missing[AUTHORITY_MAX / 64];
	bool is_any = false;

	trust_store_compare(old->trust, now->trust, missing);
	memset(withdrawn, old->config->grounds == now->config->grounds ? 0 : 0xff, sizeof(missing));
	for (size_t i = 0; i < old->trust->count; i++) {
		/* A path names the first of the certificates with its authority's name and key. */
		int named = trust_store_find(old->trust, old->trust->authorities[i].certificate);

		if ((missing[i / 64] >> (i % 64) & 1) != 0 && named >= 0)
			withdrawn[named / 64] |= UINT64_C(1) << (named % 64);
	}
	for (size_t i = 0; i < AUTHORITY_MAX / 64; i++)
		is_any = is_any || withdrawn[i] != 0;
	return is_any;
}
