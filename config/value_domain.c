/* Mail domains, which people may write with other letters than those of ASCII. */
#include <idn2.h>
#include <stdlib.h>

#include "config/memory.h"
#include "config/value.h"

static bool is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

char *value_read_domain(const char *text, struct error *err)
{
	char *labels = NULL, *copy;
	int status = IDN2_OK;

	if (!is_ascii(text))
		/* Without the mappings of UTS 46, which leave characters out. */
		status = idn2_to_ascii_8z(text, &labels, IDN2_NFC_INPUT | IDN2_NO_TR46);
	if (status != IDN2_OK) {
		error_set(err, "'%.100s' is not a domain: %s", text, idn2_strerror(status));
		return NULL;
	}
	copy = memory_copy(labels != NULL ? labels : text);
	idn2_free(labels);
	value_lower(copy);
	if (value_check_host_name(copy, false, err) == 0)
		return copy;
	free(copy);
	return NULL;
}
