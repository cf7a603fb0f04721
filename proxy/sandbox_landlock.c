#include "proxy/sandbox_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "auth/revocation.h"
#include "proxy/log.h"

/* Debian 12's header knows Landlock's second version; the kernel may know more. The numbers are
 * ABI. */
enum {
	ABI_TRUNCATE = 3,
	ABI_NET = 4,
	ABI_IOCTL = 5,
	ABI_SCOPE = 6,
	RULE_NET_PORT = 2,
	KERBEROS_PORT = 88,
};
#define FS_TRUNCATE         (UINT64_C(1) << 14)
#define FS_IOCTL_DEV        (UINT64_C(1) << 15)
#define NET_BIND_TCP        (UINT64_C(1) << 0)
#define NET_CONNECT_TCP     (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define SCOPE_SIGNAL        (UINT64_C(1) << 1)

#define FS_ALL_OF_FIRST ((UINT64_C(1) << 13) - 1) /* execute to make-symlink */

#define FS_READ_FILE  LANDLOCK_ACCESS_FS_READ_FILE
#define FS_READ_DIR   LANDLOCK_ACCESS_FS_READ_DIR
#define FS_WRITE_FILE LANDLOCK_ACCESS_FS_WRITE_FILE
#define FS_STATE                                                                                   \
	(FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |             \
		LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE)
#define FS_SPOOL (FS_READ_FILE | FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE)

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct net_port_attr {
	uint64_t allowed_access;
	uint64_t port;
};

struct ruleset {
	int fd;
	int abi;
	uint64_t handled_fs;
};

/* What name resolution reads. */
static const char *const resolver_files[] = {
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/nsswitch.conf",
	"/etc/host.conf",
	"/etc/gai.conf",
	"/run/systemd/resolve/stub-resolv.conf",
};

static uint64_t handled_fs(int abi)
{
	uint64_t access = FS_ALL_OF_FIRST;

	if (abi >= 2)
		access |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= ABI_TRUNCATE)
		access |= FS_TRUNCATE;
	if (abi >= ABI_IOCTL)
		access |= FS_IOCTL_DEV;
	return access;
}

/* Nobody binds a TCP port: listening sockets are inherited. A worker that is told which addresses to come from
 * binds port 0, which is any free one. Connecting: workers to the ports of
 * their endpoints, the helpers that ask servers to those of these, revocation to any (CRL locations,
 * and what they redirect to, name any port), the others to none. */
static uint64_t handled_net(const struct child *child, int abi)
{
	if (abi < ABI_NET)
		return 0;
	return child->role == ROLE_REVOCATION ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP;
}

static int ruleset_open(struct ruleset *ruleset, const struct child *child, struct error *err)
{
	struct ruleset_attr attr = {0};
	size_t size = sizeof(attr.handled_access_fs);

	ruleset->abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (ruleset->abi == -1 && (errno == ENOSYS || errno == EOPNOTSUPP))
		return 0;
	if (ruleset->abi == -1)
		return error_sys(err, "asking for Landlock");
	ruleset->handled_fs = handled_fs(ruleset->abi);
	attr.handled_access_fs = ruleset->handled_fs;
	attr.handled_access_net = handled_net(child, ruleset->abi);
	if (ruleset->abi >= ABI_NET)
		size = offsetof(struct ruleset_attr, scoped);
	if (ruleset->abi >= ABI_SCOPE) {
		attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
		size = sizeof(attr);
	}
	ruleset->fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	return ruleset->fd == -1 ? error_sys(err, "making a Landlock ruleset") : 0;
}

static int allow_directory(
	const struct ruleset *ruleset, int directory, uint64_t access, struct error *err)
{
	struct landlock_path_beneath_attr attr = {
		.allowed_access = access & ruleset->handled_fs, .parent_fd = directory};

	if (syscall(SYS_landlock_add_rule, ruleset->fd, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) == -1)
		return error_sys(err, "allowing a directory to the sandbox");
	return 0;
}

/* A path that does not exist (yet) is passed over: what must exist was checked with the
 * configuration. */
