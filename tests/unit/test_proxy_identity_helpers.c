#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "proxy/identity_helpers.h"

/* What a job asks of a helper; its answer is a number. Any message that may bring a descriptor does. */
enum task {
	TASK_COUNT = 1,  /* how many jobs it has had */
	TASK_READ_FILE,  /* a letter from the work's own file */
	TASK_READ_OTHER, /* 1: a descriptor of another kind is open here */
	TASK_READ_PASSED,
	TASK_PASS, /* a descriptor with the letter 'p' */
	TASK_DIE,
	TASK_HANG,
	TASK_PREPARED, /* what prepare() and open() have left */
};

static int file_with(char letter)
{
	int fd = memfd_create("easproxy-test", MFD_CLOEXEC);

	if (fd == -1 || pwrite(fd, &letter, 1, 0) != 1)
		abort();
	return fd;
}

static char letter_in(int fd)
{
	char letter = '?';

	(void)!pread(fd, &letter, 1, 0);
	return letter;
}

static struct {
	struct config config;
	struct event_base *base;
	struct helper_work work;
	struct helpers *helpers;
	int file, other, other_copy;
	uint32_t served, prepared;
	unsigned int lost;
} it;

static int prepare(void *context, struct error *err)
{
	(void)context;
	(void)err;
	it.prepared = 10;
	return 0;
}

static int open_helper(void *context, struct error *err)
{
	(void)context;
	(void)err;
	it.prepared++;
	return 0;
}

static void serve(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	uint32_t *said = &answer->u.helper.slot;

	(void)context;
	it.served++;
	switch ((enum task)question->u.helper.slot) {
	case TASK_COUNT: *said = it.served; break;
	case TASK_READ_FILE: *said = (uint32_t)letter_in(it.file); break;
	case TASK_READ_OTHER: *said = letter_in(it.other) == 'o'; break;
	case TASK_READ_PASSED: *said = (uint32_t)letter_in(question_fd); break;
	case TASK_PASS: *answer_fd = file_with('p'); break;
	case TASK_DIE: _exit(1);
	case TASK_HANG: sleep(600); break;
	case TASK_PREPARED: *said = it.prepared; break;
	}
}

struct job {
	struct helper_job job;
	enum task task;
	int fd; /* to be passed */
	bool is_answered, has_failed;
	uint32_t said;
	int answer_fd;
};

static struct job *job_of(struct helper_job *job)
{
	return (struct job *)((char *)job - offsetof(struct job, job));
}

static void ask(void *context, struct helper_job *job, struct message *question, int *fd)
{
	(void)context;
	question->u.helper.slot = (uint32_t)job_of(job)->task;
	*fd = job_of(job)->fd;
}

static void answered(void *context, struct helper_job *job, const struct message *answer, int fd)
{
	struct job *done = job_of(job);

	(void)context;
	done->is_answered = true;
	done->has_failed = answer == NULL;
	done->said = answer != NULL ? answer->u.helper.slot : 0;
	done->answer_fd = fd;
}

static void lost(void *context)
{
	(void)context;
	it.lost++;
}

static const struct helper_calls calls = {.ask = ask, .answered = answered, .lost = lost};

