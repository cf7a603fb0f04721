/*
 * The name of a group, as a directory may have it: its form to compare stays within its bounds, and a name
 * is the same group as itself and no other's.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "auth/directory_groups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int is_so)
{
	if (!is_so)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first[] = "cn=sales,dc=contoso", second[] = "CN=Sales,DC=contoso",
		    third[] = "x";
	char *names[] = {first, second, third};
	char once[DIRECTORY_GROUP_SIZE], twice[DIRECTORY_GROUP_SIZE];
	struct error err;
	struct directory_groups *groups = directory_groups_new(3, names, &err);
	int is_dn, len = directory_group_fold(span_of(data, size), once, &is_dn);
	uint64_t found;

	if (groups == NULL)
		return 0;
	require(len <= DIRECTORY_GROUP_SIZE);
	require(directory_group_fold(span_of(data, size), twice, &is_dn) == len);
	require(len <= 0 || memcmp(once, twice, (size_t)len) == 0);
	found = directory_groups_find(groups, span_of(data, size));
	require(found == 0 || found == 3 || found == 4);
	directory_groups_free(groups);
	return 0;
}
