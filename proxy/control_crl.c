#include "proxy/control_crl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "config/clock.h"
#include "config/moment.h"
#include "proxy/control.h"
#include "proxy/control_process.h"
#include "proxy/crl_facts.h"

enum { KEY_ID_PART_MIN = 4, NUMBER_DIGITS_MAX = 3, ANSWER_MARGIN_MS = 2000 };

/* States */

static bool is_current(const struct message_index *index, int64_t now, int64_t grace_s)
{
	return now <= index->facts.next_update + grace_s;
}

static bool has_locations(const struct authority *authority)
{
	return authority->crls[0].url[0] != '\0';
}

static enum control_crl_state state_of(
	const struct authority *authority, const struct control_crl *crl, int64_t now)
{
	if (!crl->has_index)
		return CONTROL_CRL_NEVER_FETCHED;
	if (is_current(&crl->index, now, 0))
		return CONTROL_CRL_CURRENT;
	return is_current(&crl->index, now, authority->grace_s) ? CONTROL_CRL_GRACE
								: CONTROL_CRL_STALE;
}

static enum control_crl_state location_state(const struct authority *authority,
	const struct control_authority *known, size_t place, int64_t now)
{
	if (!has_locations(authority))
		return CONTROL_CRL_NO_LOCATION;
	if (authority->check == AUTHORITY_CHECK_NONE)
		return CONTROL_CRL_NOT_CHECKED;
	if (now < authority->exempt_until)
		return CONTROL_CRL_EXEMPT;
	return state_of(authority, &known->crls[place], now);
}

enum control_crl_state control_authority_state(
	const struct authority *authority, const struct control_authority *known, int64_t now)
{
	enum control_crl_state worst = location_state(authority, known, 0, now);

	for (size_t i = 1; i < authority->crl_count; i++) {
		enum control_crl_state state = location_state(authority, known, i, now);

		if (state > worst)
			worst = state;
	}
	return worst;
}

const char *control_crl_word(enum control_crl_state state)
{
	static const char *const words[] = {
		[CONTROL_CRL_NO_LOCATION] = "no-location",
		[CONTROL_CRL_NOT_CHECKED] = "not-checked",
		[CONTROL_CRL_EXEMPT] = "exempt",
		[CONTROL_CRL_CURRENT] = "current",
		[CONTROL_CRL_GRACE] = "grace",
		[CONTROL_CRL_STALE] = "stale",
		[CONTROL_CRL_NEVER_FETCHED] = "never-fetched",
	};

	return words[state];
}

int64_t control_effective(const struct authority *authority, const struct control_authority *known)
{
	int64_t of_complete = 0, of_parts = INT64_MAX;

	for (size_t i = 0; i < authority->crl_count; i++) {
		const struct revocation_facts *facts = &known->crls[i].index.facts;

		if (!known->crls[i].has_index) {
			of_parts = 0;
			continue;
		}
		if (facts->scope.only_ca)
			continue;
		if (facts->scope.name_count == 0 &&
			facts->scope.reasons == REVOCATION_REASONS_ALL &&
			facts->this_update > of_complete)
			of_complete = facts->this_update;
		if (facts->this_update < of_parts)
			of_parts = facts->this_update;
	}
	if (of_complete != 0)
		return of_complete;
	return of_parts == INT64_MAX ? 0 : of_parts;
}

const char *control_authority_error(
	const struct authority *authority, const struct control_authority *known)
{
	for (size_t i = 0; i < authority->crl_count; i++)
		for (size_t half = 0; half < 2; half++) {
			const struct control_crl *crl = &known->crls[i];

			if (crl->has_report[half] && crl->reports[half].error[0] != '\0')
				return crl->reports[half].error;
		}
	return "";
}

/* What would happen when */

static json_t *consequence(const struct authority *authority, const struct control_crl *crl,
	enum control_crl_state state)
{
	char until[MOMENT_TEXT_SIZE], end[MOMENT_TEXT_SIZE];

	moment_write(authority->exempt_until, until);
	moment_write(crl->index.facts.next_update + authority->grace_s, end);
	switch (state) {
	case CONTROL_CRL_NO_LOCATION:
		return json_string("nobody under it can be found revoked: it has no CRL location");
	case CONTROL_CRL_NOT_CHECKED:
		return json_string("nobody under it is looked up: its check is none");
	case CONTROL_CRL_EXEMPT:
		return json_sprintf("nobody under it is looked up until %s", until);
	case CONTROL_CRL_CURRENT:
		return json_sprintf("phones under it are refused from %s on, unless a newer CRL "
				    "has come by then",
			end);
	case CONTROL_CRL_GRACE:
		return json_sprintf("it is past its next update; phones under it are refused from "
				    "%s on, unless a newer CRL has come by then",
			end);
	case CONTROL_CRL_STALE:
		return json_sprintf("phones under it have been refused since %s, and are until a "
				    "newer CRL has come",
			end);
	default: return json_string("phones under it are refused until it has come");
	}
}

