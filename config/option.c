#include "config/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/model.h"

#define KB     UINT64_C(1024)
#define MB     (KB * 1024)
#define GB     (MB * 1024)
#define SECOND UINT64_C(1000)
#define MINUTE (SECOND * 60)
#define HOUR   (MINUTE * 60)
#define DAY    (HOUR * 24)

static const struct option_choice log_formats[] = {
	{"json", CONFIG_LOG_JSON}, {"logfmt", CONFIG_LOG_LOGFMT}, {NULL, 0}};
static const struct option_choice log_levels[] = {{"error", CONFIG_LOG_ERROR},
	{"warning", CONFIG_LOG_WARNING}, {"info", CONFIG_LOG_INFO}, {"debug", CONFIG_LOG_DEBUG},
	{NULL, 0}};
static const struct option_choice tls_versions[] = {
	{"1.2", CONFIG_TLS_1_2}, {"1.3", CONFIG_TLS_1_3}, {NULL, 0}};
static const struct option_choice logins[] = {{"none", CONFIG_LOGIN_NONE},
	{"header", CONFIG_LOGIN_HEADER}, {"client-cert", CONFIG_LOGIN_CLIENT_CERT},
	{"basic", CONFIG_LOGIN_BASIC}, {"kerberos", CONFIG_LOGIN_KERBEROS},
	{"minted-certificate", CONFIG_LOGIN_MINTED}, {"bearer", CONFIG_LOGIN_BEARER}, {NULL, 0}};
static const struct option_choice login_downs[] = {{"use-known", CONFIG_LOGIN_DOWN_USE_KNOWN},
	{"refuse", CONFIG_LOGIN_DOWN_REFUSE}, {NULL, 0}};
static const struct option_choice key_types[] = {
	{"ec", CONFIG_KEY_EC}, {"rsa", CONFIG_KEY_RSA}, {NULL, 0}};
static const struct option_choice grants[] = {
	{"jwt", CONFIG_GRANT_JWT}, {"saml", CONFIG_GRANT_SAML}, {NULL, 0}};
/* RFC 7518 3.1 */
static const struct option_choice signatures[] = {
	{"RS256", CONFIG_SIGNATURE_RS256}, {"ES256", CONFIG_SIGNATURE_ES256}, {NULL, 0}};
static const struct option_choice macs[] = {{"HS256", CONFIG_SIGNATURE_HS256},
	{"RS256", CONFIG_SIGNATURE_RS256}, {"ES256", CONFIG_SIGNATURE_ES256}, {NULL, 0}};
static const struct option_choice affinities[] = {
	{"low", CONFIG_AFFINITY_LOW}, {"high", CONFIG_AFFINITY_HIGH}, {NULL, 0}};
static const struct option_choice directory_backends[] = {{"none", CONFIG_DIRECTORY_NONE},
	{"file", CONFIG_DIRECTORY_FILE}, {"ldap", CONFIG_DIRECTORY_LDAP}, {NULL, 0}};
static const struct option_choice binds[] = {{"none", CONFIG_BIND_NONE},
	{"simple", CONFIG_BIND_SIMPLE}, {"gssapi", CONFIG_BIND_GSSAPI}, {NULL, 0}};
static const struct option_choice scopes[] = {{"sub", CONFIG_SCOPE_SUB}, {"one", CONFIG_SCOPE_ONE},
	{"base", CONFIG_SCOPE_BASE}, {NULL, 0}};
static const struct option_choice when_downs[] = {
	{"refuse", CONFIG_WHEN_DOWN_REFUSE}, {"use-known", CONFIG_WHEN_DOWN_USE_KNOWN}, {NULL, 0}};
static const struct option_choice revoked_certificates[] = {
	{"refuse", CONFIG_REVOKED_REFUSE}, {"wipe", CONFIG_REVOKED_WIPE}, {NULL, 0}};
/* RFC 5280 5.3.1. On hold is not for good, and what was taken off a list is not revoked. */
static const struct option_choice wipe_reasons[] = {{"unspecified", 0}, {"key-compromise", 1},
	{"affiliation-changed", 3}, {"superseded", 4}, {"cessation-of-operation", 5},
	{"privilege-withdrawn", 9}, {NULL, 0}};
static const struct option_choice wipe_kinds[] = {
	{"account", CONFIG_WIPE_ACCOUNT}, {"device", CONFIG_WIPE_DEVICE}, {NULL, 0}};
static const struct option_choice bodies[] = {
	{"wbxml", CONFIG_BODY_WBXML}, {"xml", CONFIG_BODY_XML}, {NULL, 0}};
static const struct option_choice xml_dialects[] = {
	{"exact", CONFIG_XML_EXACT}, {"libwbxml", CONFIG_XML_LIBWBXML}, {NULL, 0}};
