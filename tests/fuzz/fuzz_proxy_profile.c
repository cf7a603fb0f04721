/* Configuration profiles: what is told of them, and that nothing is told with characters in it that a
 * terminal would act on. */
#include <stdlib.h>

#include "proxy/plist.h"
#include "proxy/profile_lint.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void look(void *context, enum profile_grade grade, const char *text)
{
	(void)context;
	require(grade == PROFILE_NOTE || grade == PROFILE_WARNING || grade == PROFILE_PROBLEM);
	for (; *text != '\0'; text++)
		require((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void look_at_identity(
	void *context, struct span pkcs12, const char *password, const char *address)
{
	(void)context, (void)password, (void)address;
	require(pkcs12.len == 0 || pkcs12.data != NULL);
}

static void look_at_authority(void *context, struct span content)
{
	(void)context;
	require(content.len == 0 || content.data != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct profile_lint lint = {.report = {look, NULL},
		.host = "phones.test",
		.identity = look_at_identity,
		.authority = look_at_authority};
	struct error err = {""};

	if (profile_lint(span_of(bytes, len), &lint, &err) != 0)
		require(err.text[0] != '\0');
	return 0;
}