static int allow_path(const struct ruleset *ruleset, const char *path, struct error *err)
{
	int fd = open(path, O_PATH | O_CLOEXEC), result;

	if (fd == -1)
		return 0;
	result = allow_directory(ruleset, fd, FS_READ_FILE, err);
	close(fd);
	return result;
}

static int allow_resolver(const struct ruleset *ruleset, struct error *err)
{
	for (size_t i = 0; i < sizeof(resolver_files) / sizeof(resolver_files[0]); i++)
		if (allow_path(ruleset, resolver_files[i], err) == -1)
			return -1;
	return 0;
}

static int allow_net(
	const struct ruleset *ruleset, uint64_t access, uint16_t port, struct error *err)
{
	struct net_port_attr attr = {.allowed_access = access, .port = port};

	if (ruleset->abi < ABI_NET)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset->fd, RULE_NET_PORT, &attr, 0) == -1)
		return error_sys(err, "allowing port %u to the sandbox", (unsigned int)port);
	return 0;
}

static int allow_port(const struct ruleset *ruleset, uint16_t port, struct error *err)
{
	return allow_net(ruleset, NET_CONNECT_TCP, port, err);
}

/* A file is replaced by renaming a new one over it, and a rule holds for the file that is there now:
 * so the directory around it is what may be read. */
static int allow_around(const struct ruleset *ruleset, const char *file, struct error *err)
{
	char path[PATH_MAX];

	if (strlen(file) >= sizeof(path))
		return 0;
	memcpy(path, file, strlen(file) + 1);
	return allow_path(ruleset, dirname(path), err);
}

static int allow_revocation(
	const struct ruleset *ruleset, const struct child *child, struct error *err)
{
	static const char *files[AUTHORITY_MAX * CRL_LOCATION_MAX * 2];
	const size_t max = sizeof(files) / sizeof(files[0]);
	size_t count;

	if (allow_directory(ruleset, child->state_directory, FS_STATE, err) == -1 ||
		allow_resolver(ruleset, err) == -1)
		return -1;
	count = revocation_file_paths(child->trust, files, max);
	for (size_t i = 0; i < count && i < max; i++)
		if (allow_around(ruleset, files[i], err) == -1)
			return -1;
	return 0;
}

static int allow_worker(const struct ruleset *ruleset, const struct child *child, struct error *err)
{
	const struct config_upstream *upstream = &child->config->upstream;

	if (child->spool_directory != -1 &&
		allow_directory(ruleset, child->spool_directory, FS_SPOOL, err) == -1)
		return -1;
	for (size_t i = 0; i < upstream->endpoint_count; i++)
		if (allow_port(ruleset, upstream->endpoints[i].port, err) == -1)
			return -1;
	return upstream->source_count > 0 ? allow_net(ruleset, NET_BIND_TCP, 0, err) : 0;
}

/* Kerberos reads its settings at every login: the files that KRB5_CONFIG lists, with ":" between. Our own
 * memory file among them needs no leave. */
static int allow_kerberos_settings(const struct ruleset *ruleset, struct error *err)
{
	static const char memory_file[] = "/proc/self/fd/";
	const char *list = getenv("KRB5_CONFIG");

	if (list == NULL)
		list = "/etc/krb5.conf:/etc/krb5.conf.d";
	while (*list != '\0') {
		size_t len = strcspn(list, ":");
		char path[PATH_MAX];

		if (len > 0 && len < sizeof(path) &&
			strncmp(list, memory_file, sizeof(memory_file) - 1) != 0) {
			memcpy(path, list, len);
			path[len] = '\0';
			if (allow_path(ruleset, path, err) == -1)
				return -1;
		}
		list += len;
		list += *list == ':';
	}
	return 0;
}

static int allow_kerberos(
	const struct ruleset *ruleset, const struct config_directory *config, struct error *err)
{
	if (allow_kerberos_settings(ruleset, err) == -1 ||
		allow_path(ruleset, config->keytab, err) == -1)
		return -1;
	return allow_port(ruleset, KERBEROS_PORT, err);
}

static int allow_ldap(
	const struct ruleset *ruleset, const struct config_directory *config, struct error *err)
{
	if (allow_resolver(ruleset, err) == -1)
		return -1;
	for (size_t i = 0; i < config->url_count; i++)
		if (allow_port(ruleset, config->urls[i].port, err) == -1)
			return -1;
	return config->bind == CONFIG_BIND_GSSAPI ? allow_kerberos(ruleset, config, err) : 0;
}

