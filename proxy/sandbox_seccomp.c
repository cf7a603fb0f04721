#include "proxy/sandbox_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

enum {
	WORKER = 1u << ROLE_WORKER,
	REVOCATION = 1u << ROLE_REVOCATION,
	IDENTITY = 1u << ROLE_IDENTITY,
	CONTROL = 1u << ROLE_CONTROL,
	/* Parts of identity. A spawner may do what its helpers may, and SPAWNER's. */
	DIRECTORY = 1u << (ROLE_COUNT + PART_DIRECTORY),
	TICKET = 1u << (ROLE_COUNT + PART_TICKET),
	TOKENS = 1u << (ROLE_COUNT + PART_TOKENS),
	MINTER = 1u << (ROLE_COUNT + PART_MINTER),
	BEARER = 1u << (ROLE_COUNT + PART_BEARER),
	SIGNER = 1u << (ROLE_COUNT + PART_SIGNER),
	HELPERS = DIRECTORY | TICKET | TOKENS | MINTER | BEARER | SIGNER,
	SPAWNER = SIGNER << 1,
	WATCHER = SPAWNER << 1,               /* identity itself, where the directory is a file */
	TOKEN = WATCHER << 1,                 /* a minter whose key is in a token */
	TOKEN_OPENING = TOKEN << 1,           /* the same while it opens that */
	ASKERS = DIRECTORY | TICKET | BEARER, /* the helpers that ask servers */
	ALL = WORKER | REVOCATION | IDENTITY | CONTROL | HELPERS,
	NETWORK = WORKER | REVOCATION | ASKERS,
};

/* Calls that are allowed with any argument. Those with conditions have the next table. */
static const struct call {
	const char *name;
	unsigned int roles;
} calls[] = {
	/* memory */
	{"brk", ALL}, {"munmap", ALL}, {"mremap", ALL}, {"madvise", ALL},
	/* descriptors that are open already */
	{"read", ALL}, {"readv", ALL}, {"pread64", ALL}, {"write", ALL}, {"writev", ALL},
	{"pwrite64", WORKER | REVOCATION | CONTROL}, {"lseek", ALL}, {"close", ALL}, {"fstat", ALL},
	{"ftruncate", WORKER | REVOCATION | CONTROL}, {"shutdown", ALL}, {"recvmsg", ALL},
	{"sendmsg", ALL}, {"recvfrom", ALL}, {"sendto", ALL}, {"getsockopt", ALL},
	{"setsockopt", NETWORK}, {"getsockname", ALL}, {"getpeername", ALL},
	/* the loop */
	{"epoll_wait", ALL}, {"epoll_pwait", ALL}, {"epoll_ctl", ALL}, {"poll", ALL},
	{"ppoll", ALL}, {"timerfd_settime", ALL},
	/* time */
	{"clock_gettime", ALL}, {"clock_getres", ALL}, {"clock_nanosleep", ALL}, {"nanosleep", ALL},
	{"gettimeofday", ALL}, {"time", ALL},
	/* the process itself */
	{"getpid", ALL}, {"getppid", ALL}, {"gettid", ALL}, {"getuid", ALL}, {"geteuid", ALL},
	{"getgid", ALL}, {"getegid", ALL}, {"getrandom", ALL}, {"futex", ALL}, {"sched_yield", ALL},
	{"sched_getaffinity", ALL}, {"rt_sigaction", ALL}, {"rt_sigprocmask", ALL},
	{"rt_sigreturn", ALL}, {"sigaltstack", ALL}, {"restart_syscall", ALL}, {"exit", ALL},
	{"exit_group", ALL},
	/* phones, endpoints, clients of the control socket */
	{"accept4", WORKER | CONTROL}, {"connect", NETWORK},
	{"sendmmsg", REVOCATION}, /* getaddrinfo asks for A and AAAA at once */
	/* indexes: a temporary file that is renamed, and a sealed memory file for the workers */
	{"memfd_create", REVOCATION | CONTROL | TICKET}, {"renameat", REVOCATION},
	{"renameat2", REVOCATION}, {"unlinkat", REVOCATION}, {"fsync", REVOCATION | CONTROL},
	{"fdatasync", REVOCATION | CONTROL}, {"openat", REVOCATION}, /* Landlock says which */
	{"open", REVOCATION},
	/* libcurl resolves names in a thread and wakes up through a pipe or socket pair */
	{"pipe2", REVOCATION | BEARER}, {"socketpair", REVOCATION | BEARER},
	{"eventfd2", REVOCATION | BEARER}, {"set_robust_list", REVOCATION}, {"rseq", REVOCATION},
	{"uname", REVOCATION},
	{"bind", REVOCATION}, /* getaddrinfo asks a netlink socket which addresses we have; Landlock
				 forbids TCP ports */
};

