/* The door for tests, on the same port: /eassim/mail, /eassim/requests, /eassim/stats,
 * /eassim/fault. It is open to whoever reaches the port; eassim serve belongs on loopback. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

/* The value of a parameter of the target's query; false where there is none or it is malformed. */
static bool parameter(
	const struct server_request *request, const char *name, char *value, size_t size)
{
	const char *at = strchr(request->target, '?');
	size_t len = strlen(name);

	while (at != NULL) {
		at++;
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return query_percent_decode(
				at + len + 1, strcspn(at + len + 1, "&"), value, size);
		at = strchr(at, '&');
	}
	return false;
}

static unsigned int number_parameter(
	const struct server_request *request, const char *name, unsigned int otherwise)
{
	char text[16];

	return parameter(request, name, text, sizeof(text)) ? (unsigned int)strtoul(text, NULL, 10)
							    : otherwise;
}

static void answer_json(struct server_conn *conn, unsigned int status, json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(1));
	struct server_answer answer = {.status = text != NULL ? status : 500,
		.content_type = "application/json",
		.body = span_of(text, text != NULL ? strlen(text) : 0)};

	server_conn_answer(conn, &answer);
	free(text);
	json_decref(value);
}

static void answer_error(struct server_conn *conn, unsigned int status, const char *text)
{
	answer_json(conn, status, json_pack("{s:s}", "error", text));
}

static void mail_put(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	char name[321], subject[256];
	struct mailbox *mailbox;
	bool has_subject = parameter(request, "subject", subject, sizeof(subject));
	unsigned int count = number_parameter(request, "count", 1);
	const struct mail *mail = NULL;

	if (!parameter(request, "mailbox", name, sizeof(name)) || count == 0 || count > 100000 ||
		(mailbox = store_mailbox(&serve->store, name)) == NULL) {
		answer_error(conn, 400, "mailbox= is missing");
		return;
	}
	while (count-- > 0)
		mail = mailbox_generate(mailbox, has_subject ? subject : NULL);
	if (mail == NULL)
		answer_error(conn, 500, "the mailbox is full");
	else
		answer_json(conn, 200,
			json_pack("{s:o, s:i, s:o}", "mailbox", json_bytes(name, strlen(name)),
				"number", (int)mail->number, "subject",
				json_bytes(mail->subject, strlen(mail->subject))));
}

static void requests_list(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	char name[321];
	bool has_name = parameter(request, "mailbox", name, sizeof(name));

	answer_json(conn, 200, journal_list(serve->journal, has_name ? name : NULL));
}

static void requests_clear(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	(void)request;
	journal_clear(serve->journal);
	answer_json(conn, 200, json_object());
}

static void stats_show(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	static const char *const commands[24] = {[0] = "Sync",
		[1] = "SendMail",
		[2] = "SmartForward",
		[3] = "SmartReply",
		[4] = "GetAttachment",
		[9] = "FolderSync",
		[14] = "GetItemEstimate",
		[17] = "Settings",
		[18] = "Ping",
		[19] = "ItemOperations",
		[20] = "Provision"};
	const struct serve_stats *stats = &serve->stats;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"requests", stats->requests},
		{"options", stats->options},
		{"refused_without_mailbox", stats->refused_without_mailbox},
		{"refused_ambiguous_mailbox", stats->refused_ambiguous_mailbox},
		{"malformed", stats->malformed},
		{"http_refused", http_server_refused(serve->http)},
		{"not_found", stats->not_found},
		{"policy_refused", stats->policy_refused},
		{"bad_sync_keys", stats->bad_sync_keys},
		{"polls_waiting", stats->polls_waiting},
		{"polls_woken", stats->polls_woken},
		{"polls_expired", stats->polls_expired},
		{"polls_abandoned", stats->polls_abandoned},
		{"mails_sent", stats->mails_sent},
		{"mails_delivered", stats->mails_delivered},
		{"mails_undeliverable", stats->mails_undeliverable},
		{"mails_repeated", stats->mails_repeated},
		{"faults_given", stats->faults_given},
		{"mailboxes", serve->store.mailbox_count},
		{"devices", serve->store.device_count},
	};
	json_t *all = json_object(), *by_command = json_object();

	(void)request;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(
			all, numbers[i].name, json_integer((json_int_t)numbers[i].value));
	for (size_t i = 0; i < 24; i++)
		if (commands[i] != NULL)
			json_object_set_new(by_command, commands[i],
				json_integer((json_int_t)stats->commands[i]));
	json_object_set_new(all, "commands", by_command);
	answer_json(conn, 200, all);
}

static void fault_put(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	struct fault fault = {.count = number_parameter(request, "count", 1),
		.status = number_parameter(request, "status", 0)};
	struct error err = {"kind= is missing"};
	char kind[32];

	parameter(request, "command", fault.command, sizeof(fault.command));
	parameter(request, "mailbox", fault.mailbox, sizeof(fault.mailbox));
	if (!parameter(request, "kind", kind, sizeof(kind)) ||
		fault_add(serve, kind, &fault, &err) != 0)
		answer_error(conn, 400, err.text);
	else
		answer_json(conn, 200, json_object());
}

static void faults_clear(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	(void)request;
	memset(serve->faults, 0, sizeof(serve->faults));
	answer_json(conn, 200, json_object());
}

void admin_serve(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	static const struct {
		const char *method, *path;
		void (*serve)(struct serve *, struct server_conn *, const struct server_request *);
	} doors[] = {
		{"POST", "/eassim/mail", mail_put},
		{"GET", "/eassim/requests", requests_list},
		{"DELETE", "/eassim/requests", requests_clear},
		{"GET", "/eassim/stats", stats_show},
		{"POST", "/eassim/fault", fault_put},
		{"DELETE", "/eassim/fault", faults_clear},
	};
	size_t len = strcspn(request->target, "?");

	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		if (strcmp(doors[i].method, request->method) == 0 && strlen(doors[i].path) == len &&
			strncmp(doors[i].path, request->target, len) == 0) {
			doors[i].serve(serve, conn, request);
			return;
		}
	}
	answer_error(
		conn, 404, "POST mail, GET or DELETE requests, GET stats, POST or DELETE fault");
}
