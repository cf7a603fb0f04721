/*
 * What a phone does when it is told something other than what it has asked for. As MS-ASPROV 3.1.5.1
 * and MS-ASHTTP 3.1.5 have it, and, where they are silent, as the mail program of AOSP does.
 *
 *	449, Status 142 to 144	provision, then ask the same again
 *	403			the same, once; then it gives up, blocked
 *	Status 140		Provision with key 0 and an empty root
 *	RemoteWipe		acknowledge and wipe; or what --wipe says
 *	Status 123, 125, 126, 129, 130, 131, 177	blocked
 *	401			asks its user for the password, and stops
 *	451			asks again where X-MS-Location says; elsewhere it has left us
 *	Status 110, 111		comes again later, as after a 503
 */
#include <stdio.h>
#include <string.h>

#include "fleet.h"

enum { TOLD_MAX = 8, MOVES_MAX = 3 };

static const struct {
	const char *name;
	const char *words;
} fates[PHONE_FATE_COUNT] = {
	[FATE_NONE] = {"none", "goes on"},
	[FATE_WIPED] = {"wiped", "is wiped, all of it"},
	[FATE_ACCOUNT_WIPED] = {"account-wiped", "is wiped of its account"},
	[FATE_WIPE_REFUSED] = {"wipe-refused", "has refused to be wiped"},
	[FATE_WIPE_IGNORED] = {"wipe-ignored", "has not heeded the order to wipe"},
	[FATE_BLOCKED] = {"blocked", "is blocked"},
	[FATE_PASSWORD] = {"password", "asks its user for a password"},
	[FATE_MOVED] = {"moved", "has gone to another server"},
};

const char *phone_fate_name(enum phone_fate fate)
{
	return fates[fate].name;
}

const char *phone_fate_words(enum phone_fate fate)
{
	return fates[fate].words;
}

static int phone_ends(struct phone *phone, enum phone_fate fate, const char *why)
{
	snprintf(phone->fleet->fate_text, sizeof(phone->fleet->fate_text), "%.*s",
		(int)sizeof(phone->fleet->fate_text) - 1, why);
	phone->fate = (uint8_t)fate;
	return PHONE_ENDED;
}

/* Once more, but not for ever. */
static int phone_is_told(struct phone *phone, const char *what)
{
	phone_say(phone, "told %s", what);
	if (++phone->told <= TOLD_MAX)
		return PHONE_TOLD;
	phone_wrong(phone, "told the same over and over", what);
	return PHONE_WRONG;
}

static int provision_first(struct phone *phone, const char *what, bool is_wipe)
{
	if (phone->step != PHONE_PROVISION && phone->step != PHONE_ACKNOWLEDGE)
		phone->resume = phone->step;
	phone->has_wipe_order = is_wipe;
	phone->policy_key = 0;
	phone->step = PHONE_PROVISION;
	return phone_is_told(phone, what);
}

/* X-MS-Location: only over TLS, where we use TLS, and only so often. */
static int follow_location(struct phone *phone, const struct http_head *head)
{
	struct fleet *fleet = phone->fleet;
	const char *scheme = fleet->is_tls ? "https://" : "http://";
	char here[600], text[600];
	struct span location;

	if (http_field_find(head, "X-MS-Location", &location) != 1)
		return phone_ends(phone, FATE_MOVED, "451 without X-MS-Location: Autodiscover");
	snprintf(text, sizeof(text), "%.*s", SPAN_PRINT(location));
	snprintf(here, sizeof(here), "%s%s%s", scheme, fleet->authority, fleet->path);
	if (strcmp(text, here) != 0)
		return phone_ends(phone, FATE_MOVED, text);
	if (++phone->moves <= MOVES_MAX)
		return phone_is_told(phone, "to ask where it asks");
	phone_wrong(phone, "sent round in a circle", text);
	return PHONE_WRONG;
}

int phone_hear_http(struct phone *phone, const struct http_head *head)
{
	switch (head->status) {
	case 401: return phone_ends(phone, FATE_PASSWORD, "HTTP 401");
	case 403:
		if (phone->has_provisioned_for_403)
			return phone_ends(phone, FATE_BLOCKED, "HTTP 403");
		phone->has_provisioned_for_403 = true;
		if (phone->step == PHONE_OPTIONS || phone->step == PHONE_PROVISION ||
			phone->step == PHONE_ACKNOWLEDGE)
			return phone_ends(phone, FATE_BLOCKED, "HTTP 403");
		return provision_first(phone, "HTTP 403", false);
	case 449: return provision_first(phone, "HTTP 449", false);
	case 451: return follow_location(phone, head);
	default: return PHONE_UNTOLD;
	}
}