/* The same for the parts of identity: files (Landlock says which), what name resolution and Kerberos
 * need, and for spawners what starts and ends helpers. */
static const struct call part_calls[] = {
	{"openat", WATCHER | ASKERS},
	{"open", WATCHER | ASKERS},
	{"stat", ASKERS | TOKENS},
	{"newfstatat", ASKERS | TOKENS},
	{"access", ASKERS | TOKENS},
	{"faccessat", ASKERS | TOKENS},
	{"faccessat2", ASKERS | TOKENS},
	{"sendmmsg", ASKERS},
	{"uname", ASKERS},
	{"bind", ASKERS}, /* as for revocation */
	/* a token that is made of files, as SoftHSM's are */
	{"newfstatat", TOKEN},
	{"stat", TOKEN},
	{"lstat", TOKEN},
	{"access", TOKEN},
	{"getdents64", TOKEN},
	{"connect", TOKEN_OPENING},
	{"set_robust_list", HELPERS},
	{"rseq", HELPERS},
	{"setitimer", HELPERS}, /* a helper ends itself when a question takes too long */
	{"clone", SPAWNER},
	{"fork", SPAWNER},
	{"wait4", SPAWNER},
	{"kill", SPAWNER},
	{"socketpair", SPAWNER},
	{"seccomp", SPAWNER},
	{"prctl", SPAWNER},
};

/* What AddressSanitizer needs to run, and to say what it found. */
static const struct call sanitizer_calls[] = {
	{"readlink", ALL},
	{"readlinkat", ALL},
	{"prctl", ALL},
	{"getrlimit", ALL},
	{"prlimit64", ALL},
	{"dup", ALL},
	{"dup2", ALL},
	{"tgkill", ALL},
	{"pipe2", ALL},
};

