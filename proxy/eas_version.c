#include "proxy/eas_version.h"

static const struct {
	const char *name;
	unsigned int version;
} rows[] = {{"2.5", 25}, {"12.0", 120}, {"12.1", 121}, {"14.0", 140}, {"14.1", 141}, {"16.0", 160},
	{"16.1", 161}};

unsigned int eas_version_of(struct span text)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (span_equal(text, span_of_string(rows[i].name)))
			return rows[i].version;
	return 0;
}

const char *eas_version_name(unsigned int version)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].version == version)
			return rows[i].name;
	return NULL;
}
