/* No directory: an address is its own mailbox, and nothing else leads to one. */
#include "auth/directory.h"
#include "auth/unicode.h"

static void *none_open(const struct config_directory *config, struct error *err)
{
	static char nothing;

	(void)config;
	(void)err;
	return &nothing;
}

static void none_close(void *state)
{
	(void)state;
}

static void none_ask(
	void *state, const struct directory_question *question, struct directory_answer *answer)
{
	(void)state;
	/* Mail servers that take ö for o would open another mailbox than the certificate's. Where a
	 * directory has the name letter by letter that cannot be; without one, whoever configures
	 * SmtpUTF8Mailbox knows the server. */
	if (question->kind == CONFIG_NAME_PRINCIPAL &&
		!unicode_is_ascii(span_of_string(question->value)))
		directory_answer_set(answer, DIRECTORY_NOT_FOUND, "",
			"other letters than ASCII need a directory, or smtp-utf8-mailbox");
	else if (question->kind > CONFIG_NAME_SMTP_UTF8)
		directory_answer_set(
			answer, DIRECTORY_NOT_FOUND, "", "there is no directory to look it up in");
	else
		directory_answer_set(answer, DIRECTORY_FOUND, question->value, "%s", "");
}

const struct directory_backend directory_none = {
	.open = none_open, .close = none_close, .ask = none_ask};
