#include "proxy/supervisor_sockets.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PASSED_FIRST = 3, /* sd_listen_fds(3) */
	BACKLOG = 4096,
};

struct reporter {
	config_report *report;
	void *context;
	bool has_failed;
};

static void report(
	struct reporter *reporter, const struct config_address *address, const struct error *err)
{
	char text[sizeof(err->text) + 256];

	snprintf(text, sizeof(text), "%s:%d: %s", address->place.file, address->place.line,
		err->text);
	reporter->report(reporter->context, text);
	reporter->has_failed = true;
}

static bool is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	}
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

		return a6->sin6_port == b6->sin6_port && a6->sin6_scope_id == b6->sin6_scope_id &&
		       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
	}
	return false;
}

/* The service manager's promise: sd_listen_fds(3). */
void sockets_take_passed(struct sockets *sockets)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	long passed = count == NULL ? 0 : strtol(count, NULL, 10);

	if (pid != NULL && strtol(pid, NULL, 10) == (long)getpid())
		for (int i = 0; i < passed && i < SOCKETS_PASSED_MAX; i++) {
			int fd = PASSED_FIRST + i;

			if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
				break;
			fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
			sockets->passed[sockets->passed_count++] = fd;
		}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static int find_passed(struct sockets *sockets, const struct sockaddr_storage *wanted)
{
	for (size_t i = 0; i < sockets->passed_count; i++) {
		struct sockaddr_storage addr = {0};
		socklen_t len = sizeof(addr), flag_len = sizeof(int);
		int fd = sockets->passed[i], is_listening = 0;

		if (fd == -1 || getsockname(fd, (struct sockaddr *)&addr, &len) == -1 ||
			!is_same_address(&addr, wanted) ||
			getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &flag_len) == -1 ||
			!is_listening)
			continue;
		sockets->passed[i] = -1;
		return fd;
	}
	return -1;
}

static int socket_bind(const struct sockaddr_storage *addr, socklen_t addr_len, bool shares_port,
	struct error *err, const char *text)
{
	int fd, on = 1;

	fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return error_sys(err, "making a socket for %s", text);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
		(shares_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1) ||
		(addr->ss_family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1) ||
		bind(fd, (const struct sockaddr *)addr, addr_len) == -1) {
		error_sys(err, "binding %s", text);
		close(fd);
		return -1;
	}
	return fd;
}

/* SO_REUSEPORT would let a second easproxyd join the group in silence and take half of the phones:
 * so the address is tried without it first. */
static int probe_address(const struct sockets_entry *entry, const char *text, struct error *err)
{
	int fd;

	if (entry->fd_count > 0)
		return 0;
	fd = socket_bind(&entry->addr, entry->addr_len, false, err, text);
	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

/* One socket more in the entry's group. */
static int entry_grow(struct sockets_entry *entry, const char *text, struct error *err)
{
	int *fds = realloc(entry->fds, (entry->fd_count + 1) * sizeof(*fds));
	int fd;

	if (fds == NULL)
		return error_sys(err, "listening on %s", text);
	entry->fds = fds;
	fd = socket_bind(&entry->addr, entry->addr_len, true, err, text);
	if (fd == -1)
		return -1;
	entry->fds[entry->fd_count++] = fd;
	return 0;
}

static void remove_entry(struct sockets *sockets, size_t at)
{
	struct sockets_entry *entry = &sockets->entries[at];

	for (size_t i = 0; i < entry->fd_count; i++)
		close(entry->fds[i]);
	free(entry->fds);
	*entry = sockets->entries[--sockets->entry_count];
}

static void untake_all(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->entry_count; i++)
		sockets->entries[i].is_taken = false;
}

/* The entry of a configured address, which is marked as taken. NULL where there is none. */
static struct sockets_entry *take_entry(
	struct sockets *sockets, const struct config_address *address)
{
	for (size_t i = 0; i < sockets->entry_count; i++) {
		struct sockets_entry *entry = &sockets->entries[i];

		if (entry->is_taken || !is_same_address(&entry->addr, &address->addr))
			continue;
		entry->is_taken = true;
		return entry;
	}
	return NULL;
}

static struct sockets_entry *add_entry(
	struct sockets *sockets, const struct config_address *address)
{
	struct sockets_entry *entries =
		realloc(sockets->entries, (sockets->entry_count + 1) * sizeof(*entries));
	struct sockets_entry *entry;

	if (entries == NULL)
		return NULL;
	sockets->entries = entries;
	entry = &entries[sockets->entry_count++];
	*entry = (struct sockets_entry){
		.addr = address->addr, .addr_len = address->addr_len, .is_taken = true};
	return entry;
}

static int open_passed(struct sockets *sockets, struct sockets_entry *entry)
{
	int fd;

	if (entry->fd_count > 0)
		return -1;
	fd = find_passed(sockets, &entry->addr);
	if (fd == -1)
		return -1;
	entry->fds = malloc(sizeof(*entry->fds));
	if (entry->fds == NULL)
		return -1;
	entry->fds[entry->fd_count++] = fd;
	entry->was_passed = true;
	return 0;
}

static int entry_fill(struct sockets *sockets, struct sockets_entry *entry,
	const struct config_address *address, uint32_t workers, struct error *err)
{
	if (entry->was_passed || open_passed(sockets, entry) == 0)
		return 0;
	if (probe_address(entry, address->text, err) == -1)
		return -1;
	while (entry->fd_count < workers)
		if (entry_grow(entry, address->text, err) == -1)
			return -1;
	return 0;
}

