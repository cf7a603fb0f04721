#include "proxy/control_explain.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/authority.h"
#include "auth/identity_names.h"
#include "auth/ocsp_judge.h"
#include "auth/trust_rule.h"
#include "auth/verify.h"
#include "proxy/control_devices.h"
#include "proxy/control_identity.h"
#include "proxy/control_logins.h"
#include "proxy/control_ocsp.h"
#include "proxy/explain_chain.h"
#include "proxy/log.h"
#include "proxy/state_users.h"

enum { CHAIN_MAX = VERDICT_CHAIN_MAX + 1, IDENTITY_TIME_MS = 10 * 1000 };

/* One explanation that waits, first for a responder, where one is asked, then for the mailbox. */
struct control_explanation {
	LIST_ENTRY(control_explanation) link;
	uint64_t number; /* of its client, control_await() */
	json_t *answer;  /* owned */
	enum refusal refusal;
	int authority; /* that issued the leaf; -1: not in the store */
	uint32_t rules;
	bool is_asking; /* a responder */
	uint8_t leaf_sha256[32];
	struct device_facts device; /* no id: none was given */
	enum refusal names_refusal;
	struct identity_names names;
};

int control_explain_start(struct control *control, struct error *err)
{
	LIST_INIT(&control->explanations);
	control_identity_init(control);
	control_ocsp_init(control);
	control->verifier =
		verifier_new(control->child->trust, &control->child->config->trust, err);
	if (control->verifier == NULL)
		return -1;
	return revocation_set_init(&control->revocation, control->child->trust, err);
}

void control_explain_take_index(struct control *control, const struct message *message, int fd)
{
	const struct trust_store *trust = control->child->trust;
	uint32_t authority = message->u.index.authority;
	struct revocation_index *index;
	struct error err;

	if (fd == -1 || authority >= trust->count)
		return;
	index = revocation_index_open(fd, trust->authorities[authority].issuer, &err);
	if (index == NULL || revocation_set_put(&control->revocation, (int)authority,
				     (int)message->u.index.place, index, &err) == -1)
		log_message(CONFIG_LOG_ERROR, "revocation-index", "%s", err.text);
}

/* The end of an explanation */

static void set_verdict(json_t *answer, enum refusal refusal)
{
	const struct refusal_row *row = refusal_row(refusal);

	json_object_set_new(answer, "refusal", json_string(row->name));
	json_object_set_new(answer, "cause", json_string(row->cause));
	json_object_set_new(answer, "remedy", json_string(row->remedy));
	if (row->aadsts[0] != '\0')
		json_object_set_new(answer, "aadsts", json_string(row->aadsts));
}

static void explanation_free(struct control_explanation *explanation)
{
	LIST_REMOVE(explanation, link);
	json_decref(explanation->answer);
	free(explanation);
}

/* Answers the client, if it is still there, and forgets the explanation. */
static void explanation_end(struct control *control, struct control_explanation *explanation)
{
	struct control_client *client =
		control_find_waiting(control, CONTROL_WAIT_EXPLANATION, explanation->number);

	set_verdict(explanation->answer, explanation->refusal);
	if (client != NULL)
		control_answer(client, json_incref(explanation->answer));
	explanation_free(explanation);
}

/* A later step does not overrule an earlier one: the phone would not have got so far. */
static void explanation_refuse(struct control_explanation *explanation, enum refusal refusal)
{
	if (explanation->refusal == REFUSAL_NONE)
		explanation->refusal = refusal;
}

static void explain_user(
	struct control *control, struct control_explanation *explanation, const char *mailbox)
{
	int64_t effective = explanation->authority < 0
				    ? INT64_MIN
				    : revocation_set_effective(&control->revocation,
					      explanation->authority, (int64_t)time(NULL));
	json_t *object = json_object();
	struct state_user user;
	struct error err;
	int found = state_users_find(control->store, mailbox, &user, &err);

