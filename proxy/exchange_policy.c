#include "proxy/exchange_policy.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/clock.h"
#include "proxy/device_client.h"
#include "proxy/exchange.h"
#include "proxy/policy_body.h"
#include "proxy/policy_rate.h"

static struct policy *policy_of(const struct exchange *exchange)
{
	return exchange->session->worker->policy;
}

/* What rules look at */

static void take_session(const struct exchange *exchange, struct policy_facts *facts)
{
	const struct session *session = exchange->session;
	const struct credential *credential = session->credential;

	facts->mailbox = credential->mailbox;
	facts->issuer = credential_issuer(credential);
	facts->groups = credential_groups(credential);
	facts->oids = accepted_policy_oids(credential->accepted);
	facts->source = session->address;
	facts->now = worker_now(session->worker);
}

static void take_request(const struct exchange *exchange, struct policy_facts *facts)
{
	const struct eas_request *request = &exchange->request;
	const struct device_entry *device = exchange->device;

	facts->command = request->command;
	facts->is_autodiscover = request->path == EAS_PATH_AUTODISCOVER;
	facts->version = request->version;
	facts->device_id = request->device_id;
	facts->device_type = request->device_type;
	facts->model = device == NULL ? "" : device_entry_text(device, DEVICE_MODEL);
	facts->os = device == NULL ? "" : device_entry_text(device, DEVICE_OS);
	facts->has_body = exchange->kind != EAS_BODY_NONE;
	/* Without one, as the last time. */
	if (!facts->has_body && (request->command == EAS_SYNC || request->command == EAS_PING))
		facts->classes = 1U << EAS_CLASS_UNSAID;
}

/* All that is known without the body. */
static void take_head(const struct exchange *exchange, struct policy_facts *facts)
{
	memset(facts, 0, offsetof(struct policy_facts, attachments));
	take_session(exchange, facts);
	take_request(exchange, facts);
}

static void take_document(const struct exchange *exchange, struct policy_facts *facts)
{
	const struct wbxml_buffer *kept = exchange->policy.document;

	if (kept == NULL && exchange->kind == EAS_BODY_WBXML)
		kept = exchange->collected; /* for upstream/body = xml */
	if (!exchange->policy.decision.wants_document || kept == NULL)
		return;
	facts->document_is_too_large =
		kept->has_failed || kept->len > policy_document_size(policy_of(exchange));
	facts->document = span_of(kept->data, kept->len);
}

static void take_body(struct exchange *exchange, struct policy_facts *facts)
{
	if (exchange->request_facts == NULL)
		return;
	policy_take_body(facts, exchange->request_facts, exchange_folder_class, exchange);
	take_document(exchange, facts);
}

/* What they decide */

/* A device that is not there cannot be put anywhere. */
static enum refusal restrict_device(struct exchange *exchange, enum device_state state)
{
	char rule[80];

	if (exchange->device == NULL)
		return REFUSAL_POLICY_DENIED;
	snprintf(rule, sizeof(rule), "rule %s", exchange->policy.decision.rule);
	device_client_order(exchange, state, rule);
	return room_choose(exchange);
}

static enum refusal deny(struct exchange *exchange)
{
	enum { VERSION_NOT_SUPPORTED = 138 };
	const struct policy_decision *decision = &exchange->policy.decision;

	if (decision->has_failed)
		return REFUSAL_POLICY_DOCUMENT;
	if (decision->wants_folders)
		return exchange_folders_unknown(exchange);
	exchange->refusal_eas_status = decision->eas_status;
	exchange->refusal_http_status = decision->http_status;
	return decision->eas_status == VERSION_NOT_SUPPORTED ? REFUSAL_PROTOCOL_CLOSED
							     : REFUSAL_POLICY_DENIED;
}

static bool is_too_large(const struct exchange *exchange)
{
	uint64_t max = exchange->policy.decision.body_size_max;
	uint64_t len = exchange->bytes_in;

	if (exchange->body.framing == HTTP_LENGTH && exchange->content_length > len)
		len = exchange->content_length;
	return max > 0 && len > max;
}

static bool strips(const void *rule, struct span name, struct span content_type, uint64_t size)
{
	return policy_strips(rule, name, content_type, size);
}

static enum refusal allow(struct exchange *exchange)
{
	const struct policy_decision *decision = &exchange->policy.decision;
	struct device_entry *device = exchange->device;
	struct device_rare *rare;

	exchange->changes.hidden_classes = decision->hidden_classes;
	if (decision->strip != NULL) {
		exchange->changes.strips = strips;
		exchange->changes.rule = decision->strip;
	}

	if (is_too_large(exchange))
		return REFUSAL_POLICY_SIZE;
	if (decision->rate == NULL || device == NULL)
		return REFUSAL_NONE;
	rare = device_entry_rare(device);
	if (rare == NULL)
		return REFUSAL_INTERNAL;
	rare->has_buckets = true;
	exchange->retry_after_s = policy_rate_take(decision->rate, &rare->buckets, clock_us());
	return exchange->retry_after_s > 0 ? REFUSAL_POLICY_RATE : REFUSAL_NONE;
}

