#include "proxy/room_reply.h"

#include <inttypes.h>
#include <stdio.h>

void room_reply_free(struct room_reply *reply)
{
	wbxml_buffer_free(&reply->document);
}

void room_reply_refuse(struct room_reply *reply, enum refusal refusal, unsigned int http_status)
{
	reply->outcome = ROOM_REFUSE;
	reply->refusal = refusal;
	reply->http_status = http_status;
}

void room_reply_begin(struct room_reply *reply, struct wbxml_writer *writer, uint16_t root)
{
	wbxml_buffer_free(&reply->document);
	reply->outcome = ROOM_ANSWER;
	reply->document.limit = ROOM_DOCUMENT_MAX;
	wbxml_write_header(writer, &reply->document);
	wbxml_write_start(writer, root);
}

void room_write_number(struct wbxml_writer *writer, uint16_t tag, uint32_t number)
{
	char text[16];

	snprintf(text, sizeof(text), "%" PRIu32, number);
	wbxml_write_element(writer, tag, text);
}

void room_write_span(struct wbxml_writer *writer, uint16_t tag, struct span text)
{
	wbxml_write_start(writer, tag);
	if (text.len > 0)
		wbxml_write_text(writer, text);
	wbxml_write_end(writer);
}

void room_reply_status(
	struct room_reply *reply, uint16_t root, uint16_t status_tag, uint32_t status)
{
	struct wbxml_writer writer;

	room_reply_begin(reply, &writer, root);
	room_write_number(&writer, status_tag, status);
	wbxml_write_end(&writer);
}

void room_reply_policy(struct room_reply *reply, const struct room_question *question)
{
	struct wbxml_writer writer;

	room_reply_begin(reply, &writer, WBXML_PROVISION_PROVISION);
	if (question->has_device_info) {
		wbxml_write_start(&writer, WBXML_SETTINGS_DEVICEINFORMATION);
		room_write_number(&writer, WBXML_SETTINGS_STATUS, 1);
		wbxml_write_end(&writer);
	}
	room_write_number(&writer, WBXML_PROVISION_STATUS, 1);
	wbxml_write_start(&writer, WBXML_PROVISION_POLICIES);
	wbxml_write_start(&writer, WBXML_PROVISION_POLICY);
	wbxml_write_element(&writer, WBXML_PROVISION_POLICYTYPE,
		question->version >= 120 ? "MS-EAS-Provisioning-WBXML" : "MS-WAP-Provisioning-XML");
	room_write_number(&writer, WBXML_PROVISION_STATUS, question->acknowledges_key ? 5 : 2);
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
	wbxml_write_end(&writer);
}
