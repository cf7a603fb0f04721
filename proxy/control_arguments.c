#include "proxy/control_arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "auth/unicode.h"
#include "proxy/control_process.h"

/* In the form in which mailboxes are compared: lower case, Normalization Form C, a domain of
 * A-labels. False when it is no address. */
static bool fold_address(const char *address, char mailbox[MAILBOX_MAX + 1])
{
	enum { LOCAL_PART_MAX = 64 };
	const char *at = strchr(address, '@');
	char local[LOCAL_PART_MAX + 1], domain[UNICODE_DOMAIN_MAX + 1];
	struct span first;

	if (at == NULL || at == address)
		return false;
	first = span_of(address, (size_t)(at - address));
	if (!unicode_is_plain(first, false) || unicode_fold(first, local, sizeof(local)) < 1 ||
		unicode_domain(span_of_string(at + 1), domain) < 1)
		return false;
	snprintf(mailbox, MAILBOX_MAX + 1, "%s@%s", local, domain);
	return true;
}

bool control_read_mailbox(const struct control *control, struct control_client *client,
	const struct control_request *request, char mailbox[MAILBOX_MAX + 1])
{
	const struct config_mailbox *config = &control->child->config->mailbox;
	const char *name = control_argument(request, "mailbox");

	if (name != NULL && fold_address(name, mailbox))
		return true;
	if (name != NULL && name[0] != '\0' && strchr(name, '@') == NULL &&
		config->domain_count > 0)
		control_answer_error(client,
			"a user is named by the mailbox's address: did you mean %.64s@%s?", name,
			config->domains[0]);
	else
		control_answer_error(client, "\"%.128s\" is not the address of a mailbox",
			name == NULL ? "" : name);
	return false;
}

void control_add_note(json_t *answer, const char *format, ...)
{
	json_t *notes = json_object_get(answer, "notes");
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (notes == NULL) {
		notes = json_array();
		json_object_set_new(answer, "notes", notes);
	}
	json_array_append_new(notes, json_string(text));
}

bool control_read_reason(struct control_client *client, const struct control_request *request,
	char reason[STATE_REASON_MAX + 1])
{
	const char *given = control_argument(request, "reason");

	if (given == NULL)
		given = "";
	if (strlen(given) > STATE_REASON_MAX || !unicode_is_plain(span_of_string(given), true)) {
		control_answer_error(client,
			"the reason is longer than %d bytes, or has characters that cannot be seen",
			STATE_REASON_MAX);
		return false;
	}
	snprintf(reason, STATE_REASON_MAX + 1, "%s", given);
	return true;
}