static const struct option_choice bindings[] = {{"off", CONFIG_BINDING_OFF},
	{"first-use", CONFIG_BINDING_FIRST_USE}, {"registered", CONFIG_BINDING_REGISTERED},
	{NULL, 0}};
static const struct option_choice new_devices[] = {{"allow", CONFIG_NEW_DEVICE_ALLOW},
	{"quarantine", CONFIG_NEW_DEVICE_QUARANTINE}, {"block", CONFIG_NEW_DEVICE_BLOCK},
	{NULL, 0}};
static const struct option_choice structures[] = {
	{"lenient", CONFIG_STRUCTURE_LENIENT}, {"strict", CONFIG_STRUCTURE_STRICT}, {NULL, 0}};
static const struct option_choice autodiscover_modes[] = {{"forward", CONFIG_AUTODISCOVER_FORWARD},
	{"answer", CONFIG_AUTODISCOVER_ANSWER}, {"off", CONFIG_AUTODISCOVER_OFF}, {NULL, 0}};
static const struct option_choice redirects[] = {{"follow", CONFIG_REDIRECTS_FOLLOW},
	{"rewrite", CONFIG_REDIRECTS_REWRITE}, {"refuse", CONFIG_REDIRECTS_REFUSE}, {NULL, 0}};
static const struct option_choice protocols[] = {{"2.5", 25}, {"12.0", 120}, {"12.1", 121},
	{"14.0", 140}, {"14.1", 141}, {"16.0", 160}, {"16.1", 161}, {NULL, 0}};
static const struct option_choice rule_actions[] = {{"allow", CONFIG_RULE_ALLOW},
	{"deny", CONFIG_RULE_DENY}, {"quarantine", CONFIG_RULE_QUARANTINE},
	{"wipe", CONFIG_RULE_WIPE}, {"log", CONFIG_RULE_LOG}, {"limit", CONFIG_RULE_LIMIT},
	{"strip", CONFIG_RULE_STRIP}, {"use", CONFIG_RULE_USE}, {NULL, 0}};
static const struct option_choice switches[] = {
	{"on", 1}, {"off", 0}, {"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0}, {NULL, 0}};

const struct option option_table[] = {
#define OPTION(section, name, type, fallback, min, max, choices, model, field, help)               \
	{SECTION_##section, OPTION_##type, name, fallback, min, max, choices,                      \
		offsetof(struct model, field), sizeof(((struct model *)0)->field), help},
#include "config/options.def"
#undef OPTION
};
const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);

const struct option_section_row option_sections[SECTION_COUNT] = {
	[SECTION_ROOT] = {"", SECTION_ROOT, false},
	[SECTION_LOG] = {"log", SECTION_ROOT, false},
	[SECTION_LIMITS] = {"limits", SECTION_ROOT, false},
	[SECTION_LISTENER] = {"listener", SECTION_ROOT, true},
	[SECTION_CERTIFICATE] = {"certificate", SECTION_LISTENER, true},
	[SECTION_TRUST] = {"trust", SECTION_ROOT, false},
	[SECTION_REVOCATION] = {"revocation", SECTION_ROOT, false},
	[SECTION_MAILBOX] = {"mailbox", SECTION_ROOT, false},
	[SECTION_DIRECTORY] = {"directory", SECTION_ROOT, false},
	[SECTION_UPSTREAM] = {"upstream", SECTION_ROOT, true},
	[SECTION_KERBEROS] = {"kerberos", SECTION_ROOT, true},
	[SECTION_MINTED] = {"minted-certificate", SECTION_ROOT, false},
	[SECTION_BEARER] = {"bearer", SECTION_ROOT, false},
	[SECTION_ASSERTION] = {"assertion", SECTION_ROOT, false},
	[SECTION_DEVICES] = {"devices", SECTION_ROOT, false},
	[SECTION_ACTIVESYNC] = {"activesync", SECTION_ROOT, false},
	[SECTION_AUTODISCOVER] = {"autodiscover", SECTION_ROOT, false},
	[SECTION_POLICY] = {"policy", SECTION_ROOT, false},
	[SECTION_RULE] = {"rule", SECTION_POLICY, true},
};

struct unit {
	const char *word;
	uint64_t factor;
};

static const struct unit size_units[] = {{"B", 1}, {"kB", KB}, {"MB", MB}, {"GB", GB}, {NULL, 0}};
static const struct unit time_units[] = {
	{"ms", 1}, {"s", SECOND}, {"m", MINUTE}, {"h", HOUR}, {"d", DAY}, {NULL, 0}};

const struct option *option_find(enum option_section section, const char *name, size_t name_len)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];

		if (option->section == section && strlen(option->name) == name_len &&
			memcmp(option->name, name, name_len) == 0)
			return option;
	}
	return NULL;
}