	json_object_set_new(explanation->answer, "user", object);
	if (found == -1)
		json_object_set_new(object, "error", json_string(err.text));
	json_object_set_new(object, "revoked", json_boolean(found == 1));
	if (found != 1)
		return;
	json_object_set_new(object, "valid_from", json_integer((json_int_t)user.valid_from));
	json_object_set_new(object, "reason", json_string(user.reason));
	if (effective != INT64_MIN)
		json_object_set_new(object, "effective", json_integer((json_int_t)effective));
	json_object_set_new(object, "is_out", json_boolean(effective <= user.valid_from));
	if (effective <= user.valid_from)
		explanation_refuse(explanation, REFUSAL_USER_REVOKED);
}

static void explain_rules(
	struct control *control, struct control_explanation *explanation, const char *mailbox)
{
	const struct authority *authority;
	bool is_allowed;

	if (explanation->authority < 0)
		return;
	authority = &control->child->trust->authorities[explanation->authority];
	is_allowed = trust_rules_allow(authority, explanation->rules, mailbox);
	json_object_set_new(explanation->answer, "rules",
		json_pack("{s:i,s:b}", "count", (int)authority->rule_count, "allowed", is_allowed));
	if (!is_allowed)
		explanation_refuse(explanation, REFUSAL_ISSUER_NOT_ALLOWED);
}

/* Of those that rules of the policy name. */
static json_t *name_groups(const struct config_policy *policy, uint64_t groups)
{
	json_t *names = json_array();

	for (size_t i = 0; i < policy->group_count; i++)
		if ((groups >> i & 1) != 0)
			json_array_append_new(names, json_string(policy->groups[i]));
	return names;
}

static void explain_device(
	struct control *control, struct control_explanation *explanation, const char *mailbox)
{
	struct device_facts *device = &explanation->device;

	if (device->id[0] == '\0')
		return;
	snprintf(device->mailbox, sizeof(device->mailbox), "%s", mailbox);
	explanation_refuse(explanation, control_devices_explain(control, device,
						json_object_get(explanation->answer, "device")));
}

void control_explain_identified(struct control *control, const struct mailbox_answer *found)
{
	struct control_explanation *explanation = LIST_FIRST(&control->explanations);
	enum refusal refusal =
		found->refusal < REFUSAL_COUNT ? (enum refusal)found->refusal : REFUSAL_INTERNAL;
	json_t *object;

	while (explanation != NULL && explanation->number != found->id)
		explanation = LIST_NEXT(explanation, link);
	if (explanation == NULL)
		return; /* it took too long */
	object = json_object();
	json_object_set_new(object, "refusal", json_string(refusal_row(refusal)->name));
	json_object_set_new(object, "mailbox", json_string(found->mailbox));
	json_object_set_new(object, "reason", json_string(found->reason));
	json_object_set_new(
		object, "groups", name_groups(&control->child->config->policy, found->groups));
	json_object_set_new(explanation->answer, "mailbox", object);
	explanation_refuse(explanation, refusal);
	if (refusal == REFUSAL_NONE) {
		explain_rules(control, explanation, found->mailbox);
		explain_user(control, explanation, found->mailbox);
		explain_device(control, explanation, found->mailbox);
		json_object_set_new(explanation->answer, "logins", control_logins_status(control));
	}
	explanation_end(control, explanation);
}

/* Whose mailbox it would be is worth knowing of a certificate that is refused, too. */
static void explain_mailbox(struct control *control, struct control_explanation *explanation)
{
	explanation_refuse(explanation, explanation->names_refusal);
	if (explanation->names.count > 0 &&
		control_identity_ask(control, explanation->number, &explanation->names))
		return;
	explanation_refuse(explanation, explanation->names.count > 0 ? REFUSAL_DIRECTORY_UNAVAILABLE
								     : REFUSAL_NAME_MISSING);
	explanation_end(control, explanation);
}

/* The responder */

