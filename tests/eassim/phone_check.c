/* Whether an answer is right: HTTP first, then the document, then what it says. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

enum { PAUSE_MAX_S = 60 };

/* Everything about an answer that a check may look at. */
struct check {
	struct phone *phone;
	const struct line_answer *answer;
	struct document document;
	char detail[256];
};

static int wrong(struct check *check, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(struct check *check, const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(check->detail, sizeof(check->detail), format, args);
	va_end(args);
	phone_wrong(check->phone, what, check->detail);
	return PHONE_WRONG;
}

/* The root must be the one expected and its Status 1. */
static int check_root(struct check *check, uint16_t root, uint16_t status_tag)
{
	uint16_t found = document_root_tag(&check->document);
	uint64_t status;

	if (found != root)
		return wrong(check, "another document than asked for", "root %04x, not %04x", found,
			root);
	status = document_number(&check->document, NULL, status_tag, 0);
	if (status != 1)
		return wrong(check, "Status is not 1", "Status %llu", (unsigned long long)status);
	return PHONE_RIGHT;
}

static int check_options(struct check *check)
{
	struct phone *phone = check->phone;
	const struct http_head *head = check->answer->head;
	unsigned int version = phone->fleet->options.version;
	char wanted[16];
	struct span versions;

	snprintf(wanted, sizeof(wanted), "%u.%u", version / 10, version % 10);
	if (!http_field_has_token(head, "MS-ASProtocolVersions", wanted))
		return wrong(check, "OPTIONS does not offer the version", "wanted %s", wanted);
	if (!http_field_has_token(head, "MS-ASProtocolCommands", "Sync"))
		return wrong(check, "OPTIONS does not offer Sync", "MS-ASProtocolCommands");
	http_field_find(head, "MS-ASProtocolVersions", &versions);
	phone_say(phone, "versions %.*s", SPAN_PRINT(versions));
	phone->step = PHONE_PROVISION;
	return PHONE_RIGHT;
}

/* On with what it was asking when it was told to provision. */
static void provision_done(struct phone *phone)
{
	phone->step = phone->resume != 0 ? phone->resume : PHONE_FOLDERS;
	phone->resume = 0;
	phone->has_wipe_order = false;
}

/* The answer to the acknowledgement of a wipe: Status 1; to one that says that it failed the order
 * again with Status 2, or 1 as servers up to Exchange 2010 have it. */
static int check_wipe(struct check *check)
{
	struct phone *phone = check->phone;
	uint64_t status = document_number(&check->document, NULL, WBXML_PROVISION_STATUS, 0);

	if (document_root_tag(&check->document) != WBXML_PROVISION_PROVISION ||
		!(status == 1 || (status == 2 && phone->fleet->options.wipe_manner == WIPE_REFUSE)))
		wrong(check, "the acknowledgement of a wipe is not taken", "Status %llu",
			(unsigned long long)status);
	return phone_wipe(phone);
}

static int check_provision(struct check *check)
{
	static const uint16_t path[] = {WBXML_PROVISION_POLICIES, WBXML_PROVISION_POLICY, 0};
	struct phone *phone = check->phone;
	const struct document *document = &check->document;
	const struct document_node *policy;
	uint64_t key, status;

	if (check_root(check, WBXML_PROVISION_PROVISION, WBXML_PROVISION_STATUS) != PHONE_RIGHT)
		return PHONE_WRONG;
	policy = document_path(document, path);
	if (policy == NULL)
		return wrong(check, "Provision without a policy", "no Policies/Policy");
	status = document_number(document, policy, WBXML_PROVISION_STATUS, 0);
	key = document_number(document, policy, WBXML_PROVISION_POLICYKEY, 0);
	if (status == 2 && phone->step == PHONE_PROVISION) {
		phone_say(phone, "no policy for this phone");
		provision_done(phone);
		return PHONE_RIGHT;
	}
	if (status != 1 || key == 0 || key > UINT32_MAX)
		return wrong(check, "Provision gives no policy key", "policy Status %llu, key %llu",
			(unsigned long long)status, (unsigned long long)key);
	if (phone->step == PHONE_ACKNOWLEDGE && key == phone->offered_policy_key)
		return wrong(check, "the policy key did not change", "key %llu",
			(unsigned long long)key);
	phone_say(phone, "policy key %llu%s", (unsigned long long)key,
		phone->step == PHONE_PROVISION ? ", to be acknowledged" : "");
	if (phone->step == PHONE_PROVISION)
		phone->offered_policy_key = (uint32_t)key;
	else
		phone->policy_key = (uint32_t)key;
	if (phone->step == PHONE_PROVISION)
		phone->step = PHONE_ACKNOWLEDGE;
	else
		provision_done(phone);
	return PHONE_RIGHT;
}

static int check_folders(struct check *check)
{
	struct phone *phone = check->phone;
	const struct document *document = &check->document;
	const struct document_node *changes, *add;
	unsigned int count = 0;

	if (check_root(check, WBXML_FOLDERHIERARCHY_FOLDERSYNC, WBXML_FOLDERHIERARCHY_STATUS) !=
		PHONE_RIGHT)
		return PHONE_WRONG;
	/* With a key it is told what has changed, which may be nothing. */
	if (phone->folder_key[0] == '\0')
		phone->inbox[0] = '\0';
	changes = document_child(document, NULL, WBXML_FOLDERHIERARCHY_CHANGES);
	if (changes == NULL)
		return wrong(check, "FolderSync without folders", "no Changes");
	for (add = document_child(document, changes, WBXML_FOLDERHIERARCHY_ADD); add != NULL;
		add = document_next(document, add), count++)
		if (document_number(document, add, WBXML_FOLDERHIERARCHY_TYPE, 0) == 2)
			document_copy(document, add, WBXML_FOLDERHIERARCHY_SERVERID, phone->inbox,
				sizeof(phone->inbox));
	if (phone->inbox[0] == '\0')
		return wrong(check, "FolderSync without an inbox", "%u folders", count);
	if (document_number(document, changes, WBXML_FOLDERHIERARCHY_COUNT, count) != count)
		return wrong(check, "FolderSync counts wrong", "%u folders", count);
	phone_say(phone, "%u folders, the inbox is %s", count, phone->inbox);
	document_copy(document, NULL, WBXML_FOLDERHIERARCHY_SYNCKEY, phone->folder_key,
		sizeof(phone->folder_key));
	phone->step = phone->fleet->options.is_foreign ? PHONE_SYNC_START : PHONE_SETTINGS;
	return PHONE_RIGHT;
}

/* The name that the server was told is the whole address or its local part. */
static bool is_own_name(const struct phone *phone, struct span name)
{
	const char *mailbox = phone->user->mailbox;
	const char *at = strchr(mailbox, '@');
	char local[321];

	snprintf(local, sizeof(local), "%.*s", (int)(at != NULL ? at - mailbox : 320), mailbox);
	return span_equal_nocase(name, mailbox) || span_equal_nocase(name, local);
}

static int check_settings(struct check *check)
{
	struct phone *phone = check->phone;
	const struct document *document = &check->document;
	static const uint16_t to_get[] = {WBXML_SETTINGS_USERINFORMATION, WBXML_SETTINGS_GET, 0};
	const struct document_node *node, *inner;
	struct span name;

	if (check_root(check, WBXML_SETTINGS_SETTINGS, WBXML_SETTINGS_STATUS) != PHONE_RIGHT)
		return PHONE_WRONG;
	node = document_path(document, to_get);
	inner = node != NULL ? document_child(document, node, WBXML_SETTINGS_ACCOUNTS) : NULL;
	if (inner != NULL)
		node = document_child(document, inner, WBXML_SETTINGS_ACCOUNT);
	if (node != NULL)
		node = document_child(document, node, WBXML_SETTINGS_EMAILADDRESSES);
	if (node != NULL)
		node = document_child(document, node, WBXML_SETTINGS_SMTPADDRESS);
	name = document_text(document, node);
	if (!is_own_name(phone, name))
		return wrong(check, "the server takes the phone for someone else",
			"it is %s, the server says %.*s", phone->user->mailbox, SPAN_PRINT(name));
	phone_say(phone, "the server knows me as %.*s", SPAN_PRINT(name));
	phone->step = PHONE_SYNC_START;
	return PHONE_RIGHT;
}

/* After a Sync: more of it, the attachment once, or sleep. */
static void sync_done(struct phone *phone, bool has_more)
{
	if (phone->step == PHONE_SYNC_START || has_more)
		phone->step = PHONE_SYNC;
	else if (!phone->has_fetched && phone->attachment[0] != '\0')
		phone->step = PHONE_FETCH;
	else
		phone->step = PHONE_PING;
}

static int check_sync(struct check *check)
{
	static const uint16_t path[] = {WBXML_AIRSYNC_COLLECTIONS, WBXML_AIRSYNC_COLLECTION, 0};
	struct phone *phone = check->phone;
	const struct document *document = &check->document;
	const struct document_node *collection, *commands, *add;
	char key[SYNC_KEY_MAX + 1], id[32];
	uint64_t status;
	unsigned int mails = 0;
	bool has_more;

	if (check->answer->content.len == 0 && phone->step != PHONE_SYNC_START) {
		phone_say(phone, "nothing new");
		sync_done(phone, false);
		return PHONE_RIGHT;
	}
	if (document_root_tag(document) != WBXML_AIRSYNC_SYNC)
		return wrong(check, "another document than asked for", "root %04x",
			document_root_tag(document));
	collection = document_path(document, path);
	status = document_number(document, collection, WBXML_AIRSYNC_STATUS, 0);
	if (collection == NULL || status != 1) {
		if (collection == NULL || status == 3)
			phone->sync_key[0] = '\0';
		return wrong(check, "Status is not 1", "Sync Status %llu for key %s",
			(unsigned long long)status, phone->sync_key);
	}
	document_copy(document, collection, WBXML_AIRSYNC_COLLECTIONID, id, sizeof(id));
	if (strcmp(id, phone->inbox) != 0)
		return wrong(check, "Sync of another folder", "%s, not %s", id, phone->inbox);
	document_copy(document, collection, WBXML_AIRSYNC_SYNCKEY, key, sizeof(key));
	if (key[0] == '\0' || strcmp(key, "0") == 0 || strlen(key) >= SYNC_KEY_MAX ||
		strcmp(key, phone->sync_key) == 0)
		return wrong(
			check, "the SyncKey does not advance", "%s after %s", key, phone->sync_key);
	commands = document_child(document, collection, WBXML_AIRSYNC_COMMANDS);
	add = commands != NULL ? document_child(document, commands, WBXML_AIRSYNC_ADD) : NULL;
	for (; add != NULL; add = document_next(document, add), mails++)
		if (phone_check_mail(phone, document, add) != PHONE_RIGHT)
			return PHONE_WRONG;
	has_more = document_child(document, collection, WBXML_AIRSYNC_MOREAVAILABLE) != NULL;
	memcpy(phone->sync_key, key, strlen(key) + 1); /* it fits: checked above */
	phone_say(phone, "%u new mails%s, key %s", mails, has_more ? ", more to come" : "", key);
	sync_done(phone, has_more);
	return PHONE_RIGHT;
}

static int check_ping(struct check *check)
{
	struct phone *phone = check->phone;
	const struct document *document = &check->document;
	const struct document_node *folders, *folder;
	uint64_t status = document_number(document, NULL, WBXML_PING_STATUS, 0);
	uint64_t slept_us = now_us() - phone->asked_us;
	uint64_t heartbeat;

	if (document_root_tag(document) != WBXML_PING_PING)
		return wrong(check, "another document than asked for", "root %04x",
			document_root_tag(document));
	if (status == 1) {
		if (slept_us > (uint64_t)phone->heartbeat_s * 1000000)
			tally_time(&phone->fleet->tally, TALLY_PING_LATE,
				slept_us - (uint64_t)phone->heartbeat_s * 1000000);
		phone_say(phone, "nothing in %.1f s", (double)slept_us / 1e6);
		return PHONE_RIGHT;
	}
	if (status == 5) {
		heartbeat = document_number(document, NULL, WBXML_PING_HEARTBEATINTERVAL, 0);
		if (heartbeat == 0 || heartbeat > 86400 || heartbeat == phone->heartbeat_s)
			return wrong(check, "Ping Status 5 without a better interval", "%llu",
				(unsigned long long)heartbeat);
		phone->heartbeat_s = (uint32_t)heartbeat;
		phone_say(phone, "the server wants a heartbeat of %u s", phone->heartbeat_s);
		return PHONE_RIGHT;
	}
	folders = status == 2 ? document_child(document, NULL, WBXML_PING_FOLDERS) : NULL;
	folder = folders != NULL ? document_child(document, folders, WBXML_PING_FOLDER) : NULL;
	if (folder == NULL ||
		!span_equal(document_text(document, folder), span_of_string(phone->inbox)))
		return wrong(check, "Ping Status is neither 1 nor 2 with the inbox", "Status %llu",
			(unsigned long long)status);
	phone_say(phone, "mail after %.1f s", (double)slept_us / 1e6);
	phone->step = PHONE_SYNC;
	return PHONE_RIGHT;
}

static int check_send(struct check *check)
{
	struct phone *phone = check->phone;
	uint64_t status = document_number(&check->document, NULL, WBXML_COMPOSEMAIL_STATUS, 0);

	/* 118, sent already, is right where the answer to the first try was lost. */
	if (check->answer->content.len > 0 && !(status == 118 && phone->may_have_been_sent))
		return wrong(check, "SendMail was not accepted", "Status %llu",
			(unsigned long long)status);
	phone->fleet->letters[phone->letter].is_accepted = true;
	phone->letter = NO_LETTER;
	phone->may_have_been_sent = false;
	phone_say(phone, "sent");
	phone->step = PHONE_SYNC;
	return PHONE_RIGHT;
}

/* 200 with a document of the right type; or "later". */
static int check_http(struct check *check, uint32_t *pause_s)
{
	const struct http_head *head = check->answer->head;
	struct span value;
	char seconds[16];
	int told = phone_hear_http(check->phone, head);

	if (told != PHONE_UNTOLD)
		return told;

	if (head->status == 502 || head->status == 503 || head->status == 504) {
		*pause_s = 1;
		if (http_field_find(head, "Retry-After", &value) == 1 &&
			value.len < sizeof(seconds)) {
			snprintf(seconds, sizeof(seconds), "%.*s", SPAN_PRINT(value));
			*pause_s = (uint32_t)strtoul(seconds, NULL, 10);
		}
		if (*pause_s > PAUSE_MAX_S)
			*pause_s = PAUSE_MAX_S;
		snprintf(check->detail, sizeof(check->detail), "HTTP %u to %s of %s", head->status,
			phone_step_name(check->phone), check->phone->user->name);
		tally_add(&check->phone->fleet->tally.trouble, "the server says: later",
			check->detail);
		return PHONE_LATER;
	}
	if (head->status != 200)
		return wrong(check, "an HTTP status that is not 200", "HTTP %u %.*s", head->status,
			SPAN_PRINT(head->reason));
	if (check->answer->content.len == 0 || check->phone->step == PHONE_FETCH)
		return PHONE_RIGHT;
	if (http_field_find(head, "Content-Type", &value) != 1 ||
		!(span_equal_nocase(value, "application/vnd.ms-sync.wbxml") ||
			span_equal_nocase(value, "application/vnd.ms-sync")))
		return wrong(check, "an answer that is not WBXML", "Content-Type %.*s",
			SPAN_PRINT(value));
	return PHONE_RIGHT;
}

static int check_step(struct check *check)
{
	switch (check->phone->step) {
	case PHONE_OPTIONS: return check_options(check);
	case PHONE_PROVISION:
	case PHONE_ACKNOWLEDGE: return check_provision(check);
	case PHONE_FOLDERS: return check_folders(check);
	case PHONE_SETTINGS: return check_settings(check);
	case PHONE_SYNC_START:
	case PHONE_SYNC: return check_sync(check);
	case PHONE_FETCH: return phone_check_fetch(check->phone, check->answer);
	case PHONE_PING:
		return check->phone->fleet->options.polls_with_sync ? check_sync(check)
								    : check_ping(check);
	case PHONE_WIPE: return check_wipe(check);
	default: return check_send(check);
	}
}

/* PHONE_RIGHT: it is told nothing else. */
static int check_told(struct check *check, uint32_t *pause_s)
{
	int told = phone_hear_wipe(check->phone, &check->document);

	if (told == PHONE_UNTOLD)
		told = phone_hear_status(check->phone, &check->document, pause_s);
	return told == PHONE_UNTOLD ? PHONE_RIGHT : told;
}

int phone_check(struct phone *phone, const struct line_answer *answer, uint32_t *pause_s)
{
	struct check check = {.phone = phone, .answer = answer};
	struct error err = {""};
	int result = check_http(&check, pause_s);

	if (result == PHONE_RIGHT && answer->content.len > 0 && phone->step != PHONE_FETCH &&
		document_read(&check.document, answer->content, &err) != 0)
		result = wrong(&check, "malformed WBXML", "%s", err.text);
	if (result == PHONE_RIGHT && check.document.count > 0)
		result = check_told(&check, pause_s);
	if (result == PHONE_RIGHT)
		result = check_step(&check);
	document_free(&check.document);
	return result;
}
