/* How a refusal is said to a phone: MS-ASCMD 2.2.2, MS-ASHTTP 2.2.2. */
#include "proxy/eas.h"

#include "proxy/eas_command.h"

/* The document root{Status}: header, page switch, two tags, the number, two ENDs. */
static size_t status_document(
	uint8_t document[24], const struct eas_command_row *row, unsigned int status)
{
	static const uint8_t header[] = {0x03, 0x01, 0x6a, 0x00};
	const uint8_t has_content = 0x40;
	size_t len = sizeof(header);

	memcpy(document, header, sizeof(header));
	if (row->root >> 8 != 0) {
		document[len++] = 0x00; /* SWITCH_PAGE */
		document[len++] = (uint8_t)(row->root >> 8);
	}
	document[len++] = (uint8_t)(row->root & 0xff) | has_content;
	document[len++] = (uint8_t)(row->status & 0xff) | has_content;
	document[len++] = 0x03; /* STR_I */
	if (status >= 100)
		document[len++] = (uint8_t)('0' + status / 100 % 10);
	if (status >= 10)
		document[len++] = (uint8_t)('0' + status / 10 % 10);
	document[len++] = (uint8_t)('0' + status % 10);
	document[len++] = 0x00;
	document[len++] = 0x01; /* END */
	document[len++] = 0x01;
	return len;
}

static void answer_write(struct http_writer *writer, unsigned int status, const char *type,
	size_t content_len, unsigned int retry_after_s, bool close)
{
	http_write_status_line(writer, status, span_of_string(http_reason(status)));
	http_write_field_text(writer, "Content-Type", type);
	http_write_field_number(writer, "Content-Length", content_len);
	http_write_field_text(writer, "Cache-Control", "private");
	if (status == 503)
		http_write_field_number(writer, "Retry-After", retry_after_s);
	if (status == 405)
		http_write_field_text(writer, "Allow", "OPTIONS, POST");
	if (close)
		http_write_field_text(writer, "Connection", "close");
	http_write_end(writer);
}

/* The writer's interface is for heads; content is appended here, within the same bounds. */
static void content_write(struct http_writer *writer, const void *content, size_t len)
{
	if (writer->has_failed || len > writer->capacity - writer->len) {
		writer->has_failed = true;
		return;
	}
	memcpy(writer->data + writer->len, content, len);
	writer->len += len;
}

unsigned int eas_refusal_write(struct http_writer *writer, enum refusal refusal,
	const struct eas_request *request, const struct eas_refusal_terms *terms)
{
	const struct refusal_row *row = refusal_row(refusal);
	const struct eas_command_row *command =
		request == NULL ? NULL : eas_command_row(request->command);
	unsigned int eas_status =
		terms->eas_status != 0 ? terms->eas_status : (unsigned int)row->eas_status;
	unsigned int status =
		terms->http_status != 0 ? terms->http_status : (unsigned int)row->http_status;
	uint8_t document[24];
	size_t len;

	/* Refusals that have no HTTP status end the connection; asked to say one all the same, say
	 * the one that no phone takes for a reason to try again. */
	if (status == 0)
		status = 403;
	if (eas_status != 0 && command != NULL && command->status != 0 && request->version >= 140) {
		len = status_document(document, command, eas_status);
		answer_write(writer, 200, "application/vnd.ms-sync.wbxml", len, 0, terms->close);
		content_write(writer, document, len);
		return 200;
	}
	len = strlen(row->name) + strlen(": ") + strlen(row->cause) + strlen("\n");
	answer_write(writer, status, "text/plain", len, terms->retry_after_s, terms->close);
	content_write(writer, row->name, strlen(row->name));
	content_write(writer, ": ", 2);
	content_write(writer, row->cause, strlen(row->cause));
	content_write(writer, "\n", 1);
	return status;
}
