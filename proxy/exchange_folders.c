/*
 * Folders whose class no table knows. Phones from 14.0 on need not say a class, and what FolderSync has
 * once told may be forgotten, or be told before easproxyd stood in its way: they are made to look at their
 * folders again, in the words of the protocol, and to start over with them.
 */
#include <string.h>

#include "proxy/exchange.h"
#include "proxy/policy_body.h"

/* MS-ASCMD 2.2.3.177: the folder hierarchy has changed, a FolderSync is needed; the request is not
 * complete, and has to be sent in full. */
enum {
	SYNC_HIERARCHY_CHANGED = 12,
	PING_HIERARCHY_CHANGED = 7,
	SYNC_INCOMPLETE = 13,
	PING_INCOMPLETE = 3
};

static struct folder_table *table_of(const struct exchange *exchange)
{
	return exchange->session->worker->child->folders;
}

static struct folder_owner owner_of(const struct exchange *exchange)
{
	return (struct folder_owner){
		exchange->session->credential->mailbox, exchange->request.device_id};
}

static uint64_t now_of(const struct exchange *exchange)
{
	return (uint64_t)worker_now(exchange->session->worker);
}

unsigned int exchange_folder_class(void *context, struct span id)
{
	const struct exchange *exchange = context;
	const struct folder_owner owner = owner_of(exchange);

	return folder_table_class(table_of(exchange), &owner, id, now_of(exchange));
}

/* In every version: eas_refusal_write() has the words of 14.0 and later only. */
static void answer_status(struct exchange *exchange, unsigned int of_sync, unsigned int of_ping)
{
	static const uint8_t sync[] = {0x03, 0x01, 0x6a, 0x00, 0x45, 0x4e, 0x03};
	static const uint8_t ping[] = {0x03, 0x01, 0x6a, 0x00, 0x00, 0x0d, 0x45, 0x47, 0x03};
	bool is_sync = exchange->request.command == EAS_SYNC;
	unsigned int status = is_sync ? of_sync : of_ping;
	uint8_t document[sizeof(ping) + 5];
	size_t len = is_sync ? sizeof(sync) : sizeof(ping);

	memcpy(document, is_sync ? sync : ping, len);
	if (status >= 10)
		document[len++] = (uint8_t)('0' + status / 10);
	document[len++] = (uint8_t)('0' + status % 10);
	document[len++] = 0x00;
	document[len++] = 0x01;
	document[len++] = 0x01;
	exchange->refusal = REFUSAL_FOLDERS_UNKNOWN;
	exchange_answer_own(exchange, &(struct own_answer){.status = 200,
					      .content_type = "application/vnd.ms-sync.wbxml",
					      .body = span_of(document, len),
					      .eas_status = status});
}

enum refusal exchange_folders_unknown(struct exchange *exchange)
{
	const struct folder_owner owner = owner_of(exchange);

	if (exchange->request_facts == NULL || policy_body_repeats(exchange->request_facts)) {
		answer_status(exchange, SYNC_INCOMPLETE, PING_INCOMPLETE);
		return REFUSAL_FOLDERS_UNKNOWN;
	}
	/* It has just got all of them, so that a 503 has to slow it down. */
	if (folder_table_miss(table_of(exchange), &owner, now_of(exchange)) == FOLDER_MISS_LOST)
		return REFUSAL_FOLDERS_UNKNOWN;
	if (exchange->request.command == EAS_SYNC || exchange->request.command == EAS_PING)
		answer_status(exchange, SYNC_HIERARCHY_CHANGED, PING_HIERARCHY_CHANGED);
	return REFUSAL_FOLDERS_UNKNOWN;
}

bool exchange_folders_start_over(struct exchange *exchange)
{
	/* FolderSync, Status 9: the key is not known, start over. */
	static const uint8_t start_over[] = {
		0x03, 0x01, 0x6a, 0x00, 0x00, 0x07, 0x56, 0x4c, 0x03, '9', 0x00, 0x01, 0x01};
	const struct eas_body *facts = exchange->request_facts;
	const struct folder_owner owner = owner_of(exchange);

	if (exchange->request.command != EAS_FOLDER_SYNC || facts == NULL ||
		strcmp(eas_body_text(facts, facts->folder_key), "0") == 0 ||
		!folder_table_wants_all(table_of(exchange), &owner, now_of(exchange)))
		return false;
	exchange_answer_own(exchange, &(struct own_answer){.status = 200,
					      .content_type = "application/vnd.ms-sync.wbxml",
					      .body = span_of(start_over, sizeof(start_over)),
					      .eas_status = 9});
	return true;
}
