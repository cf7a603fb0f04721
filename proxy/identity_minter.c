#include "proxy/identity_minter.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "auth/minted_certificate.h"
#include "proxy/child_files.h"
#include "proxy/identity_work.h"
#include "proxy/keep_list.h"
#include "proxy/log.h"
#include "proxy/sandbox.h"

enum { TRY_TIME_S = 10 };

/* Shared by all helpers, those of later too: a token locks itself after a few wrong PINs, and helpers that
 * are started over and over would soon have tried so often. One at a time tries it, and none after it
 * was refused, until a reload. */
struct pin_guard {
	pthread_mutex_t lock; /* robust: its holder may be killed while the token hangs */
	bool was_refused;
};

struct minting {
	const struct config_minted *config;
	struct pin_guard *guard; /* NULL: no token */
	/* In helpers. */
	struct minter *minter; /* NULL: it could not be opened, and opened anew neither */
	bool is_spent;
};

/* In the spawner */

static struct pin_guard *make_guard(void)
{
	struct pin_guard *guard = mmap(
		NULL, sizeof(*guard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t kind;

	if (guard == MAP_FAILED)
		return NULL;
	pthread_mutexattr_init(&kind);
	pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&guard->lock, &kind);
	pthread_mutexattr_destroy(&kind);
	return guard;
}

/* Helpers inherit the module with all that it needs, so that none of them opens a program's file, or has
 * memory made executable. They initialize it themselves: what a module has begun does not outlive a
 * fork. */
static int prepare(void *context, struct error *err)
{
	struct minting *minting = context;
	const char *module = minting->config->pkcs11_module;

	if (minting->config->key_uri[0] == '\0')
		return 0;
	minting->guard = make_guard();
	if (minting->guard == NULL)
		return error_sys(err, "preparing for a token");
	/* It stays until the process ends. */
	if (dlopen(module, RTLD_NOW | RTLD_LOCAL) == NULL)
		return error_set(err, "loading the PKCS#11 module: %s", dlerror());
	return 0;
}

/* In a helper */

static void open_guarded(struct minting *minting, bool *was_refused, struct error *err)
{
	struct pin_guard *guard = minting->guard;

	if (pthread_mutex_lock(&guard->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&guard->lock);
	if (guard->was_refused)
		error_set(err,
			"the token has refused the PIN of pin-file, and is not asked again, lest "
			"it lock itself");
	else
		minting->minter = minter_new(minting->config, &guard->was_refused, err);
	*was_refused = guard->was_refused;
	pthread_mutex_unlock(&guard->lock);
}

/* *was_refused: the token does not take the PIN. */
static int open_minter(struct minting *minting, bool *was_refused, struct error *err)
{
	minter_free(minting->minter);
	minting->minter = NULL;
	if (minting->guard != NULL)
		open_guarded(minting, was_refused, err);
	else
		minting->minter = minter_new(minting->config, was_refused, err);
	return minting->minter != NULL ? 0 : -1;
}

/* A helper without a minter lives all the same, to tell those who ask what is wrong. */
static int begin(void *context, struct error *err)
{
	bool was_refused;

	if (open_minter(context, &was_refused, err) == -1)
		log_message(CONFIG_LOG_ERROR, "minter", "%s", err->text);
	return 0;
}

/* A session with a token that was away for a moment does not come back by itself. Where a new one cannot
 * be opened from within the sandbox, a new process may. */
static int renew_minter(struct minting *minting, struct message_login_done *done)
{
	bool was_refused;
	struct error err;

	if (open_minter(minting, &was_refused, &err) == 0)
		return 0;
	minting->is_spent = !was_refused;
	if (was_refused)
		done->status = login_fault_set(&done->fault, LOGIN_MISCONFIGURED,
			"set minted-certificate/pin-file right, and reload", "%s", err.text);
	else
		done->status = login_fault_set(&done->fault, LOGIN_UNAVAILABLE,
			"easproxyd -t tries the token, too", "%s", err.text);
	return -1;
}

static void serve(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	struct minting *minting = context;
	struct message_login_done *done = &answer->u.login_done;
	struct login_secret secret = {.len = 0};

	(void)question_fd;
	(void)answer_fd;
	if ((minting->minter == NULL || minter_is_broken(minting->minter)) &&
		renew_minter(minting, done) == -1)
		return;
	done->status = minter_mint(minting->minter, &question->u.login_job.subject,
		(int64_t)time(NULL), &secret, &done->fault);
	if (done->status == LOGIN_GIVEN) {
		done->valid_until = secret.valid_until;
		done->secret_len = (uint32_t)secret.len;
		memcpy(done->secret, secret.bytes, secret.len);
	}
	login_secret_wipe(&secret);
}

static bool is_spent(const void *context)
{
	return ((const struct minting *)context)->is_spent;
}

const struct helper_work *minter_work(const struct child *child)
{
	static struct minting minting;
	static struct helper_work work;
	const struct config *config = child->config;

	if (config->upstream.login != CONFIG_LOGIN_MINTED)
		return NULL;
	minting = (struct minting){.config = &config->minted};
	work = (struct helper_work){
		.part = PART_MINTER,
		.name = "eas-minter",
		.count = config->upstream.login_helpers,
		.limit_ms = config->upstream.login_time_ms,
		.questions = {MESSAGE_LOGIN_JOB},
		.answer = MESSAGE_LOGIN_DONE,
		.context = &minting,
		.prepare = prepare,
		.open = begin,
		.serve = serve,
		.is_spent = is_spent,
	};
	return &work;
}

/* For easproxyd -t */

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	return write(fd, text, len) == (ssize_t)len ? 0 : -1;
}

/* The module is somebody else's code, and has no business with other keys. */
static void close_others(const struct config *config, int result)
{
	struct keep_list list = {.count = 0};

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		keep_list_add(&list, fd);
	keep_list_add(&list, result);
	list.count += child_files(config, ROLE_IDENTITY, PART_MINTER, list.fds + list.count,
		KEEP_LIST_MAX - list.count);
	keep_list_close_others(&list);
}

/* What it cannot read in its helper it is not to find here either: a missing entry of pkcs11-paths. */
static int enter_as_helper(const struct child *child, struct error *err)
{
	if (dlopen(child->config->minted.pkcs11_module, RTLD_NOW | RTLD_LOCAL) == NULL)
		return error_set(err, "loading the PKCS#11 module: %s", dlerror());
	if (sandbox_drop_user(child, err) == -1)
		return -1;
	return child->has_sandbox ? sandbox_enter_files(child, err) : 0;
}

static _Noreturn void try_in_child(const struct config *config, bool has_sandbox, int result)
{
	const struct child child = {.role = ROLE_IDENTITY,
		.part = PART_MINTER,
		.config = config,
		.has_sandbox = has_sandbox};
	struct error err;
	bool was_refused;

	close_others(config, result);
	alarm(TRY_TIME_S);
	if (enter_as_helper(&child, &err) == 0 &&
		minter_new(&config->minted, &was_refused, &err) != NULL)
		_exit(0);
	write_all(result, err.text);
	_exit(1);
}

static int describe_trial(int status, const char *module, struct error *err)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return error_set(err, "the token has not answered within %d s", TRY_TIME_S);
	if (WIFSIGNALED(status))
		return error_set(err, "the PKCS#11 module %s has died of signal %d", module,
			WTERMSIG(status));
	if (WEXITSTATUS(status) != 0 && err->text[0] == '\0')
		return error_set(err, "the PKCS#11 module %s has ended its process", module);
	return WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int try_token(const struct config *config, bool has_sandbox, struct error *err)
{
	ssize_t len;
	int ends[2], status = 0;
	pid_t pid;

	if (pipe(ends) == -1)
		return error_sys(err, "trying the token");
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		try_in_child(config, has_sandbox, ends[1]);
	}
	close(ends[1]);
	if (pid == -1) {
		close(ends[0]);
		return error_sys(err, "trying the token");
	}
	len = read(ends[0], err->text, sizeof(err->text) - 1);
	err->text[len > 0 ? len : 0] = '\0';
	close(ends[0]);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return error_sys(err, "trying the token");
	return describe_trial(status, config->minted.pkcs11_module, err);
}

int identity_minter_check(
	const struct config *config, bool has_sandbox, config_report *report, void *report_context)
{
	const struct config_minted *minted = &config->minted;
	char text[sizeof(struct error) + 4200];
	struct error err;

	if (config->upstream.login != CONFIG_LOGIN_MINTED || minted->key_uri[0] == '\0' ||
		try_token(config, has_sandbox, &err) == 0)
		return 0;
	snprintf(text, sizeof(text), "%s:%d: minted-certificate: %s", minted->place.file,
		minted->place.line, err.text);
	report(report_context, text);
	return -1;
}
