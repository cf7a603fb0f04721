/* The door for tests, on the same port: /eassim/mail, /eassim/requests, /eassim/stats,
 * /eassim/fault, /eassim/wake. It is open to whoever reaches the port; eassim serve belongs on loopback. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

/* The value of a parameter of the target's query; false where there is none or it is malformed. */
static bool parameter(const char *target, const char *name, char *value, size_t size)
{
	const char *at = strchr(target, '?');
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

static unsigned int number_parameter(const char *target, const char *name, unsigned int otherwise)
{
	char text[16];

	return parameter(target, name, text, sizeof(text)) ? (unsigned int)strtoul(text, NULL, 10)
							   : otherwise;
}

static json_t *refuse(unsigned int *status, unsigned int with, const char *text)
{
	*status = with;
	return json_pack("{s:s}", "error", text);
}

static json_t *mail_put(struct serve *serve, const char *target, unsigned int *status)
{
	char name[321], subject[256];
	struct mailbox *mailbox;
	bool has_subject = parameter(target, "subject", subject, sizeof(subject));
	unsigned int count = number_parameter(target, "count", 1);
	const struct mail *mail = NULL;

	if (!parameter(target, "mailbox", name, sizeof(name)) || count == 0 || count > 100000 ||
		(mailbox = store_mailbox(&serve->store, name)) == NULL)
		return refuse(status, 400, "mailbox= is missing");
	while (count-- > 0)
		mail = mailbox_generate(mailbox, has_subject ? subject : NULL);
	if (mail == NULL)
		return refuse(status, 500, "the mailbox is full");
	return json_pack("{s:o, s:i, s:o}", "mailbox", json_bytes(name, strlen(name)), "number",
		(int)mail->number, "subject", json_bytes(mail->subject, strlen(mail->subject)));
}

static json_t *requests_list(struct serve *serve, const char *target, unsigned int *status)
{
	char name[321];
	bool has_name = parameter(target, "mailbox", name, sizeof(name));

	(void)status;
	return journal_list(serve->journal, has_name ? name : NULL);
}

static json_t *requests_clear(struct serve *serve, const char *target, unsigned int *status)
{
	(void)target;
	(void)status;
	journal_clear(serve->journal);
	return json_object();
}

static json_t *stats_show(struct serve *serve, const char *target, unsigned int *status)
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
		{"http_refused", serve->http != NULL ? http_server_refused(serve->http) : 0},
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

	(void)target;
	(void)status;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(
			all, numbers[i].name, json_integer((json_int_t)numbers[i].value));
	for (size_t i = 0; i < 24; i++)
		if (commands[i] != NULL)
			json_object_set_new(by_command, commands[i],
				json_integer((json_int_t)stats->commands[i]));
	json_object_set_new(all, "commands", by_command);
	return all;
}

static json_t *fault_put(struct serve *serve, const char *target, unsigned int *status)
{
	struct fault fault = {.count = number_parameter(target, "count", 1),
		.status = number_parameter(target, "status", 0)};
	struct error err = {"kind= is missing"};
	char kind[32];

	parameter(target, "command", fault.command, sizeof(fault.command));
	parameter(target, "mailbox", fault.mailbox, sizeof(fault.mailbox));
	if (!parameter(target, "kind", kind, sizeof(kind)) ||
		fault_add(serve, kind, &fault, &err) != 0)
		return refuse(status, 400, err.text);
	return json_object();
}

static json_t *faults_clear(struct serve *serve, const char *target, unsigned int *status)
{
	(void)target;
	(void)status;
	memset(serve->faults, 0, sizeof(serve->faults));
	return json_object();
}

/* Pings of the bench: they wait for nothing else. */
static json_t *polls_wake(struct serve *serve, const char *target, unsigned int *status)
{
	if (serve->bench == NULL)
		return refuse(status, 404, "eassim serve --bench has it");
	return json_pack("{s:I}", "polls",
		(json_int_t)bench_server_wake(serve->bench, number_parameter(target, "pace", 0)));
}

json_t *admin_answer(
	struct serve *serve, const char *method, const char *target, unsigned int *status)
{
	static const struct {
		const char *method, *path;
		json_t *(*answer)(struct serve *, const char *target, unsigned int *status);
	} doors[] = {
		{"POST", "/eassim/mail", mail_put},
		{"GET", "/eassim/requests", requests_list},
		{"DELETE", "/eassim/requests", requests_clear},
		{"GET", "/eassim/stats", stats_show},
		{"POST", "/eassim/fault", fault_put},
		{"DELETE", "/eassim/fault", faults_clear},
		{"POST", "/eassim/wake", polls_wake},
	};
	size_t len = strcspn(target, "?");

	*status = 200;
	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
		if (strcmp(doors[i].method, method) == 0 && strlen(doors[i].path) == len &&
			strncmp(doors[i].path, target, len) == 0)
			return doors[i].answer(serve, target, status);
	return refuse(status, 404,
		"POST mail, GET or DELETE requests, GET stats, POST or DELETE fault, POST wake");
}

void admin_serve(
	struct serve *serve, struct server_conn *conn, const struct server_request *request)
{
	struct server_answer answer = {.content_type = "application/json"};
	json_t *value = admin_answer(serve, request->method, request->target, &answer.status);
	char *text = json_dumps(value, JSON_INDENT(1));

	if (text == NULL)
		answer.status = 500;
	answer.body = span_of(text, text != NULL ? strlen(text) : 0);
	server_conn_answer(conn, &answer);
	free(text);
	json_decref(value);
}
