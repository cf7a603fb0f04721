/* The loop of eassim load and serve --bench. */
#include "tests/eassim/poller.h"

#include <unistd.h>

#include "tests/unit/check.h"

struct end {
	struct poller_item item;
	struct poller *poller;
	struct end *other; /* forgotten when this one is called; may be NULL */
	int calls;
};

static void end_on_ready(struct poller_item *item)
{
	struct end *end = (struct end *)item;

	end->calls++;
	if (end->other != NULL)
		poller_want(end->poller, &end->other->item, 0);
}

/* Two pipes, both with a byte to read. */
static struct world {
	struct poller poller;
	int pipes[2][2];
	struct end ends[2];
} world;

static void world_open(void)
{
	struct error err = {""};

	CU_ASSERT_EQUAL_FATAL(poller_open(&world.poller, &err), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(pipe(world.pipes[i]), 0);
		CU_ASSERT_EQUAL_FATAL(write(world.pipes[i][1], "x", 1), 1);
		world.ends[i] =
			(struct end){.item = {.on_ready = end_on_ready, .fd = world.pipes[i][0]},
				.poller = &world.poller};
		CU_ASSERT_EQUAL(poller_want(&world.poller, &world.ends[i].item, EPOLLIN), 0);
	}
}

static void world_close(void)
{
	for (int i = 0; i < 2; i++) {
		close(world.pipes[i][0]);
		close(world.pipes[i][1]);
	}
	poller_close(&world.poller);
}

static void test_those_that_are_ready_are_called(void)
{
	char byte;

	world_open();
	poller_run(&world.poller, 0);
	CU_ASSERT_EQUAL(world.ends[0].calls, 1);
	CU_ASSERT_EQUAL(world.ends[1].calls, 1);
	CU_ASSERT_EQUAL(read(world.pipes[0][0], &byte, 1), 1);
	poller_run(&world.poller, 0);
	CU_ASSERT_EQUAL(world.ends[0].calls, 1);
	CU_ASSERT_EQUAL(world.ends[1].calls, 2);
	world_close();
}

static void test_one_that_is_forgotten_is_not_called_in_the_same_batch(void)
{
	world_open();
	world.ends[0].other = &world.ends[1];
	world.ends[1].other = &world.ends[0];
	poller_run(&world.poller, 0);
	CU_ASSERT_EQUAL(world.ends[0].calls + world.ends[1].calls, 1);
	world_close();
}

static void test_one_may_be_wanted_again_after_it_was_forgotten(void)
{
	world_open();
	CU_ASSERT_EQUAL(poller_want(&world.poller, &world.ends[0].item, 0), 0);
	CU_ASSERT_EQUAL(poller_want(&world.poller, &world.ends[0].item, 0), 0);
	poller_run(&world.poller, 0);
	CU_ASSERT_EQUAL(world.ends[0].calls, 0);
	CU_ASSERT_EQUAL(poller_want(&world.poller, &world.ends[0].item, EPOLLIN), 0);
	poller_run(&world.poller, 0);
	CU_ASSERT_EQUAL(world.ends[0].calls, 1);
	world_close();
}

static void test_a_closed_descriptor_cannot_be_waited_for(void)
{
	struct end end = {.item = {.on_ready = end_on_ready, .fd = -1}};

	world_open();
	CU_ASSERT_EQUAL(poller_want(&world.poller, &end.item, EPOLLIN), -1);
	CU_ASSERT_EQUAL(end.item.wanted, 0);
	world_close();
}

static const struct check checks[] = {
	{"those that are ready are called", test_those_that_are_ready_are_called},
	{"one that is forgotten is not called in the same batch",
		test_one_that_is_forgotten_is_not_called_in_the_same_batch},
	{"one may be wanted again after it was forgotten",
		test_one_may_be_wanted_again_after_it_was_forgotten},
	{"a closed descriptor cannot be waited for", test_a_closed_descriptor_cannot_be_waited_for},
};

int main(void)
{
	return check_run("eassim/poller", checks, sizeof(checks) / sizeof(checks[0]));
}
