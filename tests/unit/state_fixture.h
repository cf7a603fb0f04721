/* A state store in a folder of its own, which nobody else has open. */
#ifndef TESTS_UNIT_STATE_FIXTURE_H
#define TESTS_UNIT_STATE_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/state_store.h"
#include "tests/unit/check.h"

static struct fixture {
	char directory[64];
	int fd;
	struct state_store *store;
} fixture;

static void directory_open(void)
{
	strcpy(fixture.directory, "/tmp/easproxy-store-XXXXXX");
	if (mkdtemp(fixture.directory) == NULL)
		abort();
	fixture.fd = open(fixture.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture.store = NULL;
}

static inline struct state_store *store_open(void)
{
	struct error err = {""};
	struct state_store *store = state_store_open(fixture.fd, fixture.directory, &err);

	if (store == NULL)
		fprintf(stderr, "%s\n", err.text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	return store;
}

static void fixture_open(void)
{
	directory_open();
	fixture.store = store_open();
}

static void fixture_close(void)
{
	DIR *listing = opendir(fixture.directory);
	const struct dirent *entry;

	state_store_close(fixture.store);
	while ((entry = readdir(listing)) != NULL)
		unlinkat(fixture.fd, entry->d_name, 0);
	closedir(listing);
	close(fixture.fd);
	if (chdir("/") == -1 || rmdir(fixture.directory) == -1)
		fprintf(stderr, "%s was left behind\n", fixture.directory);
}

static void reopen(void)
{
	state_store_close(fixture.store);
	fixture.store = store_open();
}

/* What another program, or an earlier version of ours, does to the file. */
static void tamper(const char *sql)
{
	sqlite3 *db;
	char path[96], *fault = NULL;

	snprintf(path, sizeof(path), "%s/state.db", fixture.directory);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		abort();
	if (sqlite3_exec(db, sql, NULL, NULL, &fault) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, fault);
		abort();
	}
	sqlite3_close(db);
}

#endif
