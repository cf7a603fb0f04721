/* What easproxyctl upstream test says of any answer: printable, ended, and no more of WWW-Authenticate than
 * words. */
#include <stdlib.h>
#include <string.h>

#include "proxy/upstream_options.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void is_printable(const char *text, size_t size)
{
	require(memchr(text, '\0', size) != NULL);
	for (; *text != '\0'; text++)
		require(*text >= ' ' && *text <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct http_head head;
	struct upstream_options options;
	char schemes[40];

	if (len > 16000 ||
		http_answer_parse(&head, (const char *)bytes, len, HTTP_OPTIONS) != HTTP_DONE)
		return 0;
	upstream_options_schemes(&head, schemes, sizeof(schemes));
	is_printable(schemes, sizeof(schemes));
	require(strpbrk(schemes, "=\"\\") == NULL);
	for (int login = CONFIG_LOGIN_NONE; login <= CONFIG_LOGIN_BASIC; login++) {
		upstream_options_judge(&head, (enum config_login)login, &options);
		is_printable(options.text, sizeof(options.text));
		is_printable(options.hint, sizeof(options.hint));
	}
	upstream_options_judge_anonymous(&head, &options);
	is_printable(options.text, sizeof(options.text));
	return 0;
}
