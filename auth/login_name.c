#include "auth/login_name.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A part of the subject by its name in templates; data NULL for none of them. */
static struct span part_of(const struct login_subject *subject, struct span name)
{
	const char *at = strrchr(subject->mailbox, '@');
	struct span mailbox = span_of_string(subject->mailbox);
	size_t local_len = at != NULL ? (size_t)(at - subject->mailbox) : mailbox.len;
	const struct {
		const char *name;
		struct span value;
	} parts[] = {
		{"mailbox", mailbox},
		{"local-part", span_of(mailbox.data, local_len)},
		{"domain", span_of_string(at != NULL ? at + 1 : "")},
		{"account", span_of_string(subject->account)},
		{"realm", span_of_string(subject->realm)},
		{"upn", span_of_string(subject->upn)},
		{"sid", span_of_string(subject->sid)},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (span_equal_nocase(name, parts[i].name))
			return parts[i].value;
	return span_of(NULL, 0);
}

enum login_status login_name_fill(const char *template, const struct login_subject *subject,
	char *name, size_t size, struct login_fault *fault)
{
	size_t len = 0;

	for (const char *c = template; *c != '\0';) {
		struct span part = span_of(c, 1);
		const char *end = c[0] == '%' && c[1] == '{' ? strchr(c, '}') : NULL;

		if (end != NULL) {
			struct span wanted = span_of(c + 2, (size_t)(end - c) - 2);

			part = part_of(subject, wanted);
			if (part.len == 0)
				return login_fault_set(fault, LOGIN_REFUSED,
					"the directory has no such attribute of this user, or none "
					"is "
					"asked (directory/backend = ldap)",
					"%%{%.*s} of %.60s is not known, for '%.90s'",
					(int)(wanted.len < 20 ? wanted.len : 20),
					(const char *)wanted.data, subject->mailbox, template);
			c = end + 1;
		} else {
			c += c[0] == '%' && c[1] == '%' ? 2 : 1;
		}
		if (part.len >= size - len)
			return login_fault_set(fault, LOGIN_REFUSED, NULL,
				"the name of %.100s is longer than %zu bytes", subject->mailbox,
				size - 1);
		memcpy(name + len, part.data, part.len);
		len += part.len;
	}
	name[len] = '\0';
	return LOGIN_GIVEN;
}
