#include "proxy/control_users.h"

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/mailbox.h"
#include "auth/unicode.h"
#include "config/clock.h"
#include "proxy/control_arguments.h"
#include "proxy/control_crl.h"
#include "proxy/control_device_requests.h"
#include "proxy/control_process.h"
#include "proxy/control_seen.h"
#include "proxy/log.h"
#include "proxy/state_seen.h"
#include "proxy/state_store.h"
#include "proxy/state_users.h"

enum {
	LIST_MAX = 1000, /* users in one answer of user-list */
	REFRESH_PAUSE_US = 10 * 1000 * 1000,
	SHOW_CERTIFICATES = 20, /* certificates in one of user-show */
};

/* Telling the workers */

void control_store_trouble(struct control *control, enum control_trouble which, const char *text)
{
	char *known = control->troubles[which];

	if (text[0] != '\0' && strcmp(known, text) != 0)
		log_message(CONFIG_LOG_ERROR, "state-store-failed", "%s", text);
	snprintf(known, sizeof(control->troubles[which]), "%s", text);
}

static int send_users(struct control *control, struct error *err)
{
	const struct message message = {.type = MESSAGE_USERS};
	int64_t version;
	size_t count;
	int fd = state_users_index(control->store, &version, &count, err), result;

	if (fd == -1)
		return -1;
	result = message_send(control->child->supervisor, &message, fd);
	if (result == -1)
		error_sys(err, "telling the workers which users are out");
	close(fd);
	if (result == -1)
		return -1;
	control->users_version = version;
	control->users_count = count;
	return 0;
}

/* What the authorities say after a revocation is what lets the user in again. A list of users that is
 * revoked one after the other has the locations looked at when it begins, and once more for each
 * pause. */
static void refresh_if_due(struct control *control)
{
	uint64_t now = clock_us();

	if (!control->wants_refresh ||
		(control->refreshed_us != 0 && now - control->refreshed_us < REFRESH_PAUSE_US))
		return;
	/* When the supervisor does not take it: a second from now. */
	if (control_refresh(control, UINT32_MAX)) {
		control->wants_refresh = false;
		control->refreshed_us = now;
	}
}

/* Also tries again what could not be sent. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;
	struct error err = {""};
	int64_t version;

	(void)fd;
	(void)what;
	if (state_store_check(control->store, &err) == 0 &&
		state_users_version(control->store, &version, &err) == 0 &&
		(version == control->users_version || send_users(control, &err) == 0))
		err.text[0] = '\0';
	control_store_trouble(control, CONTROL_TROUBLE_TELLING, err.text);
	refresh_if_due(control);
}

int control_users_start(struct control *control, struct error *err)
{
	static const struct timeval second = {.tv_sec = 1};

	if (send_users(control, err) == -1)
		return -1;
	control->users_tick = event_new(control->base, -1, EV_PERSIST, on_tick, control);
	if (control->users_tick == NULL || event_add(control->users_tick, &second) == -1)
		return error_set(err, "out of memory");
	return 0;
}

json_t *control_users_status(struct control *control)
{
	struct state_seen_counts counts = {0};
	json_t *object = json_object();
	const char *trouble = "";
	struct error err;

	if (state_seen_count(control->store, &counts, &err) == -1)
		trouble = err.text;
	for (size_t i = 0; i < CONTROL_TROUBLE_COUNT && trouble[0] == '\0'; i++)
		trouble = control->troubles[i];
	json_object_set_new(object, "state", json_string(trouble[0] == '\0' ? "ok" : "failing"));
	if (trouble[0] != '\0')
		json_object_set_new(object, "error", json_string(trouble));
	json_object_set_new(
		object, "revoked_users", json_integer((json_int_t)control->users_count));
	json_object_set_new(object, "certificates", json_integer(counts.all));
	json_object_set_new(object, "strangers", json_integer(counts.strangers));
	json_object_set_new(
		object, "reports_dropped", json_integer((json_int_t)control_seen_dropped(control)));
	return object;
}

/* What makes it likely that another mailbox was meant. */
static void add_doubts(struct control *control, json_t *answer, const char *mailbox)
{
	const char *domain = strchr(mailbox, '@') + 1;
	struct error err;
	int64_t count;

	control_seen_flush(control);
	if (!mailbox_is_routable(&control->child->config->mailbox, domain))
		control_add_note(
			answer, "%s is not among mailbox/domains: no phone gets in for it", domain);
	else if (state_seen_count_of(control->store, mailbox, &count, &err) == 0 && count == 0)
		control_add_note(answer,
			"no certificate has come for this mailbox in the last %d days",
			STATE_SEEN_DAYS);
}

