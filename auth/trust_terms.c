#include "auth/trust_terms.h"

#include <string.h>
#include <time.h>

#include "auth/trust_value.h"

enum { REASON_SIZE_MAX = 200 };

static const uint64_t GRACE_MS_MAX = UINT64_C(1000) * 3600 * 24 * 366;

static const struct option_choice check_choices[] = {{"chain", AUTHORITY_CHECK_CHAIN},
	{"leaf", AUTHORITY_CHECK_LEAF}, {"none", AUTHORITY_CHECK_NONE}, {NULL, 0}};
static const struct option_choice ocsp_choices[] = {{"off", AUTHORITY_OCSP_OFF},
	{"soft", AUTHORITY_OCSP_SOFT}, {"hard", AUTHORITY_OCSP_HARD}, {NULL, 0}};

const struct option trust_check_option = {
	.type = OPTION_CHOICE, .name = "revocationCheck", .choices = check_choices};
const struct option trust_ocsp_option = {
	.type = OPTION_CHOICE, .name = "ocsp", .choices = ocsp_choices};
static const struct option grace_option = {
	.type = OPTION_TIME, .name = "revocationGrace", .max = GRACE_MS_MAX};

static const char *const crl_schemes[] = {"http://", "file:/", "ldap://", NULL};
static const char *const ocsp_schemes[] = {"http://", NULL};

const struct option *trust_size_option(void)
{
	return option_find(SECTION_REVOCATION, "size-limit", strlen("size-limit"));
}

const struct option *trust_time_option(void)
{
	return option_find(SECTION_REVOCATION, "time-limit", strlen("time-limit"));
}

/* The two members of a location: of the authority's own, or of an object in the list of more. */
static void read_location(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct crl_location *location)
{
	location->url = trust_value_url(
		reader, members[TRUST_CRL], trust_member_name(TRUST_CRL), crl_schemes);
	location->delta_url = trust_value_url(
		reader, members[TRUST_DELTA_CRL], trust_member_name(TRUST_DELTA_CRL), crl_schemes);
	if (location->url != NULL && location->delta_url != NULL && location->url[0] == '\0' &&
		location->delta_url[0] != '\0')
		trust_reader_fault(reader, "%s: without %s", trust_member_name(TRUST_DELTA_CRL),
			trust_member_name(TRUST_CRL));
}

static void read_one_more(struct trust_reader *reader, json_t *object, struct authority *authority)
{
	struct crl_location *location = &authority->crls[authority->crl_count];
	json_t *members[TRUST_MEMBER_COUNT] = {NULL};
	const char *name;
	json_t *value;

	if (!json_is_object(object)) {
		trust_reader_fault(reader, "%s: must be a list of objects",
			trust_member_name(TRUST_MORE_CRLS));
		return;
	}
	json_object_foreach(object, name, value)
	{
		enum trust_member member = trust_member_find(name);

		if (member != TRUST_MEMBER_COUNT && member != TRUST_CRL &&
			member != TRUST_DELTA_CRL)
			trust_reader_fault(reader, "%s: %s does not belong there",
				trust_member_name(TRUST_MORE_CRLS), name);
	}
	trust_members_collect(reader, object, members);
	if (json_string_length(members[TRUST_CRL]) == 0) {
		trust_reader_fault(reader, "%s: %s: missing", trust_member_name(TRUST_MORE_CRLS),
			trust_member_name(TRUST_CRL));
		return;
	}
	read_location(reader, members, location);
	if (location->url == NULL || location->delta_url == NULL)
		return;
	for (size_t i = 0; i < authority->crl_count; i++)
		if (strcmp(authority->crls[i].url, location->url) == 0)
			trust_reader_fault(reader, "%s: %.256s: given twice",
				trust_member_name(TRUST_MORE_CRLS), location->url);
	authority->crl_count++;
}

static void read_locations(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct authority *authority)
{
	const char *name = trust_member_name(TRUST_MORE_CRLS);
	size_t faults_before = reader->fault_count;
	json_t *more = members[TRUST_MORE_CRLS];

	read_location(reader, members, &authority->crls[0]);
	if (reader->fault_count > faults_before)
		return;
	authority->crl_count = authority->crls[0].url[0] != '\0' ? 1 : 0;
	if (more == NULL)
		return;
	if (!json_is_array(more)) {
		trust_reader_fault(reader, "%s: must be a list of objects", name);
		return;
	}
	if (json_array_size(more) > 0 && authority->crl_count == 0) {
		trust_reader_fault(reader, "%s: without %s", name, trust_member_name(TRUST_CRL));
		return;
	}
	if (json_array_size(more) > CRL_LOCATION_MAX - 1) {
		trust_reader_fault(reader, "%s: %zu of them, of at most %d", name,
			json_array_size(more), CRL_LOCATION_MAX - 1);
		return;
	}
	/* The first fault ends it: a location that was not taken leaves no hole. */
	for (size_t i = 0; i < json_array_size(more) && reader->fault_count == faults_before; i++)
		read_one_more(reader, json_array_get(more, i), authority);
}