enum option_section option_find_section(
	enum option_section parent, const char *name, size_t name_len)
{
	for (enum option_section i = SECTION_ROOT + 1; i < SECTION_COUNT; i++) {
		const struct option_section_row *row = &option_sections[i];

		if (row->parent == parent && strlen(row->name) == name_len &&
			memcmp(row->name, name, name_len) == 0)
			return i;
	}
	return SECTION_ROOT;
}

enum option_section option_find_home(enum option_section here, const char *name, size_t name_len)
{
	for (enum option_section i = SECTION_ROOT; i < SECTION_COUNT; i++)
		if (i != here && option_find(i, name, name_len) != NULL)
			return i;
	return SECTION_COUNT;
}

bool option_is_list(const struct option *option)
{
	return option->type >= OPTION_ADDRESSES;
}

void option_describe(const struct option *option, char *text, size_t text_size)
{
	if (option->section == SECTION_ROOT)
		snprintf(text, text_size, "option '%s'", option->name);
	else
		snprintf(text, text_size, "option '%s' in %s", option->name,
			option_sections[option->section].name);
}

/* Digits alone: no sign, no fraction, no white space. Returns what follows them, NULL where there
 * are none or too many. */
static const char *read_digits(const char *text, uint64_t *value)
{
	const char *p = text;

	for (*value = 0; *p >= '0' && *p <= '9'; p++) {
		if (p - text >= 18)
			return NULL;
		*value = *value * 10 + (uint64_t)(*p - '0');
	}
	return p == text ? NULL : p;
}

static int read_with_unit(const char *text, const struct unit *units, uint64_t *value)
{
	const char *rest = read_digits(text, value);

	for (; rest != NULL && units->word != NULL; units++)
		if (strcmp(rest, units->word) == 0)
			return __builtin_mul_overflow(*value, units->factor, value) ? -1 : 0;
	return -1;
}

static int read_choice(
	const struct option_choice *choices, const char *text, uint64_t *value, struct error *err)
{
	char words[200] = "";
	size_t len = 0;

	for (const struct option_choice *c = choices; c->word != NULL; c++) {
		if (strcmp(c->word, text) == 0) {
			*value = (uint64_t)c->value;
			return 0;
		}
		len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s",
			c == choices ? "" : ", ", c->word);
	}
	return error_set(err, "'%.100s' is not one of %s", text, words);
}

/* The largest unit that divides the value. */
static void write_with_unit(uint64_t value, const struct unit *units, char text[OPTION_NUMBER_SIZE])
{
	const struct unit *best = units;

	for (const struct unit *u = units; u->word != NULL; u++)
		if (value != 0 && value % u->factor == 0)
			best = u;
	snprintf(text, OPTION_NUMBER_SIZE, "%" PRIu64 "%s", value / best->factor, best->word);
}

void option_write_time(uint64_t time_ms, char text[OPTION_NUMBER_SIZE])
{
	write_with_unit(time_ms, time_units, text);
}

void option_write_size(uint64_t size, char text[OPTION_NUMBER_SIZE])
{
	write_with_unit(size, size_units, text);
}

const char *option_write_choice(const struct option *option, int value)
{
	for (const struct option_choice *c = option->choices; c->word != NULL; c++)
		if (c->value == value)
			return c->word;
	return "";
}

static int check_range(const struct option *option, const char *text, uint64_t value,
	const struct unit *units, struct error *err)
{
	char min[OPTION_NUMBER_SIZE], max[OPTION_NUMBER_SIZE];

	if (value >= option->min && value <= option->max)
		return 0;
	write_with_unit(option->min, units, min);
	write_with_unit(option->max, units, max);
	return error_set(
		err, "'%.100s' is out of range; from %s to %s is possible", text, min, max);
}

int option_read_number(
	const struct option *option, const char *text, uint64_t *value, struct error *err)
{
	static const struct unit no_unit[] = {{"", 1}, {NULL, 0}};

	switch (option->type) {
	case OPTION_COUNT:
		if (read_with_unit(text, no_unit, value) == -1)
			return error_set(err, "'%.100s' is not a number", text);
		return check_range(option, text, *value, no_unit, err);
	case OPTION_SIZE:
		if (read_with_unit(text, size_units, value) == -1)
			return error_set(err,
				"'%.100s' is not a size; write a number with B, kB, MB or GB, such "
				"as 20MB",
				text);
		return check_range(option, text, *value, size_units, err);
	case OPTION_TIME:
		if (read_with_unit(text, time_units, value) == -1)
			return error_set(err,
				"'%.100s' is not a time; write a number with ms, s, m, h or d, "
				"such as 20s",
				text);
		return check_range(option, text, *value, time_units, err);
	case OPTION_SWITCH: return read_choice(switches, text, value, err);
	case OPTION_CHOICE:
	case OPTION_CHOICES: return read_choice(option->choices, text, value, err);
	default: return error_set(err, "'%.100s' is not a number", text);
	}
}
