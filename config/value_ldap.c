/* Values of the block directory: URLs of LDAP servers, attributes, filters. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/memory.h"
#include "config/value.h"

int value_read_ldap_url(const char *text, struct config_endpoint *url, struct error *err)
{
	static const char *const schemes[] = {"ldap://", "ldaps://"};
	struct error why;
	size_t scheme = 0;

	for (size_t i = 0; i < 2; i++) {
		if (strncasecmp(text, schemes[i], strlen(schemes[i])) != 0)
			continue;
		scheme = strlen(schemes[i]);
		url->is_tls = i == 1;
	}
	if (scheme == 0 || strpbrk(text + scheme, "/?#@ ") != NULL)
		return error_set(err,
			"'%.100s' is not the URL of an LDAP server; write ldaps:// or ldap://, a "
			"host, and a port if need be",
			text);
	url->port = url->is_tls ? 636 : 389;
	if (value_read_authority(text + scheme, &url->host, &url->port, &why) == -1)
		return error_set(err, "'%.100s': %s", text, why.text);
	url->text = memory_copy(text);
	url->path_prefix = memory_copy("");
	return 0;
}

/* RFC 4512 1.4 and 2.5: a descriptor or an OID, without options. */
int value_check_attribute(const char *text, struct error *err)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789-.");

	if (text[len] != '\0' ||
		!(isalpha((unsigned char)text[0]) || isdigit((unsigned char)text[0])))
		return error_set(err, "'%.100s' is not the name of an LDAP attribute", text);
	return 0;
}

/* Only what keeps the filters that are put around it apart from it; the server judges the rest. */
int value_check_filter(const char *text, struct error *err)
{
	size_t depth = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return error_set(err, "a filter has no control characters");
		if (*p == '\\' && !(isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])))
			return error_set(err,
				"'%.100s': after a backslash come two hexadecimal digits "
				"(RFC 4515)",
				text);
		if (*p == '(')
			depth++;
		if (*p == ')' && depth-- == 0)
			return error_set(err, "'%.100s': a ')' without a '('", text);
		if (depth == 0 && p[1] != '\0')
			return error_set(err,
				"'%.100s' is not one filter; write all of it in parentheses, such "
				"as (objectClass=user)",
				text);
	}
	if (depth > 0)
		return error_set(err, "'%.100s': a '(' without a ')'", text);
	return 0;
}
