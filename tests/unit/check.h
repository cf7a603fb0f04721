/*
 * A CUnit program in one table: every unit test's main() is
 *
 *	static const struct check checks[] = {{"behaviour in words", test_function}, …};
 *	int main(void) { return check_run("room/thing", checks, sizeof(checks) / sizeof(checks[0])); }
 */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <CUnit/Basic.h>
#include <stddef.h>

struct check {
	const char *name;
	CU_TestFunc run;
};

/* Runs all and returns the exit status: 0 only when at least one ran and every assertion held. */
static inline int check_run(const char *suite_name, const struct check *checks, size_t count)
{
	CU_pSuite suite;
	int status;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	suite = CU_add_suite(suite_name, NULL, NULL);
	for (size_t i = 0; suite != NULL && i < count; i++)
		if (CU_add_test(suite, checks[i].name, checks[i].run) == NULL)
			suite = NULL;
	if (suite == NULL || count == 0) {
		CU_cleanup_registry();
		return 2;
	}
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	status = CU_get_number_of_failures() == 0 && CU_get_number_of_tests_run() == count ? 0 : 1;
	CU_cleanup_registry();
	return status;
}

#endif
