/* What a test logs in with, kind by kind. */
#include <stdio.h>

#include "config/moment.h"
#include "proxy/exchange_login.h"
#include "proxy/login_fields.h"
#include "proxy/login_table.h"
#include "proxy/upstream.h"
#include "proxy/upstream_service.h"
#include "proxy/upstream_test_parts.h"
#include "proxy/worker.h"

static const char *kind_step(enum login_kind kind)
{
	switch (kind) {
	case LOGIN_KERBEROS: return "ticket";
	case LOGIN_MINTED: return "certificate";
	case LOGIN_BEARER: return "token";
	default: return "assertion";
	}
}

void upstream_test_log_in(struct upstream_test *test, unsigned int kind)
{
	struct login_client *client = test->worker->login_client;
	const struct config *config = test->worker->config;
	char service[LOGIN_SERVICE_MAX + 1];
	int asked;

	while (kind < LOGIN_KIND_COUNT && !login_kind_is_used(config, kind))
		kind++;
	if (kind == LOGIN_KIND_COUNT || test->lacks_login) {
		upstream_test_wait_for(test, STAGE_CONNECT);
		upstream_test_connect(test);
		return;
	}
	test->kind = (enum login_kind)kind;
	upstream_test_wait_for(test, STAGE_LOGIN);
	if (kind == LOGIN_KERBEROS)
		asked = upstream_service(&config->upstream, test->endpoint->config, service) == 0
				? login_client_token(
					  client, test->login, service, true, &test->waiter)
				: -1;
	else
		asked = login_client_want(client, test->login, test->kind, true, &test->waiter);
	if (asked != 0)
		upstream_test_say_last(test, kind_step(test->kind), false,
			"the identity process cannot be asked", "look at the log");
}

/* Whether what went wrong is that it is not known whose account it is. */
static bool is_about_directory(enum refusal refusal)
{
	return refusal == REFUSAL_DIRECTORY_UNAVAILABLE || refusal == REFUSAL_USER_UNKNOWN ||
	       refusal == REFUSAL_USER_DISABLED || refusal == REFUSAL_NAME_AMBIGUOUS;
}

static void say_login(struct upstream_test *test, const struct login_result *result)
{
	const struct message_login_answer *answer = result->answer;
	const char *known = answer != NULL && answer->was_known ? " (got a moment ago)" : "";
	char moment[MOMENT_TEXT_SIZE], text[LOGIN_SERVICE_MAX + 120],
		service[LOGIN_SERVICE_MAX + 1];

	if (answer == NULL) {
		upstream_test_say(test, kind_step(test->kind), true, "it is there", "");
		return;
	}
	if (answer->account[0] != '\0')
		upstream_test_say_timed(
			test, "directory", true, answer->directory_us, answer->account, "");
	moment_write(answer->valid_until, moment);
	if (test->kind == LOGIN_KERBEROS && upstream_service(&test->worker->config->upstream,
						    test->endpoint->config, service) == 0)
		snprintf(text, sizeof(text), "for %s, until %s%s; a token of %u bytes", service,
			moment, known, (unsigned int)answer->secret_len);
	else
		snprintf(text, sizeof(text), "until %s%s; %u bytes", moment, known,
			(unsigned int)answer->secret_len);
	upstream_test_say_timed(test, kind_step(test->kind), true,
		(uint64_t)answer->fetch_us + answer->token_us, text, "");
}

void upstream_test_take_login(struct upstream_test *test, const struct login_result *result)
{
	if (result->refusal != REFUSAL_NONE) {
		upstream_test_say(test,
			is_about_directory(result->refusal) ? "directory" : kind_step(test->kind),
			false, result->reason,
			result->hint[0] != '\0' ? result->hint
						: refusal_row(result->refusal)->remedy);
		test->lacks_login = true;
	} else {
		say_login(test, result);
		if (result->token.len > 0)
			test->negotiate = login_fields_negotiate(result->token);
		test->context = result->context;
	}
	upstream_test_log_in(test, test->kind + 1U);
}

static enum refusal judge_nobody(void *context, const struct credential *credential)
{
	(void)context;
	(void)credential;
	return REFUSAL_NONE;
}

static void drop_nothing(void *context, const char *mailbox)
{
	(void)context;
	(void)mailbox;
}

static void forget_context(void *context, uint32_t login_context)
{
	struct worker *worker = context;

	login_client_forget(worker->login_client, login_context);
}

/* Logins of no phone's: what was got for a test is never used for anybody, and wiped with it. False when
 * memory runs out. */
bool upstream_test_pin_login(struct upstream_test *test)
{
	struct worker *worker = test->worker;
	const struct login_table_calls table_calls = {.judge = judge_nobody,
		.drop = drop_nothing,
		.forget = forget_context,
		.context = worker};

	if (!login_is_needed(worker->config))
		return true;
	if (worker->test_logins == NULL) {
		worker->test_logins = login_table_new(worker->base, 1, &table_calls);
		if (worker->test_logins == NULL)
			return false;
		if (worker->config->upstream.login == CONFIG_LOGIN_MINTED)
			login_table_set_needs_identity(worker->test_logins);
	}
	test->login = login_table_pin(worker->test_logins, test->mailbox);
	return test->login != NULL;
}

void upstream_test_let_login_go(struct upstream_test *test)
{
	const struct upstream_test *other;

	if (test->login == NULL)
		return;
	LIST_FOREACH(other, &test->worker->upstream_tests, entry)
		if (other->login == test->login)
			break;
	if (other == NULL)
		login_end(test->login);
	login_unpin(test->login);
}
