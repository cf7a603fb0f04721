#include "proxy/exchange_history.h"

#include <arpa/inet.h>
#include <sys/time.h>

static uint8_t narrow8(uint64_t value)
{
	return value < UINT8_MAX ? (uint8_t)value : UINT8_MAX;
}

static uint16_t narrow16(uint64_t value)
{
	return value < UINT16_MAX ? (uint16_t)value : UINT16_MAX;
}

static uint32_t narrow32(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* When it began, by the clock on the wall, from how long ago that is. */
static void fill_times(
	struct history_record *record, const struct exchange *exchange, uint64_t now_us)
{
	uint64_t duration_us = now_us - exchange->begun_us, began_us;
	struct timeval now;

	gettimeofday(&now, NULL); /* without a system call on what we run on */
	began_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_usec - duration_us;
	record->began_s = (uint32_t)(began_us / 1000000);
	record->began_ms = (uint16_t)(began_us / 1000 % 1000);
	record->duration_us = narrow32(duration_us);
}

static void fill_documents(struct history_record *record, const struct exchange *exchange)
{
	const struct eas_body *request = exchange->request_facts;
	const struct eas_body *answer = exchange->answer_facts;

	record->eas_status = narrow16(exchange->own_eas_status);
	if (request != NULL) {
		record->heartbeat_s = narrow16(request->heartbeat_s);
		record->collections = narrow8(request->collection_count);
		record->items = narrow16(eas_body_items(request));
	}
	if (answer != NULL) {
		record->answer_items = narrow16(eas_body_items(answer));
		record->flags |= answer->has_more ? HISTORY_HAS_MORE : 0;
		if (record->eas_status == 0)
			record->eas_status = narrow16(answer->status);
	}
}

static void fill_flags(struct history_record *record, const struct exchange *exchange)
{
	if (exchange->is_poll)
		record->flags |= HISTORY_POLL;
	if (exchange->session->is_first_request)
		record->flags |= HISTORY_FIRST;
	if (exchange->answer_is_malformed)
		record->flags |= HISTORY_MALFORMED;
	if (exchange->endpoint == NULL)
		record->flags |= HISTORY_OWN;
}

static void fill(struct history_record *record, const struct exchange *exchange, uint64_t now_us)
{
	const uint8_t *digest = exchange->session->credential->accepted->leaf_sha256;

	*record = (struct history_record){
		.bytes_in = narrow32(exchange->bytes_in),
		.bytes_out = narrow32(exchange->bytes_out),
		.certificate = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 |
			       (uint32_t)digest[2] << 8 | digest[3],
		.port = ntohs(exchange->session->port),
		.status = narrow16(exchange->status),
		.endpoint_status = narrow16(exchange->endpoint_status),
		.refusal = narrow16(exchange->refusal),
		.command = narrow8(exchange->request.command),
		.version = narrow8(exchange->request.version),
	};
	fill_times(record, exchange, now_us);
	fill_flags(record, exchange);
	fill_documents(record, exchange);
}

void exchange_history_add(const struct exchange *exchange, uint64_t now_us)
{
	const struct session *session = exchange->session;
	struct worker *worker = session->worker;
	struct device_entry *device = exchange->device;
	struct history_record record;

	if (worker->config->devices.history == 0 || session->credential == NULL)
		return;
	if (device == NULL && exchange->request.device_id[0] != '\0' &&
		session->credential->mailbox[0] != '\0')
		device = device_table_find(
			worker->devices, session->credential->mailbox, exchange->request.device_id);
	if (device == NULL)
		return;
	fill(&record, exchange, now_us);
	history_add(&device->history, worker->config->devices.history, &record);
}
