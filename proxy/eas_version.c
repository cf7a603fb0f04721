#include "proxy/eas_version.h"

unsigned int eas_version_of(struct span text)
{
	static const struct {
		const char *text;
		unsigned int version;
	} rows[] = {{"2.5", 25}, {"12.0", 120}, {"12.1", 121}, {"14.0", 140}, {"14.1", 141},
		{"16.0", 160}, {"16.1", 161}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (span_equal(text, span_of_string(rows[i].text)))
			return rows[i].version;
	return 0;
}
