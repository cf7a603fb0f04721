/* Provision: the two steps of MS-ASPROV 3.1.5.1, and what happens to those who have not done them. */
#include <event2/util.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "serve.h"

static const char policy_type[] = "MS-EAS-Provisioning-WBXML";

static uint32_t policy_key_new(void)
{
	uint32_t key;

	do
		evutil_secure_rng_get_bytes(&key, sizeof(key));
	while (key == 0);
	return key;
}

/* Where each command's global Status stands. */
static void refuse_for_policy(struct call *call, unsigned int status)
{
	static const struct {
		const char *command;
		uint16_t root, status;
	} places[] = {
		{"Sync", WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_STATUS},
		{"FolderSync", WBXML_FOLDERHIERARCHY_FOLDERSYNC, WBXML_FOLDERHIERARCHY_STATUS},
		{"SendMail", WBXML_COMPOSEMAIL_SENDMAIL, WBXML_COMPOSEMAIL_STATUS},
		{"SmartForward", WBXML_COMPOSEMAIL_SMARTFORWARD, WBXML_COMPOSEMAIL_STATUS},
		{"SmartReply", WBXML_COMPOSEMAIL_SMARTREPLY, WBXML_COMPOSEMAIL_STATUS},
		{"GetItemEstimate", WBXML_GETITEMESTIMATE_GETITEMESTIMATE,
			WBXML_GETITEMESTIMATE_STATUS},
		{"Settings", WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_STATUS},
		{"ItemOperations", WBXML_ITEMOPERATIONS_ITEMOPERATIONS,
			WBXML_ITEMOPERATIONS_STATUS},
	};

	call->serve->stats.policy_refused++;
	for (size_t i = 0; call->query.version >= 140 && i < sizeof(places) / sizeof(places[0]);
		i++) {
		if (strcasecmp(places[i].command, call->query.command) == 0) {
			call_answer_root_status(call, places[i].root, places[i].status, status);
			return;
		}
	}
	call_answer_status(call, 449);
}

bool provision_allows(struct call *call)
{
	const struct query *query = &call->query;

	/* Ping carries no key; Provision is where one comes from. */
	if (!call->serve->options.requires_provision || strcasecmp(query->command, "Ping") == 0 ||
		strcasecmp(query->command, "Provision") == 0)
		return true;
	if (!query->has_policy_key || query->policy_key == 0 || call->device->policy_key == 0)
		refuse_for_policy(call, 142);
	else if (query->policy_key != call->device->policy_key)
		refuse_for_policy(call, 144);
	else
		return true;
	return false;
}

static void policy_document_write(struct call *call)
{
	static const struct {
		uint16_t tag;
		const char *value;
	} settings[] = {
		{WBXML_PROVISION_DEVICEPASSWORDENABLED, "1"},
		{WBXML_PROVISION_ATTACHMENTSENABLED, "1"},
		{WBXML_PROVISION_MINDEVICEPASSWORDLENGTH, "6"},
		{WBXML_PROVISION_MAXINACTIVITYTIMEDEVICELOCK, "900"},
	};

	wbxml_write_start(&call->writer, WBXML_PROVISION_DATA);
	wbxml_write_start(&call->writer, WBXML_PROVISION_EASPROVISIONDOC);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		wbxml_write_element(&call->writer, settings[i].tag, settings[i].value);
	wbxml_write_end(&call->writer);
	wbxml_write_end(&call->writer);
}

static void policy_write(struct call *call, unsigned int status, uint32_t key, bool has_document)
{
	wbxml_write_start(&call->writer, WBXML_PROVISION_POLICIES);
	wbxml_write_start(&call->writer, WBXML_PROVISION_POLICY);
	wbxml_write_element(&call->writer, WBXML_PROVISION_POLICYTYPE, policy_type);
	call_write_number(call, WBXML_PROVISION_STATUS, status);
	if (key != 0)
		call_write_number(call, WBXML_PROVISION_POLICYKEY, key);
	if (has_document)
		policy_document_write(call);
	wbxml_write_end(&call->writer);
	wbxml_write_end(&call->writer);
}

static void policy_offer(struct call *call, bool knows_type)
{
	bool has_information =
		document_child(&call->document, NULL, WBXML_SETTINGS_DEVICEINFORMATION) != NULL;

	if (call->query.version >= 141 && !has_information) {
		call_answer_root_status(
			call, WBXML_PROVISION_PROVISION, WBXML_PROVISION_STATUS, 165);
		return;
	}
	call->device->offered_policy_key = policy_key_new();
	call_begin(call, WBXML_PROVISION_PROVISION);
	if (has_information) {
		wbxml_write_start(&call->writer, WBXML_SETTINGS_DEVICEINFORMATION);
		wbxml_write_element(&call->writer, WBXML_SETTINGS_STATUS, "1");
		wbxml_write_end(&call->writer);
	}
	wbxml_write_element(&call->writer, WBXML_PROVISION_STATUS, "1");
	policy_write(call, knows_type ? 1 : 3, knows_type ? call->device->offered_policy_key : 0,
		knows_type);
	wbxml_write_end(&call->writer);
	call_answer(call);
}

static void policy_accept(struct call *call, uint64_t key)
{
	bool is_right = key == call->device->offered_policy_key;

	if (is_right) {
		call->device->policy_key = policy_key_new();
		call->device->offered_policy_key = 0;
	}
	call_begin(call, WBXML_PROVISION_PROVISION);
	wbxml_write_element(&call->writer, WBXML_PROVISION_STATUS, "1");
	policy_write(call, is_right ? 1 : 5, is_right ? call->device->policy_key : 0, false);
	wbxml_write_end(&call->writer);
	call_answer(call);
}

void provision_serve(struct call *call)
{
	static const uint16_t path[] = {WBXML_PROVISION_POLICIES, WBXML_PROVISION_POLICY, 0};
	const struct document_node *policy = document_path(&call->document, path);
	uint64_t key;
	char type[64];

	if (policy == NULL) {
		call_answer_root_status(call, WBXML_PROVISION_PROVISION, WBXML_PROVISION_STATUS, 2);
		return;
	}
	document_copy(&call->document, policy, WBXML_PROVISION_POLICYTYPE, type, sizeof(type));
	key = document_number(&call->document, policy, WBXML_PROVISION_POLICYKEY, 0);
	if (key != 0)
		policy_accept(call, key);
	else
		policy_offer(call, strcmp(type, policy_type) == 0);
}