/* Calls that are allowed with some arguments. */
static const struct conditional_call {
	const char *name;
	unsigned int roles;
	struct scmp_arg_cmp condition;
} conditional_calls[] = {
	/* Memory is never made executable. */
	{"mmap", ALL, {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
	{"mprotect", ALL, {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
	/* fstat(), which glibc writes as newfstatat(fd, "", …, AT_EMPTY_PATH). */
	{"newfstatat", ALL, {3, SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH}},
	/* F_SETOWN and F_SETSIG, which could send signals, are not among them. */
	{"fcntl", ALL, {1, SCMP_CMP_EQ, F_GETFD, 0}},
	{"fcntl", ALL, {1, SCMP_CMP_EQ, F_SETFD, 0}},
	{"fcntl", ALL, {1, SCMP_CMP_EQ, F_GETFL, 0}},
	{"fcntl", ALL, {1, SCMP_CMP_EQ, F_SETFL, 0}},
	{"fcntl", ALL, {1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0}},
	{"fcntl", ALL, {1, SCMP_CMP_EQ, F_GET_SEALS, 0}},
	{"fcntl", REVOCATION | CONTROL | TICKET, {1, SCMP_CMP_EQ, F_ADD_SEALS, 0}},
	/* The Kerberos library's settings, a memory file, which it reads again and again. */
	{"openat", TOKENS, {2, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDONLY}},
	/* The locks of the state store, of which all files are open by then. */
	{"fcntl", CONTROL, {1, SCMP_CMP_EQ, F_SETLK, 0}},
	{"fcntl", CONTROL, {1, SCMP_CMP_EQ, F_GETLK, 0}},
	{"ioctl", NETWORK, {1, SCMP_CMP_EQ, FIONBIO, 0}},
	{"ioctl", NETWORK, {1, SCMP_CMP_EQ, FIONREAD, 0}},
	{"socket", NETWORK, {0, SCMP_CMP_EQ, AF_INET, 0}},
	{"socket", NETWORK, {0, SCMP_CMP_EQ, AF_INET6, 0}},
	{"socket", REVOCATION | ASKERS, {0, SCMP_CMP_EQ, AF_NETLINK, 0}}, /* getaddrinfo */
	/* Kerberos locks its key table while it reads it. */
	{"fcntl", DIRECTORY, {1, SCMP_CMP_EQ, F_OFD_SETLKW, 0}},
	/* What a token's module reads; it says that it would write, too, and does without. */
	{"openat", TOKEN, {2, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDONLY}},
	{"open", TOKEN, {1, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDONLY}},
	{"fcntl", TOKEN, {1, SCMP_CMP_EQ, F_SETLK, 0}},
	{"fcntl", TOKEN, {1, SCMP_CMP_EQ, F_SETLKW, 0}},
	{"socket", TOKEN_OPENING, {0, SCMP_CMP_EQ, AF_UNIX, 0}}, /* p11-kit's remote module */
	/* Threads, but no processes. */
	{"clone", REVOCATION | BEARER,
		{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM}},
};

/* Calls that fail where they are not allowed, because libraries try them and have another way. All
 * others that are not allowed end the process. */
static const struct soft_call {
	const char *name;
	int error;
} soft_calls[] = {
	{"open", EACCES}, {"openat", EACCES}, {"openat2", ENOSYS}, {"stat", EACCES},
	{"lstat", EACCES}, {"newfstatat", EACCES}, {"statx", EACCES}, {"access", EACCES},
	{"faccessat", EACCES}, {"faccessat2", EACCES}, {"readlink", EACCES}, {"readlinkat", EACCES},
	{"getdents64", EACCES}, {"socket", EACCES}, {"sysinfo", EPERM}, {"uname", EPERM},
	{"getrusage", EPERM}, {"prctl", EPERM}, {"prlimit64", EPERM}, {"ioctl", ENOTTY},
	{"setsockopt", EPERM},
	{"clone3", ENOSYS}, /* glibc goes on with clone, whose flags a filter can see */
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool is_soft(const char *name)
{
	for (size_t i = 0; i < COUNT(soft_calls); i++)
		if (strcmp(soft_calls[i].name, name) == 0)
			return true;
	return false;
}

/* Names that this machine does not have are passed over. 0 or a negative errno. */
static int add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned int count,
	const struct scmp_arg_cmp *conditions)
{
	int number = seccomp_syscall_resolve_name(name);
	int result;

	if (number == __NR_SCMP_ERROR)
		return 0;
	result = seccomp_rule_add_array(filter, action, number, count, conditions);
	return result == -EEXIST ? 0 : result; /* the same rule is there already */
}

static int allow_calls(
	scmp_filter_ctx filter, const struct call *table, size_t count, unsigned int role)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < count; i++)
		if ((table[i].roles & role) != 0)
			result = add(filter, SCMP_ACT_ALLOW, table[i].name, 0, NULL);
	return result;
}

static int allow_whole(scmp_filter_ctx filter, unsigned int role)
{
	int result = allow_calls(filter, calls, COUNT(calls), role);

	if (result == 0)
		result = allow_calls(filter, part_calls, COUNT(part_calls), role);
	if (result == 0 && HAS_SANITIZER)
		result = allow_calls(filter, sanitizer_calls, COUNT(sanitizer_calls), role);
	return result;
}

static int allow_conditional(scmp_filter_ctx filter, unsigned int role)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < COUNT(conditional_calls); i++)
		if ((conditional_calls[i].roles & role) != 0)
			result = add(filter, SCMP_ACT_ALLOW, conditional_calls[i].name, 1,
				&conditional_calls[i].condition);
	return result;
}

static unsigned int profile_of(const struct child *child)
{
	if (child->part == PART_MINTER && child->config->minted.key_uri[0] != '\0')
		return MINTER | TOKEN | (child->is_spawner ? SPAWNER | TOKEN_OPENING : 0);
	if (child->part != PART_MAIN)
		return 1u << (ROLE_COUNT + child->part) | (child->is_spawner ? SPAWNER : 0);
	if (child->role == ROLE_IDENTITY &&
		child->config->directory.backend == CONFIG_DIRECTORY_FILE)
		return IDENTITY | WATCHER;
	return 1u << child->role;
}