/* user-revoke */

/* Whether a valid-from that was given can be set: 1, 0 when the client has been told why not. */
static bool read_valid_from(struct control_client *client, const struct control_request *request,
	int64_t now, bool *is_future)
{
	const json_t *given = json_object_get(request->arguments, "valid_from");

	*is_future = false;
	if (given == NULL)
		return true;
	if (!json_is_integer(given)) {
		control_answer_error(client, "valid_from is not a number of seconds");
		return false;
	}
	if (json_integer_value(given) <= now) {
		control_answer_error(client,
			"nothing was changed: valid-from is not in the future, and only what is "
			"can be set (to the current time then); without it, all that was "
			"established until now is void");
		return false;
	}
	*is_future = true;
	return true;
}

static void log_user(const char *event, const struct state_user *user)
{
	struct log_line line;

	log_begin(&line, CONFIG_LOG_INFO, event);
	log_text(&line, "mailbox", user->mailbox);
	if (user->valid_from != 0)
		log_number(&line, "valid_from", user->valid_from);
	log_text(&line, "reason", user->reason);
	log_number(&line, "user_id", user->user_id);
	log_end(&line);
}

/* The clock of an authority may be ahead of ours: a CRL that is there already has been made before the
 * revocation, whatever its date says, and must not decide. */
static int64_t latest_effective(const struct control *control)
{
	const struct trust_store *trust = control->child->trust;
	int64_t latest = 0;

	for (size_t i = 0; i < trust->count; i++) {
		int64_t date = control_effective(&trust->authorities[i], &control->authorities[i]);

		if (date > latest)
			latest = date;
	}
	return latest;
}

void control_request_user_revoke(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	int64_t now = (int64_t)time(NULL);
	int64_t latest = latest_effective(control);
	struct state_user user = {.valid_from = latest > now ? latest : now,
		.revoked_at = now,
		.user_id = (uint32_t)request->user_id};
	struct error err;
	bool is_future;
	json_t *answer;

	if (!control_read_mailbox(control, client, request, user.mailbox) ||
		!read_valid_from(client, request, now, &is_future) ||
		!control_read_reason(client, request, user.reason))
		return;
	if (state_users_revoke(control->store, &user, &err) == -1 ||
		state_users_find(control->store, user.mailbox, &user, &err) == -1) {
		control_store_trouble(control, CONTROL_TROUBLE_USERS, err.text);
		control_answer_error(client, "%s", err.text);
		return;
	}
	control_store_trouble(control, CONTROL_TROUBLE_USERS, "");
	log_user("user-revoked", &user);
	if (send_users(control, &err) == -1) {
		control_answer_error(client,
			"it is written down, but the workers do not know yet; it is tried again "
			"every second: %s",
			err.text);
		return;
	}
	answer = json_pack(
		"{s:s,s:I}", "mailbox", user.mailbox, "valid_from", (json_int_t)user.valid_from);
	if (is_future)
		control_add_note(
			answer, "valid-from was in the future: it is set to the current time");
	if (latest > now)
		control_add_note(answer,
			"the clock of an authority is ahead of this host's: valid-from is the "
			"effective date of its CRL, so that only a later one decides");
	add_doubts(control, answer, user.mailbox);
	if (control_devices_to_be_wiped(control, user.mailbox) > 0)
		control_add_note(answer,
			"%d of their devices are still to be wiped, and cannot come to be told "
			"now: easproxyctl user allow lets them",
			control_devices_to_be_wiped(control, user.mailbox));
	control->wants_refresh = true;
	refresh_if_due(control);
	control_answer(client, answer);
}

/* user-allow */

