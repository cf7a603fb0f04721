/* What a phone asks: the request of each step, head and body. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "fleet.h"

enum { HEAD_MAX = 4096, REQUEST_MAX = 64 * 1024 };

static const struct {
	const char *command;
	uint8_t code;
	bool carries_key; /* X-MS-PolicyKey; Ping and OPTIONS do not */
} steps[PHONE_STEP_COUNT] = {
	[PHONE_OPTIONS] = {NULL, 0, false},
	[PHONE_PROVISION] = {"Provision", 20, true},
	[PHONE_ACKNOWLEDGE] = {"Provision", 20, true},
	[PHONE_FOLDERS] = {"FolderSync", 9, true},
	[PHONE_SETTINGS] = {"Settings", 17, true},
	[PHONE_SYNC_START] = {"Sync", 0, true},
	[PHONE_SYNC] = {"Sync", 0, true},
	[PHONE_FETCH] = {"ItemOperations", 19, true},
	[PHONE_PING] = {"Ping", 18, false},
	[PHONE_SEND] = {"SendMail", 1, true},
	[PHONE_WIPE] = {"Provision", 20, true},
};

void phone_device_id(const struct phone *phone, char text[33])
{
	snprintf(text, 33, "eassim%08x%06u", phone->fleet->options.seed, phone->number);
}

static bool phone_wants_multipart(const struct phone *phone)
{
	return phone->step == PHONE_FETCH && phone->number % 2 == 1;
}

static bool phone_polls_with_sync(const struct phone *phone)
{
	return phone->step == PHONE_PING && phone->fleet->options.polls_with_sync;
}

static uint32_t phone_current_key(const struct phone *phone)
{
	if (phone->step == PHONE_PROVISION || phone->step == PHONE_WIPE)
		return 0;
	return phone->step == PHONE_ACKNOWLEDGE ? phone->offered_policy_key : phone->policy_key;
}

static void percent_encode(const char *text, char *out, size_t size)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t at = 0;

	out[0] = '\0';
	for (; *text != '\0' && at + 4 < size; text++)
		at += (size_t)snprintf(out + at, size - at,
			strchr(plain, *text) != NULL ? "%c" : "%%%02X", (unsigned char)*text);
}

static void plain_query_write(
	const struct phone *phone, const char *command, char *out, size_t size)
{
	char user[3 * 320 + 1], id[33];

	percent_encode(phone->user->mailbox, user, sizeof(user));
	phone_device_id(phone, id);
	snprintf(out, size, "Cmd=%s&User=%s&DeviceId=%s&DeviceType=eassim%s", command, user, id,
		phone->step == PHONE_SEND && phone->fleet->options.version < 140 ? "&SaveInSent=T"
										 : "");
}

static size_t counted_write(uint8_t *bytes, const void *data, size_t len)
{
	bytes[0] = (uint8_t)len;
	memcpy(bytes + 1, data, len);
	return len + 1;
}

static void base64_query_write(const struct phone *phone, uint8_t code, bool carries_key, char *out)
{
	uint8_t bytes[512] = {(uint8_t)phone->fleet->options.version, code, 0x09, 0x04};
	const uint32_t key = phone_current_key(phone);
	const uint8_t key_bytes[4] = {
		(uint8_t)key, (uint8_t)(key >> 8), (uint8_t)(key >> 16), (uint8_t)(key >> 24)};
	uint8_t options = 0;
	char id[33];
	size_t at = 4, user_len = strlen(phone->user->mailbox);

	phone_device_id(phone, id);
	at += counted_write(bytes + at, id, strlen(id));
	at += counted_write(bytes + at, key_bytes, carries_key ? 4 : 0);
	at += counted_write(bytes + at, "eassim", 6);
	options = phone_wants_multipart(phone) ? 2 : phone->step == PHONE_SEND ? 1 : 0;
	if (options != 0) {
		bytes[at++] = 7;
		at += counted_write(bytes + at, &options, 1);
	}
	if (user_len <= 255) {
		bytes[at++] = 8;
		at += counted_write(bytes + at, phone->user->mailbox, user_len);
	}
	EVP_EncodeBlock((unsigned char *)out, bytes, (int)at);
}

