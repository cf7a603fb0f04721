#include "auth/ticket_fault.h"

#include <krb5.h>
#include <stdio.h>
#include <string.h>

struct row {
	int32_t code;
	unsigned int steps;
	enum login_status status;
	const char *text, *hint;
};

#define TICKET_FAULT(steps, code, status, text, hint)                                              \
	{code, TICKET_STEP_##steps, LOGIN_##status, text, hint},
static const struct row rows[] = {
#include "auth/ticket_fault.def"
};
#undef TICKET_FAULT

static const char *step_name(enum ticket_step step)
{
	switch (step) {
	case TICKET_STEP_OWN: return "our own login";
	case TICKET_STEP_SELF:
	case TICKET_STEP_ABROAD: return "a ticket in the user's name to ourselves (S4U2Self)";
	case TICKET_STEP_PROXY: return "the user's ticket for the mail server (S4U2Proxy)";
	default: return "a login";
	}
}

/* The name that "%{…}" at text stands for, and its length; NULL: it is none. */
static const char *name_at(const char *text, const struct ticket_names *names, size_t *len)
{
	const struct {
		const char *mark, *name;
	} table[] = {
		{"%{user}", names->user},
		{"%{account}", names->account},
		{"%{realm}", names->realm},
		{"%{service}", names->service},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		*len = strlen(table[i].mark);
		if (strncmp(text, table[i].mark, *len) == 0)
			return table[i].name;
	}
	return NULL;
}

static void fill_in(const char *text, const struct ticket_names *names, char *out, size_t size)
{
	size_t used = 0;

	while (*text != '\0' && used + 1 < size) {
		size_t len;
		const char *name = name_at(text, names, &len);

		if (name == NULL) {
			out[used++] = *text++;
			continue;
		}
		for (text += len; *name != '\0' && used + 1 < size; name++)
			out[used++] = *name;
	}
	out[used] = '\0';
}

enum login_status ticket_fault_set(struct login_fault *fault, enum ticket_step step, int32_t code,
	const struct ticket_names *names, const char *words)
{
	char text[LOGIN_TEXT_MAX + 1];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].code != code || (rows[i].steps & step) == 0)
			continue;
		fill_in(rows[i].text, names, text, sizeof(text));
		return login_fault_set(fault, rows[i].status, rows[i].hint, "%s", text);
	}
	return login_fault_set(fault, LOGIN_UNAVAILABLE, "The KDC's log may say more.",
		"%s failed in %s: %s", step_name(step), names->realm, words);
}