static void describe_socket(int fd, char *text, size_t size)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) == -1 ||
		getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "?");
	else
		snprintf(text, size, addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* Phones that connect there would wait for ever. */
static void warn_of_unused(
	const struct sockets *sockets, const struct config *config, struct reporter *reporter)
{
	for (size_t i = 0; i < sockets->passed_count; i++) {
		char name[NI_MAXHOST + NI_MAXSERV + 4], text[sizeof(name) + 1024];

		if (sockets->passed[i] == -1)
			continue;
		describe_socket(sockets->passed[i], name, sizeof(name));
		snprintf(text, sizeof(text),
			"%s: warning: no listener has the address %s of a socket that the service "
			"manager passed: nobody answers there",
			config->path, name);
		reporter->report(reporter->context, text);
	}
}

int sockets_extend(struct sockets *sockets, const struct config *config,
	config_report *report_fault, void *report_context)
{
	struct reporter reporter = {.report = report_fault, .context = report_context};
	struct error err = {{0}};

	untake_all(sockets);
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		for (size_t j = 0; j < listener->address_count; j++) {
			const struct config_address *address = &listener->addresses[j];
			struct sockets_entry *entry = take_entry(sockets, address);

			if (entry == NULL)
				entry = add_entry(sockets, address);
			if (entry == NULL)
				error_sys(&err, "listening on %s", address->text);
			if (entry == NULL ||
				entry_fill(sockets, entry, address, config->workers, &err) == -1)
				report(&reporter, address, &err);
		}
	}
	if (!reporter.has_failed) {
		warn_of_unused(sockets, config, &reporter);
		return 0;
	}
	sockets_retreat(sockets);
	return -1;
}

int sockets_listen(struct sockets *sockets, struct error *err)
{
	for (size_t i = 0; i < sockets->entry_count; i++) {
		const struct sockets_entry *entry = &sockets->entries[i];

		if (entry->was_passed)
			continue;
		for (size_t j = entry->kept_count; j < entry->fd_count; j++)
			if (listen(entry->fds[j], BACKLOG) == -1)
				return error_sys(err, "listening");
	}
	return 0;
}

void sockets_keep(struct sockets *sockets, const struct config *config)
{
	untake_all(sockets);
	for (size_t i = 0; i < config->listener_count; i++)
		for (size_t j = 0; j < config->listeners[i].address_count; j++)
			take_entry(sockets, &config->listeners[i].addresses[j]);
	for (size_t i = sockets->entry_count; i-- > 0;) {
		if (!sockets->entries[i].is_taken)
			remove_entry(sockets, i);
		else
			sockets->entries[i].kept_count = sockets->entries[i].fd_count;
	}
}

/* A passed socket cannot be bound again: it goes back to where it waits for its address. */
static void give_back_passed(struct sockets *sockets, struct sockets_entry *entry)
{
	for (size_t i = 0; i < sockets->passed_count; i++)
		if (sockets->passed[i] == -1) {
			sockets->passed[i] = entry->fds[0];
			entry->fd_count = 0;
			return;
		}
}

void sockets_retreat(struct sockets *sockets)
{
	for (size_t i = sockets->entry_count; i-- > 0;) {
		struct sockets_entry *entry = &sockets->entries[i];

		if (entry->was_passed && entry->kept_count == 0)
			give_back_passed(sockets, entry);
		while (entry->fd_count > entry->kept_count)
			close(entry->fds[--entry->fd_count]);
		if (entry->fd_count == 0)
			remove_entry(sockets, i);
	}
}

/* Which sockets of a group are this worker's: every one has an owner, whatever the number of
 * workers became by a reload, and no worker goes without. */
static bool is_share(size_t fd, size_t fd_count, unsigned int worker, uint32_t workers)
{
	return fd_count >= workers ? fd % workers == worker : fd == worker % fd_count;
}

struct child_socket *sockets_share(
	struct sockets *sockets, const struct config *config, unsigned int worker, size_t *count)
{
	struct child_socket *share = NULL;

	*count = 0;
	untake_all(sockets);
	for (size_t i = 0; i < config->listener_count; i++)
		for (size_t j = 0; j < config->listeners[i].address_count; j++) {
			const struct sockets_entry *entry =
				take_entry(sockets, &config->listeners[i].addresses[j]);
			struct child_socket *more;

			if (entry == NULL)
				continue;
			more = realloc(share, (*count + entry->fd_count) * sizeof(*share));
			if (more == NULL) {
				free(share);
				return NULL;
			}
			share = more;
			for (size_t k = 0; k < entry->fd_count; k++)
				if (is_share(k, entry->fd_count, worker, config->workers))
					share[(*count)++] = (struct child_socket){
						.fd = entry->fds[k], .listener = i};
		}
	return share;
}

void sockets_describe(struct sockets *sockets, const struct config *config, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	untake_all(sockets);
	for (size_t i = 0; i < config->listener_count; i++)
		for (size_t j = 0; j < config->listeners[i].address_count; j++) {
			const struct sockets_entry *entry =
				take_entry(sockets, &config->listeners[i].addresses[j]);
			char one[NI_MAXHOST + NI_MAXSERV + 4];

			if (entry == NULL)
				continue;
			describe_socket(entry->fd_count > 0 ? entry->fds[0] : -1, one, sizeof(one));
			if (len + strlen(one) + 2 > size)
				return;
			len += (size_t)snprintf(
				text + len, size - len, "%s%s", len == 0 ? "" : " ", one);
		}
}