/* What the module of a token reads: files, or directories with all that is in them. */
static int allow_token(
	const struct ruleset *ruleset, const struct config_minted *config, struct error *err)
{
	for (size_t i = 0; config->key_uri[0] != '\0' && i < config->pkcs11_paths.count; i++) {
		int fd = open(config->pkcs11_paths.list[i].text, O_PATH | O_CLOEXEC), result;
		uint64_t access = FS_READ_FILE;
		struct stat st;

		if (fd == -1)
			continue;
		if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
			access |= FS_READ_DIR;
		result = allow_directory(ruleset, fd, access, err);
		close(fd);
		if (result == -1)
			return -1;
	}
	return 0;
}

/* The port of "host", "host:port" or "[address]:port", of which the configuration has seen to it that it is
 * one. */
static uint16_t kdc_port(const char *kdc)
{
	const char *bracket = strchr(kdc, ']');
	const char *colon = strchr(bracket != NULL ? bracket : kdc, ':');

	return colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : (uint16_t)KERBEROS_PORT;
}

static int allow_kdcs(const struct ruleset *ruleset, const struct config *config, struct error *err)
{
	if (allow_resolver(ruleset, err) == -1 || allow_kerberos_settings(ruleset, err) == -1 ||
		allow_port(ruleset, KERBEROS_PORT, err) == -1)
		return -1;
	for (size_t i = 0; i < config->kerberos_count; i++) {
		const struct config_words *kdcs = &config->kerberos[i].kdcs;

		for (size_t j = 0; j < kdcs->count; j++)
			if (allow_port(ruleset, kdc_port(kdcs->list[j].text), err) == -1)
				return -1;
	}
	return 0;
}

static int allow_bearer(
	const struct ruleset *ruleset, const struct config_bearer *config, struct error *err)
{
	if (allow_resolver(ruleset, err) == -1)
		return -1;
	return allow_port(ruleset, config->port, err);
}

static int allow_identity(
	const struct ruleset *ruleset, const struct child *child, struct error *err)
{
	const struct config_directory *config = &child->config->directory;

	if (child->part == PART_DIRECTORY)
		return allow_ldap(ruleset, config, err);
	if (child->part == PART_MINTER)
		return allow_token(ruleset, &child->config->minted, err);
	if (child->part == PART_TICKET)
		return allow_kdcs(ruleset, child->config, err);
	if (child->part == PART_BEARER)
		return allow_bearer(ruleset, &child->config->bearer, err);
	if (child->part != PART_MAIN)
		return 0;
	return config->backend == CONFIG_DIRECTORY_FILE ? allow_around(ruleset, config->file, err)
							: 0;
}

static int allow_role(const struct ruleset *ruleset, const struct child *child, struct error *err)
{
	switch (child->role) {
	case ROLE_WORKER: return allow_worker(ruleset, child, err);
	case ROLE_REVOCATION: return allow_revocation(ruleset, child, err);
	case ROLE_IDENTITY: return allow_identity(ruleset, child, err);
	default: return 0;
	}
}

int sandbox_landlock(const struct child *child, struct error *err)
{
	struct ruleset ruleset = {.fd = -1};
	int result = -1;

	if (ruleset_open(&ruleset, child, err) == -1)
		return -1;
	if (ruleset.fd == -1) {
		log_message(CONFIG_LOG_WARNING, "sandbox-incomplete",
			"this kernel has no Landlock, or it is switched off: files are protected "
			"by "
			"permissions and seccomp alone");
		return 0;
	}
	if (ruleset.abi < ABI_NET)
		log_message(CONFIG_LOG_DEBUG, "sandbox-incomplete",
			"Landlock of version %d does not know TCP ports", ruleset.abi);
	if (allow_role(&ruleset, child, err) == -1)
		goto out;
	if (syscall(SYS_landlock_restrict_self, ruleset.fd, 0) == -1)
		error_sys(err, "entering Landlock");
	else
		result = 0;
out:
	close(ruleset.fd);
	return result;
}