static void read_exemption(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct authority *authority)
{
	const char *until = trust_member_name(TRUST_EXEMPT_UNTIL);

	trust_value_moment(reader, members[TRUST_EXEMPT_UNTIL], until, &authority->exempt_until);
	authority->exempt_reason = trust_value_copy(reader, members[TRUST_EXEMPT_REASON],
		trust_member_name(TRUST_EXEMPT_REASON), REASON_SIZE_MAX);
	if (members[TRUST_EXEMPT_UNTIL] == NULL && members[TRUST_EXEMPT_REASON] != NULL)
		trust_reader_fault(
			reader, "%s: without %s", trust_member_name(TRUST_EXEMPT_REASON), until);
	if (authority->exempt_until != 0 && authority->exempt_until <= (int64_t)time(NULL))
		trust_reader_warn(reader, "%s: is over", until);
}

static void read_limits(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct authority *authority)
{
	const char *grace = trust_member_name(TRUST_GRACE);
	uint64_t grace_ms = 0;
	uint64_t time_ms = 0;

	trust_value_number(reader, members[TRUST_GRACE], grace, &grace_option, &grace_ms);
	if (grace_ms % 1000 != 0)
		trust_reader_fault(reader, "%s: must be whole seconds", grace);
	authority->grace_s = (uint32_t)(grace_ms / 1000);
	trust_value_number(reader, members[TRUST_CRL_SIZE_LIMIT],
		trust_member_name(TRUST_CRL_SIZE_LIMIT), trust_size_option(),
		&authority->crl_size_limit);
	trust_value_number(reader, members[TRUST_CRL_TIME_LIMIT],
		trust_member_name(TRUST_CRL_TIME_LIMIT), trust_time_option(), &time_ms);
	authority->crl_time_limit_ms = (uint32_t)time_ms;
}

static void read_checks(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct authority *authority)
{
	const char *ocsp_url = trust_member_name(TRUST_OCSP_URL);
	uint64_t check = AUTHORITY_CHECK_CHAIN;
	uint64_t ocsp = AUTHORITY_OCSP_OFF;

	trust_value_number(reader, members[TRUST_CHECK], trust_member_name(TRUST_CHECK),
		&trust_check_option, &check);
	trust_value_number(reader, members[TRUST_OCSP], trust_member_name(TRUST_OCSP),
		&trust_ocsp_option, &ocsp);
	authority->check = (enum authority_check)check;
	authority->ocsp = (enum authority_ocsp)ocsp;
	authority->ocsp_url =
		trust_value_url(reader, members[TRUST_OCSP_URL], ocsp_url, ocsp_schemes);
	if (authority->check == AUTHORITY_CHECK_NONE && authority->ocsp != AUTHORITY_OCSP_OFF)
		trust_reader_fault(reader, "%s: contradicts %s none", trust_member_name(TRUST_OCSP),
			trust_member_name(TRUST_CHECK));
}

static const enum trust_member crl_members[] = {
	TRUST_GRACE, TRUST_CRL_SIZE_LIMIT, TRUST_CRL_TIME_LIMIT};

static void warn_of_vain_members(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	const struct authority *authority)
{
	for (size_t i = 0; i < sizeof(crl_members) / sizeof(crl_members[0]); i++)
		if (members[crl_members[i]] != NULL && authority->crl_count == 0)
			trust_reader_warn(reader, "%s: says nothing without %s",
				trust_member_name(crl_members[i]), trust_member_name(TRUST_CRL));
	if (authority->ocsp == AUTHORITY_OCSP_OFF && authority->ocsp_url[0] != '\0')
		trust_reader_warn(reader, "%s: says nothing while %s is off",
			trust_member_name(TRUST_OCSP_URL), trust_member_name(TRUST_OCSP));
}

int trust_terms_read(struct trust_reader *reader, json_t *members[TRUST_MEMBER_COUNT],
	struct authority *authority)
{
	size_t faults_before = reader->fault_count;

	read_locations(reader, members, authority);
	read_exemption(reader, members, authority);
	read_limits(reader, members, authority);
	read_checks(reader, members, authority);
	if (reader->fault_count > faults_before)
		return -1;
	warn_of_vain_members(reader, members, authority);
	return 0;
}
