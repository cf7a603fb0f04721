/* Mail domains, which people may write with other letters than those of ASCII. */
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

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

int value_read_domain_pair(const char *text, struct config_domain_pair *pair, struct error *err)
{
	const char *colon = strchr(text, ':');
	char *from;

	if (colon == NULL)
		return error_set(err,
			"'%.100s' is not a pair of domains; write \"from.example: to.example\"",
			text);
	from = memory_copy_part(text, (size_t)(colon - text));
	pair->from = value_read_domain(from, err);
	free(from);
	if (pair->from == NULL)
		return -1;
	pair->to = value_read_domain(colon + 1 + strspn(colon + 1, " "), err);
	if (pair->to == NULL || strcmp(pair->from, pair->to) == 0) {
		if (pair->to != NULL)
			error_set(err, "'%.100s': a domain cannot lead to itself", text);
		free(pair->from);
		free(pair->to);
		return -1;
	}
	return 0;
}
