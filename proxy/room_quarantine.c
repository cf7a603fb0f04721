#include "proxy/room_quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/exchange.h"
#include "proxy/template.h"

enum { TEXT_SIZE = 16 * 1024 }; /* 8 kB of devices/quarantine-text, with names filled in */

static const char text_of_ours[] =
	"This phone is not let in to your mailbox yet. Nothing is wrong with it: it is new here, "
	"and "
	"someone has to look at it first.\r\n\r\n"
	"Tell your administrator:\r\n\r\n"
	"    mailbox  %{mailbox}\r\n"
	"    device   %{device-id} (%{device-type})\r\n\r\n"
	"Once it is let in your mail appears by itself, and this message goes away.\r\n";

/* Into text, TEXT_SIZE bytes. */
static int fill_text(const struct exchange *exchange, char *text)
{
	const struct config_file *file =
		&exchange->session->worker->config->devices.quarantine_text;
	char address[INET6_ADDRSTRLEN];
	const struct template_values values = {
		.mailbox = exchange->session->credential->mailbox,
		.device_id = exchange->request.device_id,
		.device_type = exchange->request.device_type,
		.request_id = exchange->id,
		.client_address = address,
	};
	struct error err;
	size_t len;
	char *own = file->fd != -1 ? config_file_read(file, &len, &err) : NULL;
	int status = -1;

	session_address(exchange->session, address);
	if (file->fd == -1 || own != NULL)
		status = template_fill(own != NULL ? own : text_of_ours, &values, text, TEXT_SIZE);
	free(own);
	return status;
}

static void answer_with(struct exchange *exchange, const char *text, bool is_over)
{
	const struct worker *worker = exchange->session->worker;
	const char *mailbox = exchange->session->credential->mailbox;
	const char *at = strrchr(mailbox, '@');
	char from[EAS_USER_MAX + 16];
	const struct room_message message = {
		.mailbox = mailbox,
		.from = from,
		.subject = worker->config->devices.quarantine_subject,
		.text = text,
		.received = worker_now(worker),
	};
	struct room_question question = room_question_of(
		&exchange->request, exchange->method == HTTP_OPTIONS, exchange->request_facts);
	struct room_reply reply = {0};

	snprintf(from, sizeof(from), "postmaster%s", at != NULL ? at : "");
	room_quarantine_reply(&message, &question, is_over, &reply);
	room_send(exchange, &reply);
}

void room_quarantine_answer(struct exchange *exchange, bool is_over)
{
	char *text = malloc(TEXT_SIZE);

	if (text == NULL || fill_text(exchange, text) != 0)
		exchange_refuse(exchange, REFUSAL_INTERNAL, "filling in devices/quarantine-text");
	else
		answer_with(exchange, text, is_over);
	free(text);
}
