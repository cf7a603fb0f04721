#include "config/whole.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

static void test_what_is_written_is_read(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char text[16] = {0};

	CU_ASSERT_EQUAL(whole_write(fd, "certificate", 11), 0);
	CU_ASSERT_EQUAL(whole_write_at(fd, "IFIC", 4, 4), 0);
	CU_ASSERT_EQUAL(whole_read_at(fd, text, 11, 0), 11);
	CU_ASSERT_STRING_EQUAL(text, "certIFICate");
	CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_CUR), 11);
	close(fd);
}

static void test_a_file_that_ends_early_gives_what_it_has(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char text[16];

	CU_ASSERT_EQUAL(whole_write(fd, "abc", 3), 0);
	CU_ASSERT_EQUAL(whole_read_at(fd, text, sizeof(text), 1), 2);
	CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_SET), 0);
	CU_ASSERT_EQUAL(whole_read(fd, text, sizeof(text)), 3);
	close(fd);
}

/* Both ends in pieces: a pipe takes and gives no more than it holds. */
static void test_pieces_become_a_whole(void)
{
	static char sent[300000], got[sizeof(sent)];
	int ends[2], status = -1;
	pid_t child;

	memset(sent, 'x', sizeof(sent));
	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(whole_write(ends[1], sent, sizeof(sent)) == 0 ? 0 : 1);
	}
	close(ends[1]);
	CU_ASSERT_EQUAL(whole_read(ends[0], got, sizeof(got)), (ssize_t)sizeof(got));
	CU_ASSERT_TRUE(memcmp(sent, got, sizeof(got)) == 0);
	close(ends[0]);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
}

static void test_an_error_is_told(void)
{
	char text[4];

	CU_ASSERT_EQUAL(whole_read(-1, text, sizeof(text)), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(whole_write(-1, text, sizeof(text)), -1);
	CU_ASSERT_EQUAL(whole_read_at(-1, text, sizeof(text), 0), -1);
	CU_ASSERT_EQUAL(whole_write_at(-1, text, sizeof(text), 0), -1);
}

static const struct check checks[] = {
	{"what is written is read", test_what_is_written_is_read},
	{"a file that ends early gives what it has", test_a_file_that_ends_early_gives_what_it_has},
	{"pieces become a whole", test_pieces_become_a_whole},
	{"an error is told", test_an_error_is_told},
};

int main(void)
{
	return check_run("config/whole", checks, sizeof(checks) / sizeof(checks[0]));
}