static enum refusal enforce(struct exchange *exchange)
{
	switch (exchange->policy.decision.action) {
	case POLICY_DENY: return deny(exchange);
	case POLICY_QUARANTINE: return restrict_device(exchange, DEVICE_QUARANTINED);
	case POLICY_WIPE: return restrict_device(exchange, DEVICE_WIPE_ACCOUNT);
	case POLICY_ALLOW: break;
	}
	return allow(exchange);
}

/* Along the way */

static int keep_user_agent(struct exchange *exchange, struct span user_agent)
{
	size_t len =
		user_agent.len < POLICY_USER_AGENT_MAX ? user_agent.len : POLICY_USER_AGENT_MAX;

	if (len == 0 || !policy_asks_user_agent(policy_of(exchange)))
		return 0;
	exchange->policy.user_agent = strndup((const char *)user_agent.data, len);
	return exchange->policy.user_agent == NULL ? -1 : 0;
}

static int keep_document(struct exchange *exchange)
{
	struct exchange_policy *state = &exchange->policy;

	if (!state->decision.wants_document || exchange->kind != EAS_BODY_WBXML ||
		exchange->session->worker->config->upstream.body == CONFIG_BODY_XML)
		return 0;
	state->document = calloc(1, sizeof(*state->document));
	if (state->document == NULL)
		return -1;
	state->document->limit = policy_document_size(policy_of(exchange));
	return 0;
}

enum refusal exchange_policy_head(
	struct exchange *exchange, const struct http_head *head, bool is_postponed)
{
	struct exchange_policy *state = &exchange->policy;
	struct policy *policy = policy_of(exchange);
	struct policy_facts facts;

	/* In these rooms nothing is served that a rule could be about. */
	if (exchange->room == ROOM_WIPE || exchange->room == ROOM_QUARANTINE)
		return REFUSAL_NONE;
	take_head(exchange, &facts);
	(void)http_field_find(head, "user-agent", &facts.user_agent);
	if (is_postponed)
		state->decision.wants_document = policy_asks_document(policy);
	else if (policy_evaluate(policy, &facts, exchange->is_read, &state->decision) ==
		 POLICY_DECIDED)
		return enforce(exchange);
	state->is_open = true;
	if (keep_user_agent(exchange, facts.user_agent) == -1 || keep_document(exchange) == -1)
		return REFUSAL_INTERNAL;
	/* What is too large already need not come. */
	return is_too_large(exchange) ? REFUSAL_POLICY_SIZE : REFUSAL_NONE;
}

enum refusal exchange_policy_take(struct exchange *exchange, struct span content)
{
	struct wbxml_buffer *document = exchange->policy.document;

	if (is_too_large(exchange))
		return REFUSAL_POLICY_SIZE;
	if (document != NULL && !document->has_failed)
		wbxml_buffer_append(document, content.data, content.len);
	return REFUSAL_NONE;
}

enum refusal exchange_policy_whole(struct exchange *exchange)
{
	struct exchange_policy *state = &exchange->policy;
	struct policy_facts facts;

	if (!state->is_open || exchange->room == ROOM_WIPE || exchange->room == ROOM_QUARANTINE)
		return REFUSAL_NONE;
	state->is_open = false;
	take_head(exchange, &facts);
	take_body(exchange, &facts);
	if (state->user_agent != NULL)
		facts.user_agent = span_of_string(state->user_agent);
	(void)policy_evaluate(policy_of(exchange), &facts, true, &state->decision);
	exchange_policy_free(exchange);
	return enforce(exchange);
}

bool exchange_policy_may_strip(const struct exchange *exchange)
{
	return exchange->policy.is_open && policy_may_strip(policy_of(exchange));
}

void exchange_policy_free(struct exchange *exchange)
{
	struct exchange_policy *state = &exchange->policy;

	if (state->document != NULL)
		wbxml_buffer_free(state->document);
	free(state->document);
	free(state->user_agent);
	state->document = NULL;
	state->user_agent = NULL;
}

/* The names of the notes of one kind, with commas between them. */
static void log_notes(
	struct log_line *line, const char *key, const struct exchange *exchange, bool wants_shadow)
{
	const struct policy_decision *decision = &exchange->policy.decision;
	char names[POLICY_NOTES_MAX * 66] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < decision->note_count; i++) {
		bool is_shadow;
		const char *name = policy_note(policy_of(exchange), decision->notes[i], &is_shadow);

		if (is_shadow == wants_shadow && len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
				len == 0 ? "" : ",", name);
	}
	log_text(line, key, names);
}

void exchange_policy_log(struct log_line *line, const struct exchange *exchange)
{
	const struct policy_decision *decision = &exchange->policy.decision;

	log_text(line, "rule", decision->rule);
	log_text(line, "limit_rule", decision->limit_rule);
	log_text(line, "strip_rule", decision->strip_rule);
	if (decision->note_count == 0)
		return;
	log_notes(line, "log_rules", exchange, false);
	log_notes(line, "shadow_rules", exchange, true);
}
