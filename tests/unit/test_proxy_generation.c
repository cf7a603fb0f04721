#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "proxy/supervisor_generation.h"

static struct authority authority;
static struct trust_store trust = {.count = 1, .authorities = &authority};

/* Without a configuration it cannot be freed as a whole. */
static struct generation *make(void)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (generation == NULL)
		exit(1);
	generation->trust = &trust;
	for (size_t place = 0; place < CRL_LOCATION_MAX; place++)
		generation->indexes[0][place].fd = -1;
	return generation;
}

static bool keep(struct generation *generation, uint32_t place, int64_t this_update, int *fd)
{
	const struct message message = {.type = MESSAGE_INDEX,
		.u.index = {.place = place, .facts.this_update = this_update}};

	*fd = memfd_create("index", MFD_CLOEXEC);
	return generation_keep_index(generation, &message, *fd);
}

static bool is_open(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0;
}

static void test_an_index_gives_way_to_no_older_one(void)
{
	struct generation *generation = make();
	const struct generation_index *kept = generation->indexes[0];
	int first, older, same, newer;

	CU_ASSERT_TRUE(keep(generation, 0, 1000, &first));
	CU_ASSERT_TRUE(keep(generation, 0, 999, &older));
	CU_ASSERT_EQUAL(kept[0].fd, first);
	CU_ASSERT_EQUAL(kept[0].index.facts.this_update, 1000);
	CU_ASSERT_FALSE(is_open(older));
	CU_ASSERT_TRUE(keep(generation, 1, 10, &older)); /* another location */
	CU_ASSERT_EQUAL(kept[1].fd, older);
	CU_ASSERT_TRUE(keep(generation, 0, 1000, &same));
	CU_ASSERT_EQUAL(kept[0].fd, same);
	CU_ASSERT_FALSE(is_open(first));
	CU_ASSERT_TRUE(keep(generation, 0, 1001, &newer));
	CU_ASSERT_EQUAL(kept[0].fd, newer);
	CU_ASSERT_FALSE(is_open(same));
	close(newer);
	close(older);
	free(generation);
}

int main(void)
{
	static const struct check checks[] = {
		{"an index gives way to no older one", test_an_index_gives_way_to_no_older_one},
	};

	return check_run("proxy/generation", checks, sizeof(checks) / sizeof(checks[0]));
}