static void policies_write(struct phone *phone, struct wbxml_writer *writer)
{
	char key[16];

	wbxml_write_start(writer, WBXML_PROVISION_POLICIES);
	wbxml_write_start(writer, WBXML_PROVISION_POLICY);
	wbxml_write_element(writer, WBXML_PROVISION_POLICYTYPE, "MS-EAS-Provisioning-WBXML");
	if (phone->step == PHONE_ACKNOWLEDGE) {
		snprintf(key, sizeof(key), "%u", phone->offered_policy_key);
		wbxml_write_element(writer, WBXML_PROVISION_POLICYKEY, key);
		wbxml_write_element(writer, WBXML_PROVISION_STATUS, "1");
	}
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static void acknowledgement_write(struct phone *phone, struct wbxml_writer *writer)
{
	bool refuses = phone->fleet->options.wipe_manner == WIPE_REFUSE;

	wbxml_write_start(writer, phone->wipes_account ? WBXML_PROVISION_ACCOUNTONLYREMOTEWIPE
						       : WBXML_PROVISION_REMOTEWIPE);
	wbxml_write_element(writer, WBXML_PROVISION_STATUS, refuses ? "2" : "1");
	wbxml_write_end(writer);
}

static void provision_write(struct phone *phone, struct wbxml_writer *writer)
{
	wbxml_write_start(writer, WBXML_PROVISION_PROVISION);
	if (phone->step == PHONE_WIPE)
		acknowledgement_write(phone, writer);
	/* Told to wipe, it asks with an empty root; some phones with their ordinary request. */
	if (phone->step == PHONE_WIPE ||
		(phone->has_wipe_order && !phone->fleet->options.asks_ordinarily)) {
		wbxml_write_end(writer);
		return;
	}
	/* 14.1 and later must say what they are, earlier ones must not; and only in the first step. */
	if (phone->step == PHONE_PROVISION && phone->fleet->options.version >= 141) {
		wbxml_write_start(writer, WBXML_SETTINGS_DEVICEINFORMATION);
		wbxml_write_start(writer, WBXML_SETTINGS_SET);
		wbxml_write_element(writer, WBXML_SETTINGS_MODEL, "eassim");
		wbxml_write_element(writer, WBXML_SETTINGS_OS, "eassim " EASPROXY_VERSION);
		wbxml_write_end(writer);
		wbxml_write_end(writer);
	}
	policies_write(phone, writer);
	wbxml_write_end(writer);
}

static void folder_sync_write(const struct phone *phone, struct wbxml_writer *writer)
{
	wbxml_write_start(writer, WBXML_FOLDERHIERARCHY_FOLDERSYNC);
	wbxml_write_element(writer, WBXML_FOLDERHIERARCHY_SYNCKEY,
		phone->folder_key[0] != '\0' ? phone->folder_key : "0");
	wbxml_write_end(writer);
}

static void settings_write(struct wbxml_writer *writer)
{
	wbxml_write_start(writer, WBXML_SETTINGS_SETTINGS);
	wbxml_write_start(writer, WBXML_SETTINGS_USERINFORMATION);
	wbxml_write_start(writer, WBXML_SETTINGS_GET);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static void sync_options_write(struct phone *phone, struct wbxml_writer *writer)
{
	if (phone->fleet->options.version < 120)
		return;
	wbxml_write_start(writer, WBXML_AIRSYNC_OPTIONS);
	wbxml_write_element(writer, WBXML_AIRSYNC_FILTERTYPE, "0");
	wbxml_write_start(writer, WBXML_AIRSYNCBASE_BODYPREFERENCE);
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_TYPE, "1");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_TRUNCATIONSIZE, "51200");
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static void sync_write(struct phone *phone, struct wbxml_writer *writer)
{
	bool is_first = phone->step == PHONE_SYNC_START;
	char heartbeat[16];

	wbxml_write_start(writer, WBXML_AIRSYNC_SYNC);
	wbxml_write_start(writer, WBXML_AIRSYNC_COLLECTIONS);
	wbxml_write_start(writer, WBXML_AIRSYNC_COLLECTION);
	if (phone->fleet->options.version < 140)
		wbxml_write_element(writer, WBXML_AIRSYNC_CLASS, "Email");
	wbxml_write_element(writer, WBXML_AIRSYNC_SYNCKEY, is_first ? "0" : phone->sync_key);
	wbxml_write_element(writer, WBXML_AIRSYNC_COLLECTIONID, phone->inbox);
	if (!is_first) {
		wbxml_write_element(writer, WBXML_AIRSYNC_DELETESASMOVES, "1");
		wbxml_write_start(writer, WBXML_AIRSYNC_GETCHANGES);
		wbxml_write_end(writer);
		/* Small enough that MoreAvailable is met. */
		wbxml_write_element(writer, WBXML_AIRSYNC_WINDOWSIZE, "4");
		sync_options_write(phone, writer);
	}
	wbxml_write_end(writer);
	wbxml_write_end(writer);
	if (phone_polls_with_sync(phone)) {
		snprintf(heartbeat, sizeof(heartbeat), "%u", phone->heartbeat_s);
		wbxml_write_element(writer, WBXML_AIRSYNC_HEARTBEATINTERVAL, heartbeat);
	}
	wbxml_write_end(writer);
}

static void fetch_write(struct phone *phone, struct wbxml_writer *writer)
{
	wbxml_write_start(writer, WBXML_ITEMOPERATIONS_ITEMOPERATIONS);
	wbxml_write_start(writer, WBXML_ITEMOPERATIONS_FETCH);
	wbxml_write_element(writer, WBXML_ITEMOPERATIONS_STORE, "Mailbox");
	wbxml_write_element(writer, WBXML_AIRSYNCBASE_FILEREFERENCE, phone->attachment);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static void ping_write(struct phone *phone, struct wbxml_writer *writer)
{
	char heartbeat[16];

	snprintf(heartbeat, sizeof(heartbeat), "%u", phone->heartbeat_s);
	wbxml_write_start(writer, WBXML_PING_PING);
	wbxml_write_element(writer, WBXML_PING_HEARTBEATINTERVAL, heartbeat);
	wbxml_write_start(writer, WBXML_PING_FOLDERS);
	wbxml_write_start(writer, WBXML_PING_FOLDER);
	wbxml_write_element(writer, WBXML_PING_ID, phone->inbox);
	wbxml_write_element(writer, WBXML_PING_CLASS, "Email");
	wbxml_write_end(writer);
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static int message_write(const struct phone *phone, char *text, size_t size)
{
	const struct fleet *fleet = phone->fleet;
	const char *to = fleet->users[fleet->letters[phone->letter].recipient].mailbox;
	char subject[400];

	letter_subject(fleet, phone->letter, subject, sizeof(subject));
	return snprintf(text, size,
		"From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%08x-%u@eassim.example>\r\n"
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
		"A letter for %s from %s.\r\n",
		phone->user->mailbox, to, subject, fleet->options.seed, phone->letter, to,
		phone->user->mailbox);
}

static void send_mail_write(struct phone *phone, struct wbxml_writer *writer)
{
	char id[40], message[4096];
	int len = message_write(phone, message, sizeof(message));

	snprintf(id, sizeof(id), "%08x-%u", phone->fleet->options.seed, phone->letter);
	wbxml_write_start(writer, WBXML_COMPOSEMAIL_SENDMAIL);
	wbxml_write_element(writer, WBXML_COMPOSEMAIL_CLIENTID, id);
	wbxml_write_start(writer, WBXML_COMPOSEMAIL_SAVEINSENTITEMS);
	wbxml_write_end(writer);
	wbxml_write_start(writer, WBXML_COMPOSEMAIL_MIME);
	wbxml_write_opaque(writer, span_of(message, (size_t)len));
	wbxml_write_end(writer);
	wbxml_write_end(writer);
}

static void document_write(struct phone *phone, struct wbxml_buffer *body)
{
	struct wbxml_writer writer;

	wbxml_write_header(&writer, body);
	switch (phone->step) {
	case PHONE_PROVISION:
	case PHONE_ACKNOWLEDGE:
	case PHONE_WIPE: provision_write(phone, &writer); break;
	case PHONE_FOLDERS: folder_sync_write(phone, &writer); break;
	case PHONE_SETTINGS: settings_write(&writer); break;
	case PHONE_SYNC_START:
	case PHONE_SYNC: sync_write(phone, &writer); break;
	case PHONE_FETCH: fetch_write(phone, &writer); break;
	case PHONE_PING:
		if (phone_polls_with_sync(phone))
			sync_write(phone, &writer);
		else
			ping_write(phone, &writer);
		break;
	default: send_mail_write(phone, &writer); break;
	}
}

static int version_header_write(const struct phone *phone, bool carries_key, char *out, size_t size)
{
	unsigned int version = phone->fleet->options.version;
	int len =
		snprintf(out, size, "MS-ASProtocolVersion: %u.%u\r\n", version / 10, version % 10);

	if (carries_key)
		len += snprintf(out + len, size - (size_t)len, "X-MS-PolicyKey: %u\r\n",
			phone_current_key(phone));
	if (phone_wants_multipart(phone))
		len += snprintf(out + len, size - (size_t)len, "MS-ASAcceptMultiPart: T\r\n");
	return len;
}

static void head_write(
	struct phone *phone, const char *type, size_t body_len, struct wbxml_buffer *out)
{
	const struct fleet *fleet = phone->fleet;
	bool is_options = phone->step == PHONE_OPTIONS;
	bool is_sync = phone_polls_with_sync(phone);
	const char *command = is_sync ? "Sync" : steps[phone->step].command;
	bool carries_key = is_sync || steps[phone->step].carries_key;
	char query[1536] = "", head[HEAD_MAX];
	int len;

	if (!is_options && fleet->options.uses_base64)
		base64_query_write(
			phone, is_sync ? 0 : steps[phone->step].code, carries_key, query);
	else if (!is_options)
		plain_query_write(phone, command, query, sizeof(query));
	len = snprintf(head, sizeof(head),
		"%s %s%s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: eassim/" EASPROXY_VERSION "\r\n",
		is_options ? "OPTIONS" : "POST", fleet->path, is_options ? "" : "?", query,
		fleet->authority);
	if (fleet->options.assert_header != NULL)
		len += snprintf(head + len, sizeof(head) - (size_t)len, "%s: %s\r\n",
			fleet->options.assert_header, phone->user->mailbox);
	if (!is_options && !fleet->options.uses_base64)
		len += version_header_write(
			phone, carries_key, head + len, sizeof(head) - (size_t)len);
	if (!is_options)
		len += snprintf(head + len, sizeof(head) - (size_t)len,
			"Content-Type: %s\r\nContent-Length: %zu\r\n", type, body_len);
	len += snprintf(head + len, sizeof(head) - (size_t)len, "\r\n");
	wbxml_buffer_append(out, head, (size_t)len);
}

void phone_request_write(
	struct phone *phone, struct wbxml_buffer *request, enum http_method *method)
{
	struct wbxml_buffer body = {.limit = REQUEST_MAX};
	bool is_message = phone->step == PHONE_SEND && phone->fleet->options.version < 140;
	char message[4096];

	request->limit = REQUEST_MAX;
	*method = phone->step == PHONE_OPTIONS ? HTTP_OPTIONS : HTTP_POST;
	if (is_message)
		wbxml_buffer_append(
			&body, message, (size_t)message_write(phone, message, sizeof(message)));
	else if (phone->step != PHONE_OPTIONS)
		document_write(phone, &body);
	head_write(phone, is_message ? "message/rfc822" : "application/vnd.ms-sync.wbxml", body.len,
		request);
	wbxml_buffer_append(request, body.data, body.len);
	wbxml_buffer_free(&body);
}
