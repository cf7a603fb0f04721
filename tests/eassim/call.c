#include "serve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "wbxml/xml.h"

static void call_free(struct call *call)
{
	if (call->waiter.mailbox != NULL)
		call->serve->stats.polls_waiting--;
	waiter_end(&call->waiter);
	if (call->timer != NULL)
		event_free(call->timer);
	document_free(&call->document);
	wbxml_buffer_free(&call->out);
	free(call);
}

void call_begin(struct call *call, uint16_t root)
{
	wbxml_write_header(&call->writer, &call->out);
	wbxml_write_start(&call->writer, root);
}

void call_write_number(struct call *call, uint16_t tag, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	wbxml_write_element(&call->writer, tag, text);
}

static void call_send(struct call *call, struct server_answer *answer)
{
	answer->fields[answer->field_count++] =
		(struct server_field){"MS-Server-ActiveSync", "eassim/" EASPROXY_VERSION};
	answer->fields[answer->field_count++] = (struct server_field){"Cache-Control", "private"};
	fault_apply(call->serve, call->query.command, call->mailbox->name, answer);
	server_conn_answer(call->conn, answer);
	call_free(call);
}

void call_answer_bytes(struct call *call, const char *content_type, struct span bytes)
{
	struct server_answer answer = {.status = 200, .content_type = content_type, .body = bytes};

	call_send(call, &answer);
}

void call_answer(struct call *call)
{
	static const struct wbxml_xml_options exact = {
		.dialect = WBXML_DIALECT_EXACT,
		.limits = {.depth = 32, .elements = 200000},
	};
	struct span document = span_of(call->out.data, call->out.len);
	struct wbxml_buffer xml = {.limit = SERVER_BODY_MAX};
	struct error err;

	if (call->out.has_failed) {
		call_answer_status(call, 500);
		return;
	}
	if (!call->is_xml || document.len == 0) {
		call_answer_bytes(call, "application/vnd.ms-sync.wbxml", document);
		return;
	}
	if (wbxml_to_xml(document, &exact, &xml, &err) == 0) {
		call_answer_bytes(call, "text/xml; charset=utf-8", span_of(xml.data, xml.len));
	} else {
		fprintf(stderr, "eassim: writing an answer as XML: %s\n", err.text);
		call_answer_status(call, 500);
	}
	wbxml_buffer_free(&xml);
}

void call_answer_status(struct call *call, unsigned int status)
{
	struct server_answer answer = {.status = status};

	call_send(call, &answer);
}

void call_answer_root_status(
	struct call *call, uint16_t root, uint16_t status_tag, unsigned int status)
{
	call_begin(call, root);
	call_write_number(call, status_tag, status);
	wbxml_write_end(&call->writer);
	call_answer(call);
}

static void call_stop_waiting(struct call *call)
{
	call->serve->stats.polls_waiting--;
	waiter_end(&call->waiter);
	event_free(call->timer);
	call->timer = NULL;
	server_conn_watch(call->conn, NULL, NULL);
}

static void call_on_mail(struct waiter *waiter)
{
	struct call *call = (struct call *)((char *)waiter - offsetof(struct call, waiter));

	call_stop_waiting(call);
	call->serve->stats.polls_woken++;
	call->resume(call, false);
}

static void call_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;

	(void)fd;
	(void)what;
	call_stop_waiting(call);
	call->serve->stats.polls_expired++;
	call->resume(call, true);
}

static void call_on_gone(void *arg)
{
	struct call *call = arg;

	call->serve->stats.polls_abandoned++;
	call_free(call);
}

void call_wait(struct call *call, uint32_t folders, uint32_t seconds,
	void (*resume)(struct call *call, bool is_over))
{
	struct timeval time = {.tv_sec = seconds};

	call->timer = evtimer_new(call->serve->base, call_on_timer, call);
	if (call->timer == NULL || event_add(call->timer, &time) != 0) {
		call_answer_status(call, 500);
		return;
	}
	call->resume = resume;
	call->waiter.folders = folders;
	call->waiter.on_mail = call_on_mail;
	waiter_begin(&call->waiter, call->mailbox);
	server_conn_watch(call->conn, call_on_gone, call);
	call->serve->stats.polls_waiting++;
}
