#include "proxy/control_request.h"

#include <string.h>

#include "proxy/control.h"
#include "proxy/control_crl.h"
#include "proxy/control_device_requests.h"
#include "proxy/control_devices.h"
#include "proxy/control_explain.h"
#include "proxy/control_history.h"
#include "proxy/control_process.h"
#include "proxy/control_status.h"
#include "proxy/control_trace.h"
#include "proxy/control_upstream.h"
#include "proxy/control_upstream_test.h"
#include "proxy/control_users.h"
#include "proxy/log.h"

static const struct row {
	const char *name;
	control_handler *run;
	const char *subject; /* the argument that says whom or what it is about, for the log */
} rows[] = {
	{"status", control_request_status, NULL},
	{"reload", control_request_reload, NULL},
	{"refresh", control_request_refresh, NULL},
	{"user-revoke", control_request_user_revoke, "mailbox"},
	{"user-allow", control_request_user_allow, "mailbox"},
	{"user-show", control_request_user_show, "mailbox"},
	{"user-list", control_request_user_list, NULL},
	{"device-list", control_request_device_list, NULL},
	{"device-show", control_request_device_show, "id"},
	{"device-allow", control_request_device_order, "id"},
	{"device-block", control_request_device_order, "id"},
	{"device-quarantine", control_request_device_order, "id"},
	{"device-wipe", control_request_device_order, "id"},
	{"device-forget", control_request_device_forget, "id"},
	{"device-add", control_request_device_add, "id"},
	{"seen", control_request_seen, NULL},
	{"explain", control_request_explain, NULL},
	{"crl-list", control_request_crl_list, NULL},
	{"crl-refresh", control_request_crl_refresh, "authority"},
	{"device-history", control_request_device_history, "device"},
	{"trace", control_request_trace, "target"},
	{"upstream-list", control_request_upstream_list, NULL},
	{"upstream-test", control_request_upstream_test, "mailbox"},
};

static void log_request(const struct row *row, const struct control_request *request)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, "control-request");
	log_text(&line, "request", row->name);
	if (row->subject != NULL)
		log_text(&line, row->subject, control_argument(request, row->subject));
	log_number(&line, "user_id", (int64_t)request->user_id);
	log_end(&line);
}

void control_request_run(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, request->name) == 0) {
			log_request(&rows[i], request);
			rows[i].run(control, client, request);
			return;
		}
	control_answer_error(client, "unknown request");
}

void control_request_status(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	(void)request;
	control_answer_text(client, control_status(control));
}

void control_request_reload(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	(void)request;
	if (!control_tell_supervisor(control, MESSAGE_RELOAD))
		control_answer_error(client, "the supervisor does not listen");
	else
		control_await(client, CONTROL_WAIT_RELOAD, CONTROL_RELOAD_TIME_MS,
			"the reload is not done yet; see the log");
}

void control_request_refresh(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	(void)request;
	if (control_refresh(control, UINT32_MAX))
		control_answer_done(client);
	else
		control_answer_error(client, "the supervisor does not listen");
}