void control_request_user_allow(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	struct state_user user = {.user_id = (uint32_t)request->user_id};
	struct error err;
	int result;

	if (!control_read_mailbox(control, client, request, user.mailbox))
		return;
	result = state_users_allow(control->store, user.mailbox, &err);
	if (result == -1) {
		control_store_trouble(control, CONTROL_TROUBLE_USERS, err.text);
		control_answer_error(client, "%s", err.text);
		return;
	}
	control_store_trouble(control, CONTROL_TROUBLE_USERS, "");
	if (result == 1)
		log_user("user-allowed", &user);
	if (result == 1 && send_users(control, &err) == -1) {
		control_answer_error(client,
			"it is written down, but the workers do not know yet; it is tried again "
			"every second: %s",
			err.text);
		return;
	}
	control_answer(
		client, json_pack("{s:s,s:b}", "mailbox", user.mailbox, "was_revoked", result));
}

/* user-show */

/* A CRL that nobody asks lets nobody in again; see revocation_set_effective(). */
static const char *decision_word(
	const struct authority *authority, int64_t effective, int64_t valid_from)
{
	if (authority->crls[0].url[0] == '\0' || authority->check == AUTHORITY_CHECK_NONE)
		return "never";
	if ((int64_t)time(NULL) < authority->exempt_until)
		return "exempt";
	return effective > valid_from ? "decides" : "waits";
}

/* For each authority what it takes for its certificates to be looked at again: "decides" (its CRL is of
 * a later date), "waits" (for one), "never" (it has no location for one, or is not checked), "exempt" (it is
 * not checked for now). */
static json_t *authorities_for(const struct control *control, int64_t valid_from)
{
	const struct trust_store *trust = control->child->trust;
	json_t *array = json_array();

	for (size_t i = 0; i < trust->count; i++) {
		const struct authority *authority = &trust->authorities[i];
		int64_t date = control_effective(authority, &control->authorities[i]);
		const char *state = decision_word(authority, date, valid_from);

		json_array_append_new(
			array, json_pack("{s:s,s:s,s:I}", "issuer", authority->issuer, "state",
				       state, "effective_date", (json_int_t)date));
	}
	return array;
}

static bool append_seen(void *context, const struct state_seen *seen)
{
	json_array_append_new(context, control_seen_object(seen));
	return true;
}

static json_t *user_object(const struct state_user *user)
{
	return json_pack("{s:s,s:I,s:I,s:I,s:s}", "mailbox", user->mailbox, "valid_from",
		(json_int_t)user->valid_from, "revoked_at", (json_int_t)user->revoked_at, "user_id",
		(json_int_t)user->user_id, "reason", user->reason);
}

void control_request_user_show(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	char mailbox[MAILBOX_MAX + 1];
	json_t *answer, *certificates;
	struct state_user user;
	struct error err;
	int result;

	if (!control_read_mailbox(control, client, request, mailbox))
		return;
	control_seen_flush(control);
	certificates = json_array();
	result = state_users_find(control->store, mailbox, &user, &err);
	if (result == -1 || state_seen_of(control->store, mailbox, SHOW_CERTIFICATES, append_seen,
				    certificates, &err) == -1) {
		json_decref(certificates);
		control_answer_error(client, "%s", err.text);
		return;
	}
	answer = result == 1 ? user_object(&user) : json_pack("{s:s}", "mailbox", mailbox);
	json_object_set_new(answer, "revoked", json_boolean(result == 1));
	if (result == 1)
		json_object_set_new(
			answer, "authorities", authorities_for(control, user.valid_from));
	json_object_set_new(answer, "certificates", certificates);
	add_doubts(control, answer, mailbox);
	control_answer(client, answer);
}

/* user-list */

/* {"after": MAILBOX} has the next page begin behind that one. */
void control_request_user_list(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	static struct state_user users[LIST_MAX];
	const char *after = control_argument(request, "after");
	struct error err;
	int count = state_users_after(
		control->store, after == NULL ? "" : after, users, LIST_MAX, &err);
	json_t *array;

	if (count == -1) {
		control_answer_error(client, "%s", err.text);
		return;
	}
	array = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(array, user_object(&users[i]));
	control_answer(
		client, json_pack("{s:o,s:b}", "users", array, "has_more", count == LIST_MAX));
}
