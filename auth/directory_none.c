/* No directory: an address is its own mailbox, and nothing else leads to one. */
#include "auth/directory.h"

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
	switch (question->kind) {
	case CONFIG_NAME_PRINCIPAL:
	case CONFIG_NAME_RFC822:
	case CONFIG_NAME_SMTP_UTF8:
		directory_answer_set(answer, DIRECTORY_FOUND, question->value, "%s", "");
		break;
	default:
		directory_answer_set(
			answer, DIRECTORY_NOT_FOUND, "", "there is no directory to look it up in");
	}
}

const struct directory_backend directory_none = {
	.open = none_open, .close = none_close, .ask = none_ask};
