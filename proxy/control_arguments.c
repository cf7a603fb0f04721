#include "proxy/control_arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "auth/address.h"
#include "auth/unicode.h"
#include "proxy/control_process.h"

bool control_read_mailbox(const struct control *control, struct control_client *client,
	const struct control_request *request, char mailbox[MAILBOX_MAX + 1])
{
	const struct config_mailbox *config = &control->child->config->mailbox;
	const char *name = control_argument(request, "mailbox");

	if (name != NULL && address_fold(span_of_string(name), mailbox) == 0)
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