static void set_up(uint32_t count)
{
	const struct child child = {.role = ROLE_IDENTITY, .config = &it.config, .supervisor = -1};
	struct error err;
	int spawner;

	memset(&it, 0, sizeof(it));
	it.file = file_with('f');
	it.other = file_with('o');
	it.config.directory.backend = CONFIG_DIRECTORY_LDAP;
	it.config.directory.ca.fd = -1;
	it.config.directory.bind_password.fd = it.file;
	it.config.trust.store.fd = it.config.upstream.ca.fd = -1;
	it.config.devices.quarantine_text.fd = -1;
	it.config.assertion.header = "X-Login";
	it.config.assertion.key.fd = it.other;
	it.work = (struct helper_work){
		.part = PART_DIRECTORY,
		.name = "eas-test",
		.count = count,
		.limit_ms = 60 * 1000,
		.questions = {MESSAGE_HELPER},
		.answer = MESSAGE_HELPER,
		.prepare = prepare,
		.open = open_helper,
		.serve = serve,
	};
	spawner = helpers_fork(&child, &it.work, &err);
	it.base = event_base_new();
	if (spawner == -1 || it.base == NULL)
		abort();
	it.helpers = helpers_new(it.base, &it.work, spawner, &calls, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(it.helpers);
}

static void tear_down(void)
{
	helpers_free(it.helpers);
	event_base_free(it.base);
	close(it.other);
}

static void finish(const struct job *job)
{
	while (!job->is_answered)
		event_base_loop(it.base, EVLOOP_ONCE);
}

static struct job run(enum task task, int fd)
{
	struct job job = {.task = task, .fd = fd, .answer_fd = -1};

	helpers_ask(it.helpers, &job.job);
	finish(&job);
	return job;
}

static void test_one_job_after_the_other(void)
{
	set_up(1);
	CU_ASSERT_EQUAL(run(TASK_COUNT, -1).said, 1);
	CU_ASSERT_EQUAL(run(TASK_COUNT, -1).said, 2);
	CU_ASSERT_EQUAL(run(TASK_PREPARED, -1).said, 11);
	CU_ASSERT_EQUAL(it.prepared, 0); /* not in the process that asks */
	tear_down();
}

static void test_descriptors_go_both_ways(void)
{
	struct job job;

	set_up(1);
	CU_ASSERT_EQUAL(run(TASK_READ_PASSED, file_with('q')).said, 'q');
	job = run(TASK_PASS, -1);
	CU_ASSERT_NOT_EQUAL_FATAL(job.answer_fd, -1);
	CU_ASSERT_EQUAL(letter_in(job.answer_fd), 'p');
	close(job.answer_fd);
	tear_down();
}

static void test_only_helpers_have_the_files_of_their_work(void)
{
	set_up(1);
	CU_ASSERT_EQUAL(run(TASK_READ_FILE, -1).said, 'f');
	CU_ASSERT_EQUAL(run(TASK_READ_OTHER, -1).said, 0);
	CU_ASSERT_NOT_EQUAL(letter_in(it.file), 'f');
	CU_ASSERT_EQUAL(letter_in(it.other), 'o');
	tear_down();
}

static void test_death_is_told_and_another_one_is_started(void)
{
	struct job job;

	set_up(1);
	job = run(TASK_DIE, -1);
	CU_ASSERT_TRUE(job.has_failed);
	CU_ASSERT_EQUAL(it.lost, 1);
	CU_ASSERT_EQUAL(run(TASK_COUNT, -1).said, 1); /* a fresh one */
	tear_down();
}

static void test_who_hangs_is_replaced(void)
{
	struct job hangs = {.task = TASK_HANG, .fd = -1}, waits = {.task = TASK_COUNT, .fd = -1};

	set_up(1);
	helpers_ask(it.helpers, &hangs.job);
	helpers_ask(it.helpers, &waits.job);
	while (hangs.job.helper == NULL)
		event_base_loop(it.base, EVLOOP_ONCE);
	CU_ASSERT_PTR_NULL(waits.job.helper);
	helpers_cancel(it.helpers, &hangs.job);
	CU_ASSERT_EQUAL(it.lost, 1);
	finish(&waits);
	CU_ASSERT_EQUAL(waits.said, 1);
	CU_ASSERT_FALSE(hangs.is_answered);
	tear_down();
}

static void test_who_hangs_holds_nobody_up_while_there_is_another(void)
{
	struct job hangs = {.task = TASK_HANG, .fd = -1};

	set_up(2);
	helpers_ask(it.helpers, &hangs.job);
	CU_ASSERT_EQUAL(run(TASK_COUNT, -1).said, 1);
	CU_ASSERT_FALSE(hangs.is_answered);
	helpers_cancel(it.helpers, &hangs.job);
	tear_down();
}

static int prepare_in_vain(void *context, struct error *err)
{
	(void)context;
	return error_set(err, "the test wants it so");
}

static void test_what_cannot_be_prepared_is_not_begun(void)
{
	const struct child child = {.role = ROLE_IDENTITY, .config = &it.config, .supervisor = -1};
	const struct helper_work work = {.part = PART_DIRECTORY,
		.name = "eas-test",
		.count = 1,
		.prepare = prepare_in_vain,
		.serve = serve};
	struct error err;

	memset(&it, 0, sizeof(it));
	it.config.assertion.header = "";
	CU_ASSERT_EQUAL(helpers_fork(&child, &work, &err), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "eas-test"));
}

static void test_wiping_leaves_nothing(void)
{
	struct message message = {.type = MESSAGE_DIRECTORY_QUESTION};
	char *value = message.u.directory_question.value;

	memset(value, 's', sizeof(message.u.directory_question.value));
	message_wipe(&message);
	CU_ASSERT_EQUAL(message.type, 0);
	for (size_t i = 0; i < sizeof(message.u.directory_question.value); i++)
		if (value[i] != '\0')
			CU_FAIL_FATAL("something was left");
}

int main(void)
{
	static const struct check checks[] = {
		{"one job after the other", test_one_job_after_the_other},
		{"descriptors go both ways", test_descriptors_go_both_ways},
		{"only helpers have the files of their work",
			test_only_helpers_have_the_files_of_their_work},
		{"death is told and another one is started",
			test_death_is_told_and_another_one_is_started},
		{"who hangs is replaced", test_who_hangs_is_replaced},
		{"who hangs holds nobody up while there is another",
			test_who_hangs_holds_nobody_up_while_there_is_another},
		{"what cannot be prepared is not begun", test_what_cannot_be_prepared_is_not_begun},
		{"wiping leaves nothing", test_wiping_leaves_nothing},
	};

	return check_run("proxy/identity_helpers", checks, sizeof(checks) / sizeof(checks[0]));
}
