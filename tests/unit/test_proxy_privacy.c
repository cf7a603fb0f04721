/* What a process closes to others, and that OpenSSL's memory is still memory. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "proxy/privacy.h"

static bool is_closed(void)
{
	struct rlimit cores = {1, 1};

	return prctl(PR_GET_DUMPABLE) == 0 && getrlimit(RLIMIT_CORE, &cores) == 0 &&
	       cores.rlim_cur == 0 && cores.rlim_max == 0;
}

static void test_a_process_and_those_that_it_forks_are_closed(void)
{
	int status = 1;
	pid_t pid;

	CU_ASSERT(is_closed());
	pid = fork();
	if (pid == 0)
		_exit(is_closed() ? 0 : 1);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static void test_what_was_opened_again_is_closed_again(void)
{
	struct error err = {""};

	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	CU_ASSERT_EQUAL(privacy_renew(&err), 0);
	CU_ASSERT(is_closed());
}

static void test_memory_keeps_its_content_when_it_grows_and_shrinks(void)
{
	for (int is_wanted = 0; is_wanted <= 1; is_wanted++) {
		char *memory = OPENSSL_malloc(6);

		privacy_wipe(is_wanted == 1);
		CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
		memcpy(memory, "secret", 6);
		memory = OPENSSL_realloc(memory, 100000);
		CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
		CU_ASSERT(memcmp(memory, "secret", 6) == 0);
		memory = OPENSSL_realloc(memory, 3);
		CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
		CU_ASSERT(memcmp(memory, "sec", 3) == 0);
		CU_ASSERT_PTR_NULL(OPENSSL_realloc(memory, 0));
		OPENSSL_free(NULL);
	}
}

int main(void)
{
	static const struct check checks[] = {
		{"a process and those that it forks are closed to others",
			test_a_process_and_those_that_it_forks_are_closed},
		{"what was opened again is closed again",
			test_what_was_opened_again_is_closed_again},
		{"memory keeps its content when it grows and shrinks",
			test_memory_keeps_its_content_when_it_grows_and_shrinks},
	};
	struct error err;

	if (privacy_begin(&err) == -1)
		return 1;
	return check_run("proxy/privacy", checks, sizeof(checks) / sizeof(checks[0]));
}
