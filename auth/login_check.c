#include "auth/login_check.h"

#include "auth/signing_key.h"

static int check_key(enum config_signature algorithm, const struct config_file *file,
	const struct config_file *certificate, config_report *report, void *report_context)
{
	struct signing_key *key;
	struct error why, err;

	key = signing_key_read(algorithm, file, certificate, "", &why);
	signing_key_close(key);
	if (key != NULL)
		return 0;
	error_set(&err, "%s:%d: %s", file->place.file, file->place.line, why.text);
	report(report_context, err.text);
	return -1;
}

int login_config_check(const struct config *config, config_report *report, void *report_context)
{
	static const struct config_file none = {.fd = -1};
	const struct config_bearer *bearer = &config->bearer;
	const struct config_assertion *assertion = &config->assertion;
	int result = 0;

	if (config->upstream.login == CONFIG_LOGIN_BEARER)
		result |= check_key(bearer->algorithm, &bearer->key, &bearer->certificate, report,
			report_context);
	if (assertion->header[0] != '\0')
		result |= check_key(
			assertion->algorithm, &assertion->key, &none, report, report_context);
	return result;
}