static void explain_ocsp_result(struct control *control, struct control_explanation *explanation,
	const struct ocsp_result *result)
{
	static const char *const names[OCSP_STATUS_COUNT] = {
		"unavailable", "good", "revoked", "unknown"};
	uint32_t number = (uint32_t)explanation->authority;
	const struct authority *authority = &control->child->trust->authorities[number];
	int64_t now = (int64_t)time(NULL);
	enum refusal refusal = ocsp_judge(authority, result, &control->revocation, number, now);
	json_t *object = json_object_get(explanation->answer, "ocsp");

	json_object_set_new(object, "status",
		json_string(result->status < OCSP_STATUS_COUNT ? names[result->status] : names[0]));
	if (result->status != OCSP_UNAVAILABLE) {
		json_object_set_new(
			object, "effective", json_integer((json_int_t)result->this_update));
		json_object_set_new(
			object, "next_update", json_integer((json_int_t)result->next_update));
		json_object_set_new(object, "counts",
			json_boolean(ocsp_judge_counts(result, &control->revocation, number, now)));
	}
	if (result->status == OCSP_REVOKED) {
		json_object_set_new(
			object, "revoked_at", json_integer((json_int_t)result->revoked_at));
		json_object_set_new(object, "reason", json_integer((json_int_t)result->reason));
	}
	json_object_set_new(object, "refusal", json_string(refusal_row(refusal)->name));
	explanation_refuse(explanation, refusal);
}

void control_explain_ocsp(
	struct control *control, const uint8_t leaf_sha256[32], const struct ocsp_result *result)
{
	static const struct ocsp_result none;
	struct control_explanation *explanation = LIST_FIRST(&control->explanations);

	while (explanation != NULL) {
		struct control_explanation *next = LIST_NEXT(explanation, link);

		if (explanation->is_asking &&
			(leaf_sha256 == NULL || memcmp(explanation->leaf_sha256, leaf_sha256,
							sizeof(explanation->leaf_sha256)) == 0)) {
			explanation->is_asking = false;
			explain_ocsp_result(control, explanation, result != NULL ? result : &none);
			explain_mailbox(control, explanation);
		}
		explanation = next;
	}
}

/* Those whose client has gone, or was told that it took too long. */
static void forget_abandoned(struct control *control)
{
	struct control_explanation *explanation = LIST_FIRST(&control->explanations);

	while (explanation != NULL) {
		struct control_explanation *next = LIST_NEXT(explanation, link);

		if (control_find_waiting(control, CONTROL_WAIT_EXPLANATION, explanation->number) ==
			NULL)
			explanation_free(explanation);
		explanation = next;
	}
}

/* Its beginning */

static STACK_OF(X509) * decode_chain(const json_t *list, struct error *err)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	size_t count = json_array_size(list);

	if (count == 0 || count > CHAIN_MAX)
		error_set(err, "chain: a list of 1 to %d certificates", CHAIN_MAX);
	for (size_t i = 0; count <= CHAIN_MAX && i < count && chain != NULL; i++) {
		const json_t *text = json_array_get(list, i);
		X509 *certificate = NULL;
		struct error cause = {"not a string"};

		if (json_is_string(text))
			certificate = authority_decode_text(
				span_of(json_string_value(text), json_string_length(text)), &cause);
		if (certificate == NULL) {
			error_set(err, "certificate %zu: %s", i + 1, cause.text);
			break;
		}
		if (sk_X509_push(chain, certificate) <= 0) {
			X509_free(certificate);
			break;
		}
	}
	if (chain != NULL && count > 0 && sk_X509_num(chain) == (int)count)
		return chain;
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

static json_t *explain_names(enum refusal refusal, const struct identity_names *names)
{
	json_t *list = json_array();
	json_t *object = json_object();

	for (size_t i = 0; i < names->count; i++)
		json_array_append_new(
			list, json_pack("{s:s,s:s}", "kind",
				      identity_kind_name((enum identity_kind)names->names[i].kind),
				      "value", identity_names_text(names, i)));
	json_object_set_new(object, "refusal", json_string(refusal_row(refusal)->name));
	json_object_set_new(object, "values", list);
	return object;
}

/* Its form; what is known of it can be asked when the mailbox is known. */
static void take_device(struct control_explanation *explanation, const char *device)
{
	size_t len = strlen(device);
	bool is_good = len > 0 && len <= 32;

	for (size_t i = 0; i < len; i++)
		is_good &= (device[i] >= '0' && device[i] <= '9') ||
			   (device[i] >= 'a' && device[i] <= 'z') ||
			   (device[i] >= 'A' && device[i] <= 'Z');
	if (is_good)
		device_id_fold(device, explanation->device.id);
	json_object_set_new(explanation->answer, "device",
		json_pack("{s:s,s:b}", "id", device, "well_formed", is_good));
}