/* The place of the global Status of each root that is asked for here. */
static uint64_t global_status(const struct document *document)
{
	static const struct {
		uint16_t root, status;
	} places[] = {
		{WBXML_AIRSYNC_SYNC, WBXML_AIRSYNC_STATUS},
		{WBXML_FOLDERHIERARCHY_FOLDERSYNC, WBXML_FOLDERHIERARCHY_STATUS},
		{WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_STATUS},
		{WBXML_PROVISION_PROVISION, WBXML_PROVISION_STATUS},
		{WBXML_PING_PING, WBXML_PING_STATUS},
		{WBXML_ITEMOPERATIONS_ITEMOPERATIONS, WBXML_ITEMOPERATIONS_STATUS},
		{WBXML_COMPOSEMAIL_SENDMAIL, WBXML_COMPOSEMAIL_STATUS},
	};
	uint16_t root = document_root_tag(document);

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i].root == root)
			return document_number(document, NULL, places[i].status, 0);
	return 0;
}

/* The folders are others than it thinks (Sync 12, Ping 7); or all of them are (FolderSync 9). */
static int hear_about_folders(struct phone *phone, uint16_t root, uint64_t status)
{
	if ((root == WBXML_AIRSYNC_SYNC && status == 12) ||
		(root == WBXML_PING_PING && status == 7)) {
		phone->step = PHONE_FOLDERS;
		return phone_is_told(phone, "that its folders have changed");
	}
	if (root == WBXML_FOLDERHIERARCHY_FOLDERSYNC && status == 9 &&
		phone->folder_key[0] != '\0') {
		phone->folder_key[0] = '\0';
		phone->sync_key[0] = '\0';
		phone->attachment[0] = '\0';
		phone->newest = 0;
		return phone_is_told(phone, "to begin with its folders anew");
	}
	return PHONE_UNTOLD;
}

static int come_later(struct phone *phone, const char *what, uint32_t *pause_s)
{
	char example[256];

	*pause_s = 1;
	snprintf(example, sizeof(example), "%s to %s of %s", what, phone_step_name(phone),
		phone->user->name);
	tally_add(&phone->fleet->tally.trouble, "the server says: later", example);
	return PHONE_LATER;
}

int phone_hear_status(struct phone *phone, const struct document *document, uint32_t *pause_s)
{
	uint64_t status = global_status(document);
	char text[64];

	if (status <= 100)
		return hear_about_folders(phone, document_root_tag(document), status);
	snprintf(text, sizeof(text), "Status %llu", (unsigned long long)status);
	if (phone->fleet->options.version < 140) {
		phone_wrong(phone, "a Status that its version does not know", text);
		return PHONE_WRONG;
	}
	switch (status) {
	case 123:
	case 125:
	case 126:
	case 129:
	case 130:
	case 131:
	case 177: return phone_ends(phone, FATE_BLOCKED, text);
	case 140: return provision_first(phone, text, true);
	case 142:
	case 143:
	case 144: return provision_first(phone, text, false);
	case 110:
	case 111: return come_later(phone, text, pause_s);
	default: return PHONE_UNTOLD;
	}
}

/* An order to wipe, in the answer to Provision. */
static int obey(struct phone *phone, bool is_account)
{
	phone->wipes_account = is_account;
	switch (phone->fleet->options.wipe_manner) {
	case WIPE_OBEY:
	case WIPE_REFUSE: phone->step = PHONE_WIPE; break;
	case WIPE_IGNORE:
		if (++phone->ignored > 2)
			return phone_ends(phone, FATE_WIPE_IGNORED, "told three times");
		phone->step = phone->resume != 0 ? phone->resume : PHONE_FOLDERS;
		break;
	}
	return phone_is_told(phone, is_account ? "to wipe the account" : "to wipe all");
}

int phone_hear_wipe(struct phone *phone, const struct document *document)
{
	bool is_account =
		document_child(document, NULL, WBXML_PROVISION_ACCOUNTONLYREMOTEWIPE) != NULL;

	if (phone->step == PHONE_WIPE || document_root_tag(document) != WBXML_PROVISION_PROVISION ||
		(!is_account && document_child(document, NULL, WBXML_PROVISION_REMOTEWIPE) == NULL))
		return PHONE_UNTOLD;
	if (document_number(document, NULL, WBXML_PROVISION_STATUS, 0) != 1) {
		phone_wrong(phone, "an order to wipe without Status 1", "Provision");
		return PHONE_WRONG;
	}
	/* It would be an unknown element to it: MS-ASPROV 2.2.2.1 has it of 16.1. */
	if (is_account && phone->fleet->options.version < 161) {
		phone_wrong(phone, "AccountOnlyRemoteWipe before 16.1", "Provision");
		return PHONE_WRONG;
	}
	return obey(phone, is_account);
}

/* It wipes at once and does not wait for the answer, which may be lost. */
int phone_wipe(struct phone *phone)
{
	bool is_account = phone->wipes_account;

	if (phone->fleet->options.wipe_manner == WIPE_REFUSE)
		return phone_ends(phone, FATE_WIPE_REFUSED, "acknowledged with Status 2");
	phone->policy_key = phone->offered_policy_key = 0;
	phone->sync_key[0] = phone->folder_key[0] = phone->inbox[0] = phone->attachment[0] = '\0';
	phone->newest = 0;
	return phone_ends(
		phone, is_account ? FATE_ACCOUNT_WIPED : FATE_WIPED, "acknowledged with Status 1");
}
