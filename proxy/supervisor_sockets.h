/*
 * The listening sockets. The supervisor holds them from the first start on and closes one only when
 * its address has left the configuration, so that no reload and no crash of a worker refuses a
 * connection: what arrives meanwhile waits in the kernel's queue.
 *
 * Each address has one SO_REUSEPORT socket per worker, among which the kernel spreads connections.
 * Sockets passed by the service manager (LISTEN_FDS) are one per address, shared by all workers.
 */
#ifndef PROXY_SUPERVISOR_SOCKETS_H
#define PROXY_SUPERVISOR_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "config/error.h"
#include "config/model.h"
#include "proxy/child.h"

enum { SOCKETS_PASSED_MAX = 64 };

struct sockets_entry {
	struct sockaddr_storage addr; /* as configured */
	socklen_t addr_len;
	size_t fd_count;
	int *fds;
	bool was_passed;   /* by the service manager */
	size_t kept_count; /* of fds: those that a taken-over configuration has asked for */
	bool is_taken;     /* by an address of the configuration that is being matched */
};

struct sockets {
	size_t entry_count;
	struct sockets_entry *entries;
	size_t passed_count;
	int passed[SOCKETS_PASSED_MAX]; /* not yet matched; -1: matched */
};

/* Takes over LISTEN_FDS, if they are meant for this process, and clears the environment of them. */
void sockets_take_passed(struct sockets *sockets);

/* Binds what config needs beyond what is there. Every fault is reported, and with "warning: " a passed
 * socket that no listener of config has the address of. 0, or -1 with the set as it was before. */
int sockets_extend(struct sockets *sockets, const struct config *config, config_report *report,
	void *report_context);

/* Before the workers of an extension are started: has the new sockets listen. Not earlier, since the
 * kernel gives them their share of the connections from then on. 0 or -1. */
int sockets_listen(struct sockets *sockets, struct error *err);

/* After an extension: config is the one that counts, close what it does not name. */
void sockets_keep(struct sockets *sockets, const struct config *config);

/* After an extension: it does not count, close what came with it. */
void sockets_retreat(struct sockets *sockets);

/* The share of one worker (0 to config->workers - 1): a new array that the caller frees, its length
 * in *count. NULL when memory runs out. */
struct child_socket *sockets_share(
	struct sockets *sockets, const struct config *config, unsigned int worker, size_t *count);

/* "192.0.2.1:443 [2001:db8::1]:443": where config's listeners really listen. */
void sockets_describe(
	struct sockets *sockets, const struct config *config, char *text, size_t size);

#endif