/* Workers: files without a name, in the spool alone. */
static int allow_spool(scmp_filter_ctx filter, const struct child *child)
{
	const struct scmp_arg_cmp conditions[] = {
		{0, SCMP_CMP_EQ, (scmp_datum_t)child->spool_directory, 0},
		{2, SCMP_CMP_MASKED_EQ, O_TMPFILE, O_TMPFILE},
	};

	if (child->role != ROLE_WORKER || child->spool_directory == -1)
		return 0;
	return add(filter, SCMP_ACT_ALLOW, "openat", 2, conditions);
}

/* Workers that are told which addresses to come from; Landlock forbids all ports but 0. */
static int allow_sources(scmp_filter_ctx filter, const struct child *child)
{
	if (child->role != ROLE_WORKER || child->config->upstream.source_count == 0)
		return 0;
	return add(filter, SCMP_ACT_ALLOW, "bind", 0, NULL);
}

static bool is_allowed(const char *name, unsigned int role)
{
	for (size_t i = 0; i < COUNT(calls); i++)
		if ((calls[i].roles & role) != 0 && strcmp(calls[i].name, name) == 0)
			return true;
	for (size_t i = 0; i < COUNT(part_calls); i++)
		if ((part_calls[i].roles & role) != 0 && strcmp(part_calls[i].name, name) == 0)
			return true;
	for (size_t i = 0; i < COUNT(conditional_calls); i++)
		if ((conditional_calls[i].roles & role) != 0 &&
			strcmp(conditional_calls[i].name, name) == 0)
			return true;
	for (size_t i = 0; HAS_SANITIZER && i < COUNT(sanitizer_calls); i++)
		if (strcmp(sanitizer_calls[i].name, name) == 0)
			return true;
	return false;
}

/* The calls that fail with another errno than the filter's own. One that is allowed for the role,
 * if only with some arguments, is left out: libseccomp lets a rule without a condition win. */
static int refuse_with_errno(scmp_filter_ctx filter, unsigned int role)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < COUNT(soft_calls); i++)
		if (soft_calls[i].error != EACCES && !is_allowed(soft_calls[i].name, role))
			result = add(filter, SCMP_ACT_ERRNO((uint32_t)soft_calls[i].error),
				soft_calls[i].name, 0, NULL);
	return result;
}

/* Lets the job's calls through and fails all others. */
static int fill_soft(scmp_filter_ctx filter, const struct child *child)
{
	unsigned int role = profile_of(child);
	int result = allow_whole(filter, role);

	if (result == 0)
		result = allow_conditional(filter, role);
	if (result == 0)
		result = allow_spool(filter, child);
	if (result == 0)
		result = allow_sources(filter, child);
	if (result == 0)
		result = refuse_with_errno(filter, role);
	/* For the second filter, which takes it away. */
	return result == 0 ? add(filter, SCMP_ACT_ALLOW, "seccomp", 0, NULL) : result;
}

/* Lets the job's calls and the soft ones through and ends the process at all others. */
static int fill_hard(scmp_filter_ctx filter, const struct child *child)
{
	unsigned int role = profile_of(child);
	int result = allow_whole(filter, role);

	for (size_t i = 0; result == 0 && i < COUNT(soft_calls); i++)
		result = add(filter, SCMP_ACT_ALLOW, soft_calls[i].name, 0, NULL);
	for (size_t i = 0; result == 0 && i < COUNT(conditional_calls); i++)
		if ((conditional_calls[i].roles & role) != 0 && !is_soft(conditional_calls[i].name))
			result = add(filter, SCMP_ACT_ALLOW, conditional_calls[i].name, 1,
				&conditional_calls[i].condition);
	return result == 0 ? allow_sources(filter, child) : result;
}

static int load(uint32_t action, int (*fill)(scmp_filter_ctx, const struct child *),
	const struct child *child)
{
	scmp_filter_ctx filter = seccomp_init(action);
	int result;

	if (filter == NULL)
		return -ENOMEM;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* sandbox_enter() has done it */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	result = fill(filter, child);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result;
}

/* Two filters, of which the kernel takes the stricter answer: one cannot both fail a call for most
 * arguments and end the process for all that is unknown. */
int sandbox_seccomp(const struct child *child, struct error *err)
{
	int result = load(SCMP_ACT_ERRNO(EACCES), fill_soft, child);

	if (result == 0)
		result = load(SCMP_ACT_KILL_PROCESS, fill_hard, child);
	if (result == 0)
		return 0;
	errno = -result;
	return error_sys(err, "entering seccomp");
}