/* The list */

static json_t *half_of(const char *url, const struct control_crl *crl, size_t half)
{
	static const char *const forms[] = {[REVOCATION_FORM_NONE] = "unknown",
		[REVOCATION_FORM_DER] = "DER",
		[REVOCATION_FORM_PEM] = "PEM"};
	const struct message_crl *report = &crl->reports[half];
	json_t *object = json_object();

	json_object_set_new(object, "url", json_string(url));
	if (!crl->has_report[half])
		return object;
	if (report->form != REVOCATION_FORM_NONE)
		json_object_set_new(object, "form", json_string(forms[report->form]));
	crl_facts_set_moment(object, "looked_at", report->looked_at);
	crl_facts_set_moment(object, "next_look", report->next_look);
	json_object_set_new(object, "unchanged", json_boolean(report->is_unchanged));
	json_object_set_new(object, "compile_ms", json_integer(report->compile_ms));
	json_object_set_new(object, "failures", json_integer(report->failures));
	if (report->error[0] != '\0')
		json_object_set_new(object, "error", json_string(report->error));
	return object;
}

static json_t *place_of(const struct trust_store *trust, const struct authority *authority,
	const struct control_authority *known, size_t place, int64_t now)
{
	const struct control_crl *crl = &known->crls[place];
	const struct crl_location *location = &authority->crls[place];
	enum control_crl_state state = location_state(authority, known, place, now);
	json_t *object = json_object();

	json_object_set_new(object, "state", json_string(control_crl_word(state)));
	json_object_set_new(object, "consequence", consequence(authority, crl, state));
	json_object_set_new(object, "base", half_of(location->url, crl, 0));
	if (location->delta_url[0] != '\0')
		json_object_set_new(object, "delta", half_of(location->delta_url, crl, 1));
	if (crl->has_index)
		crl_facts_set(object, trust, &crl->index.facts);
	return object;
}

static json_t *authority_of(const struct trust_store *trust, size_t number,
	const struct control_authority *known, int64_t now)
{
	const struct authority *authority = &trust->authorities[number];
	enum control_crl_state state = control_authority_state(authority, known, now);
	json_t *object = json_object();
	json_t *crls = json_array();

	json_object_set_new(object, "number", json_integer((json_int_t)number + 1));
	json_object_set_new(object, "issuer", json_string(authority->issuer));
	json_object_set_new(object, "key_id", json_string(authority->key_id));
	json_object_set_new(object, "state", json_string(control_crl_word(state)));
	json_object_set_new(object, "grace_s", json_integer(authority->grace_s));
	crl_facts_set_moment(object, "exempt_until", authority->exempt_until);
	if (!has_locations(authority))
		json_object_set_new(
			object, "consequence", consequence(authority, &known->crls[0], state));
	for (size_t i = 0; i < authority->crl_count; i++)
		json_array_append_new(crls, place_of(trust, authority, known, i, now));
	json_object_set_new(object, "crls", crls);
	return object;
}

/* One authority's locations (-1: all authorities), as crl-list shows them. */
static json_t *list_authorities(const struct trust_store *trust,
	const struct control_authority *authorities, int which, int64_t now)
{
	json_t *answer = json_object();
	json_t *array = json_array();

	for (size_t i = 0; i < trust->count; i++)
		if (which == -1 || (size_t)which == i)
			json_array_append_new(array, authority_of(trust, i, &authorities[i], now));
	json_object_set_new(answer, "now", json_integer(now));
	json_object_set_new(answer, "authorities", array);
	return answer;
}

/* Which authority is meant */

static bool is_number(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return len > 0 && len <= NUMBER_DIGITS_MAX && text[len] == '\0';
}

static bool is_meant(const struct authority *authority, const char *text)
{
	size_t len = strlen(text);

	if (len >= KEY_ID_PART_MIN && strncasecmp(authority->key_id, text, len) == 0)
		return true;
	for (const char *at = authority->issuer; *at != '\0'; at++)
		if (strncasecmp(at, text, len) == 0)
			return true;
	return false;
}

/* By a number (from 1), a part of its name, or the beginning of its key identifier: its place in the
 * store. -1 with err filled: none, or more than one. */