/* Asks the responder, where workers would; so never one that a certificate names without a path to a root.
 * False: there is no answer to wait for. */
static bool explain_ocsp(struct control *control, const struct verdict *verdict,
	struct control_explanation *explanation)
{
	static const char *const words[] = {"off", "soft", "hard"};
	const struct authority *authority;

	if (explanation->authority < 0 || verdict->refusal != REFUSAL_NONE)
		return false;
	authority = &control->child->trust->authorities[explanation->authority];
	if (!ocsp_judge_is_asked(authority, verdict->ocsp_url))
		return false;
	json_object_set_new(explanation->answer, "ocsp",
		json_pack("{s:s,s:s}", "mode", words[authority->ocsp], "url",
			authority->ocsp_url[0] != '\0' ? authority->ocsp_url : verdict->ocsp_url));
	memcpy(explanation->leaf_sha256, verdict->leaf_sha256, sizeof(explanation->leaf_sha256));
	explanation->is_asking = control_ocsp_ask(control, verdict->leaf_sha256,
		(uint32_t)explanation->authority, &verdict->links[0].serial, verdict->ocsp_url);
	if (!explanation->is_asking)
		explain_ocsp_result(control, explanation, &(struct ocsp_result){0});
	return explanation->is_asking;
}

/* The certificate itself: its path, times, revocation and names. Whether a responder is asked. */
static bool explain_path(struct control *control, struct control_explanation *explanation,
	X509 *leaf, STACK_OF(X509) * sent)
{
	const struct trust_store *trust = control->child->trust;
	int64_t now = (int64_t)time(NULL);
	struct verdict verdict;

	verifier_run(control->verifier, leaf, sent, now, &verdict);
	explanation->refusal = verdict_check(&verdict, trust, &control->revocation, now);
	explanation->authority = verdict.link_count > 0 ? verdict.links[0].authority : -1;
	explanation->rules = verdict.rules;
	snprintf(explanation->device.issuer, sizeof(explanation->device.issuer), "%.255s",
		verdict.issuer);
	memcpy(explanation->device.leaf_sha256, verdict.leaf_sha256, sizeof(verdict.leaf_sha256));
	explanation->device.not_before = verdict.leaf_not_before;
	explanation->names_refusal = identity_names_read(leaf, &explanation->names);
	json_object_set_new(explanation->answer, "path",
		json_pack("{s:s,s:s}", "refusal", refusal_row(verdict.refusal)->name, "reason",
			verdict.reason));
	json_object_set_new(explanation->answer, "chain",
		explain_chain(trust, &control->revocation, &verdict, leaf, sent, now));
	json_object_set_new(explanation->answer, "now", json_integer((json_int_t)now));
	json_object_set_new(explanation->answer, "names",
		explain_names(explanation->names_refusal, &explanation->names));
	ERR_clear_error();
	return explain_ocsp(control, &verdict, explanation);
}

void control_request_explain(struct control *control, struct control_client *client,
	const struct control_request *request)
{
	const char *device = control_argument(request, "device");
	struct control_explanation *explanation = calloc(1, sizeof(*explanation));
	struct error err = {"out of memory"};
	bool is_asking;
	STACK_OF(X509) *chain = decode_chain(json_object_get(request->arguments, "chain"), &err);

	forget_abandoned(control);
	if (chain == NULL || explanation == NULL) {
		control_answer_error(client, "%s", err.text);
		sk_X509_pop_free(chain, X509_free);
		free(explanation);
		return;
	}
	explanation->answer = json_object();
	LIST_INSERT_HEAD(&control->explanations, explanation, link);
	is_asking = explain_path(control, explanation, sk_X509_value(chain, 0), chain);
	sk_X509_pop_free(chain, X509_free);
	if (device != NULL)
		take_device(explanation, device);
	explanation->number = control_await(client, CONTROL_WAIT_EXPLANATION,
		IDENTITY_TIME_MS + 2 * control->child->config->revocation.ocsp_time_limit_ms,
		"the identity process does not answer; see the log");
	if (!is_asking)
		explain_mailbox(control, explanation);
}
