/* Ping: sleeps until mail comes or the heartbeat is over. */
#include "serve.h"

static bool ping_folder_has_news(const struct device *device, unsigned int folder)
{
	return (device->ping_folders & 1u << folder) != 0 &&
	       sync_has_news(device, (enum folder)folder);
}

static bool ping_has_news(const struct device *device)
{
	for (unsigned int folder = 0; folder < FOLDER_COUNT; folder++)
		if (ping_folder_has_news(device, folder))
			return true;
	return false;
}

static void ping_answer(struct call *call, bool is_over)
{
	bool has_news = ping_has_news(call->device);

	(void)is_over;
	call_begin(call, WBXML_PING_PING);
	wbxml_write_element(&call->writer, WBXML_PING_STATUS, has_news ? "2" : "1");
	if (has_news) {
		wbxml_write_start(&call->writer, WBXML_PING_FOLDERS);
		for (unsigned int folder = 0; folder < FOLDER_COUNT; folder++)
			if (ping_folder_has_news(call->device, folder))
				wbxml_write_element(
					&call->writer, WBXML_PING_FOLDER, store_folders[folder].id);
		wbxml_write_end(&call->writer);
	}
	wbxml_write_end(&call->writer);
	call_answer(call);
}

/* Folders and heartbeat of the request; what it leaves out is as in the last one. 0, or the Status
 * that says what is wrong. */
static unsigned int ping_read(struct call *call)
{
	const struct document *document = &call->document;
	struct device *device = call->device;
	const struct document_node *folders = document_child(document, NULL, WBXML_PING_FOLDERS);
	const struct document_node *folder;
	uint32_t chosen = 0;

	if (folders != NULL) {
		for (folder = document_child(document, folders, WBXML_PING_FOLDER); folder != NULL;
			folder = document_next(document, folder)) {
			char id[65];
			enum folder one;

			document_copy(document, folder, WBXML_PING_ID, id, sizeof(id));
			one = store_folder_find(id);
			if (one == FOLDER_COUNT)
				return 7;
			chosen |= 1u << one;
		}
		device->ping_folders = chosen;
	}
	device->ping_heartbeat_s = (uint32_t)document_number(
		document, NULL, WBXML_PING_HEARTBEATINTERVAL, device->ping_heartbeat_s);
	if (device->ping_folders == 0 || device->ping_heartbeat_s == 0)
		return 3;
	return device->ping_heartbeat_s < call->serve->options.heartbeat_min_s ||
			       device->ping_heartbeat_s > call->serve->options.heartbeat_max_s
		       ? 5
		       : 0;
}

static void ping_refuse(struct call *call, unsigned int status)
{
	const struct serve_options *options = &call->serve->options;

	call_begin(call, WBXML_PING_PING);
	call_write_number(call, WBXML_PING_STATUS, status);
	if (status == 5)
		call_write_number(call, WBXML_PING_HEARTBEATINTERVAL,
			call->device->ping_heartbeat_s < options->heartbeat_min_s
				? options->heartbeat_min_s
				: options->heartbeat_max_s);
	wbxml_write_end(&call->writer);
	call_answer(call);
}

void ping_serve(struct call *call)
{
	struct device *device = call->device;
	unsigned int status = ping_read(call);

	if (status != 0) {
		ping_refuse(call, status);
		return;
	}
	if (ping_has_news(device)) {
		ping_answer(call, false);
		return;
	}
	document_free(&call->document);
	call_wait(call, device->ping_folders, device->ping_heartbeat_s, ping_answer);
}