static int find_authority(const struct trust_store *trust, const char *text, struct error *err)
{
	int found = -1;

	if (is_number(text)) {
		unsigned long number = strtoul(text, NULL, 10);

		if (number >= 1 && number <= trust->count)
			return (int)number - 1;
		return error_set(
			err, "there is no authority %s; there are %zu", text, trust->count);
	}
	for (size_t i = 0; i < trust->count && text[0] != '\0'; i++) {
		if (!is_meant(&trust->authorities[i], text))
			continue;
		if (found != -1)
			return error_set(err,
				"\"%.60s\" can mean authority %d or %zu; give a number, or more "
				"of the name or key identifier",
				text, found + 1, i + 1);
		found = (int)i;
	}
	if (found == -1)
		error_set(err,
			"no authority has \"%.60s\" in its name or begins its key "
			"identifier with it",
			text);
	return found;
}

/* Requests */

void control_request_crl_list(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	(void)request;
	control_answer(client, list_authorities(control->child->trust, control->authorities, -1,
				       (int64_t)time(NULL)));
}

bool control_refresh(const struct control *control, uint32_t authority)
{
	const struct message message = {
		.type = MESSAGE_REFRESH, .u.refresh = {.authority = authority}};

	return message_send(control->child->supervisor, &message, -1) == 0;
}

/* Who waits for what: a client's number says whether it is still there. */
static struct waiting {
	uint64_t number; /* 0: free */
	int authority;   /* -1: all */
	int64_t asked_ns;
} waiting[CONTROL_CLIENTS_MAX];

/* Each half of each location has been looked at since. */
static bool is_done(const struct control *control, const struct waiting *wait)
{
	const struct trust_store *trust = control->child->trust;

	for (size_t i = 0; i < trust->count; i++) {
		const struct authority *authority = &trust->authorities[i];

		if (wait->authority != -1 && (size_t)wait->authority != i)
			continue;
		for (size_t j = 0; j < 2 * authority->crl_count; j++) {
			const struct control_crl *crl = &control->authorities[i].crls[j / 2];
			bool is_delta = j % 2 == 1;

			if (is_delta && authority->crls[j / 2].delta_url[0] == '\0')
				continue;
			if (crl->reports[is_delta].began_ns < wait->asked_ns)
				return false;
		}
	}
	return true;
}

/* The longest that a look may take. */
static uint32_t patience_ms(const struct control *control, int which)
{
	const struct trust_store *trust = control->child->trust;
	uint32_t longest = control->child->config->revocation.time_limit_ms;

	for (size_t i = 0; i < trust->count; i++)
		if ((which == -1 || (size_t)which == i) &&
			trust->authorities[i].crl_time_limit_ms > longest)
			longest = trust->authorities[i].crl_time_limit_ms;
	/* Twice: one may be under way that began too early, and a delta follows its base. */
	longest = longest > (CONTROL_RELOAD_TIME_MS - ANSWER_MARGIN_MS) / 2
			  ? (CONTROL_RELOAD_TIME_MS - ANSWER_MARGIN_MS) / 2
			  : longest;
	return 2 * longest + ANSWER_MARGIN_MS;
}

void control_crl_reported(struct control *control)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct waiting *wait = &waiting[i];
		struct control_client *client;

		if (wait->number == 0 || !is_done(control, wait))
			continue;
		client = control_find_waiting(control, CONTROL_WAIT_CRL, wait->number);
		wait->number = 0;
		if (client != NULL)
			control_answer(client,
				list_authorities(control->child->trust, control->authorities,
					wait->authority, (int64_t)time(NULL)));
	}
}

/* There are as many as there can be clients, so one is free or its client has gone. */
static struct waiting *waiting_slot(const struct control *control)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (waiting[i].number == 0 ||
			control_find_waiting(control, CONTROL_WAIT_CRL, waiting[i].number) == NULL)
			return &waiting[i];
	return NULL;
}

void control_request_crl_refresh(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	const char *text = control_argument(request, "authority");
	struct waiting *slot = waiting_slot(control);
	struct waiting wait = {.authority = -1, .asked_ns = clock_ns()};
	struct error err;

	if (text != NULL) {
		wait.authority = find_authority(control->child->trust, text, &err);
		if (wait.authority == -1) {
			control_answer_error(client, "%s", err.text);
			return;
		}
	}
	if (slot == NULL || !control_refresh(control,
				    wait.authority == -1 ? UINT32_MAX : (uint32_t)wait.authority)) {
		control_answer_error(client, "the supervisor does not listen");
		return;
	}
	wait.number = control_await(client, CONTROL_WAIT_CRL, patience_ms(control, wait.authority),
		"not all CRL locations have answered yet; see easproxyctl crl list");
	*slot = wait;
	control_crl_reported(
		control); /* where nothing has a location there is nothing to wait for */
}
