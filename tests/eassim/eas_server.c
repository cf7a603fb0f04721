/* From an HTTP request to the command's handler: mailbox, query, device, body, policy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "serve.h"
#include "wbxml/xml.h"

static const struct command {
	const char *name;
	unsigned int code;
	uint16_t root; /* of the request's document; 0: it has none, or may be MIME */
	bool may_be_empty;
	void (*serve)(struct call *call);
} commands[] = {
	{"Sync", 0, WBXML_AIRSYNC_SYNC, true, sync_serve},
	{"SendMail", 1, 0, false, send_mail_serve},
	{"SmartForward", 2, 0, false, send_mail_serve},
	{"SmartReply", 3, 0, false, send_mail_serve},
	{"GetAttachment", 4, 0, true, attachment_serve},
	{"FolderSync", 9, WBXML_FOLDERHIERARCHY_FOLDERSYNC, false, folder_sync_serve},
	{"GetItemEstimate", 14, WBXML_GETITEMESTIMATE_GETITEMESTIMATE, false, item_estimate_serve},
	{"Settings", 17, WBXML_SETTINGS_SETTINGS, false, settings_serve},
	{"Ping", 18, WBXML_PING_PING, true, ping_serve},
	{"ItemOperations", 19, WBXML_ITEMOPERATIONS_ITEMOPERATIONS, false, item_operations_serve},
	{"Provision", 20, WBXML_PROVISION_PROVISION, false, provision_serve},
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcasecmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void answer_plainly(struct server_conn *conn, unsigned int status)
{
	struct server_answer answer = {.status = status};

	server_conn_answer(conn, &answer);
}

static void options_serve(struct serve *serve, struct server_conn *conn, const char *mailbox)
{
	struct server_answer answer = {.status = 200,
		.field_count = 5,
		.fields = {{"MS-Server-ActiveSync", "eassim/" EASPROXY_VERSION},
			{"MS-ASProtocolVersions", "2.5,12.0,12.1,14.0,14.1,16.0,16.1"},
			{"MS-ASProtocolCommands",
				"Sync,SendMail,SmartForward,SmartReply,GetAttachment,FolderSync,"
				"GetItemEstimate,Settings,Ping,ItemOperations,Provision"},
			{"Public", "OPTIONS,POST"}, {"Allow", "OPTIONS,POST"}}};

	serve->stats.options++;
	fault_apply(serve, "OPTIONS", mailbox, &answer);
	server_conn_answer(conn, &answer);
}

/* Whether the body is of this type, parameters aside. */
static bool type_is(const struct server_request *request, const char *type)
{
	const char *value = server_field_find(request, "Content-Type", NULL);
	size_t len = strlen(type);

	return value != NULL && strncasecmp(value, type, len) == 0 &&
	       strchr("; \t", value[len]) != NULL;
}

/* Reads the body's document where the command wants one. 0, or an HTTP status. */
static unsigned int call_read_body(struct call *call, const struct command *command)
{
	static const struct wbxml_xml_options exact = {
		.dialect = WBXML_DIALECT_EXACT, .limits = {.depth = 32, .elements = 200000}};
	struct wbxml_buffer wbxml = {.limit = SERVER_BODY_MAX};
	struct span body = call->request->body;
	struct error err = {""};
	int result;
	bool is_wbxml = type_is(call->request, "application/vnd.ms-sync.wbxml") ||
			type_is(call->request, "application/vnd.ms-sync");

	/* An empty body may come without a type: then the answer is in the server's language. */
	call->is_xml = call->serve->options.reads_xml && !is_wbxml;
	if (body.len == 0)
		return command->may_be_empty ? 0 : 400;
	if (type_is(call->request, "message/rfc822"))
		return call->query.version < 140 && command->root == 0 ? 0 : 400;
	if (!is_wbxml && !(call->is_xml && type_is(call->request, "text/xml")))
		return 415;
	result = call->is_xml ? wbxml_from_xml(body, &exact, &wbxml, &err) : 0;
	if (result == 0 && call->is_xml)
		body = span_of(wbxml.data, wbxml.len);
	if (result == 0)
		result = document_read(&call->document, body, &err);
	wbxml_buffer_free(&wbxml);
	if (result == 0 && command->root != 0 &&
		document_root_tag(&call->document) != command->root)
		result = error_set(&err, "the root is not that of %s", command->name);
	if (result != 0 && !call->serve->options.is_quiet)
		fprintf(stderr, "eassim: a malformed %s from %s: %s\n", command->name,
			server_conn_peer(call->conn), err.text);
	return result == 0 ? 0 : 400;
}

static unsigned int call_prepare(struct call *call, const struct command **command)
{
	struct error err = {""};

	if (strcmp(call->request->method, "POST") != 0)
		return 405;
	if (query_read(call->request, &call->query, &err) != 0) {
		fprintf(stderr, "eassim: a malformed query from %s: %s\n",
			server_conn_peer(call->conn), err.text);
		return 400;
	}
	*command = command_find(call->query.command);
	if (*command == NULL)
		return 501;
	call->serve->stats.commands[(*command)->code]++;
	call->device = store_device(&call->serve->store, call->mailbox, call->query.device_id);
	if (call->device == NULL)
		return 500;
	return call_read_body(call, *command);
}

void eas_serve(struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	const struct command *command = NULL;
	struct call *call;
	char name[321];
	unsigned int status = serve_mailbox_asserted(serve, request, name);

	serve->stats.requests++;
	serve_record(serve, conn, request, status == 0 ? name : NULL);
	if (status != 0) {
		answer_plainly(conn, status);
		return;
	}
	if (strcmp(request->method, "OPTIONS") == 0) {
		options_serve(serve, conn, name);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (call == NULL) {
		answer_plainly(conn, 500);
		return;
	}
	call->serve = serve;
	call->conn = conn;
	call->request = request;
	call->out.limit = SERVER_BODY_MAX;
	call->mailbox = store_mailbox(&serve->store, name);
	status = call->mailbox == NULL ? 500 : call_prepare(call, &command);
	if (status == 400)
		serve->stats.malformed++;
	if (status != 0 && call->mailbox != NULL) {
		call_answer_status(call, status);
	} else if (status != 0) {
		answer_plainly(conn, status);
		free(call);
	} else if (provision_allows(call)) {
		command->serve(call);
	}
}
