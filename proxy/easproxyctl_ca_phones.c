#include "proxy/easproxyctl_ca_phones.h"

#include <stdio.h>
#include <time.h>

#include "auth/revocation_set.h"
#include "auth/verify.h"
#include "config/model.h"
#include "config/moment.h"
#include "config/refusal.h"
#include "proxy/easproxyctl_answer.h"
#include "proxy/easproxyctl_client.h"

enum { DAYS = 30 };

static const int64_t DAY_S = 86400;

/* One trust store as workers would have it, but for revocation. */
struct judge {
	const struct trust_store *store; /* NULL: nobody comes in */
	struct verifier *verifier;
	struct revocation_set revocation;
};

struct comparison {
	struct judge old, now;
	int64_t at;
	size_t seen, shut_out, let_in;
};

static int judge_begin(struct judge *judge, const struct trust_store *store,
	const struct config_trust *config, struct error *err)
{
	judge->store = store;
	if (store == NULL)
		return 0;
	judge->verifier = verifier_new(store, config, err);
	if (judge->verifier == NULL || revocation_set_init(&judge->revocation, store, err) == -1)
		return -1;
	/* CRLs are not at hand here. */
	for (size_t i = 0; i < judge->revocation.count; i++)
		judge->revocation.slots[i].exempt_until = INT64_MAX;
	return 0;
}

static void judge_end(struct judge *judge)
{
	if (judge->verifier != NULL)
		verifier_free(judge->verifier);
	revocation_set_clear(&judge->revocation);
}

static enum refusal judge_chain(struct judge *judge, STACK_OF(X509) * chain, const char *mailbox,
	int64_t at, char reason[160])
{
	static struct verdict verdict; /* large */
	enum refusal refusal;
	int issuer;

	reason[0] = '\0';
	if (judge->store == NULL)
		return REFUSAL_ISSUER_UNKNOWN;
	verifier_run(judge->verifier, sk_X509_value(chain, 0), chain, at, &verdict);
	snprintf(reason, 160, "%s", verdict.reason);
	refusal = verdict_check(&verdict, judge->store, &judge->revocation, at);
	issuer = verdict.link_count > 0 ? verdict.links[0].authority : -1;
	if (refusal == REFUSAL_NONE && issuer >= 0 && mailbox[0] != '\0' &&
		!trust_rules_allow(&judge->store->authorities[issuer], verdict.rules, mailbox))
		refusal = REFUSAL_ISSUER_NOT_ALLOWED;
	return refusal;
}

static STACK_OF(X509) * decode_chain(json_t *list)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	for (size_t i = 0; chain != NULL && i < json_array_size(list); i++) {
		X509 *certificate = answer_certificate(json_array_get(list, i));

		if (certificate != NULL && sk_X509_push(chain, certificate) <= 0)
			X509_free(certificate);
	}
	return chain;
}

static void print_phone(json_t *seen, const char *what, enum refusal refusal, const char *reason)
{
	const char *mailbox = json_string_value(json_object_get(seen, "mailbox"));
	const char *sha256 = json_string_value(json_object_get(seen, "sha256"));
	char last_seen[MOMENT_TEXT_SIZE];

	moment_write(json_integer_value(json_object_get(seen, "last_seen")), last_seen);
	printf("  %s %s, certificate %.16s, last seen %s", what,
		mailbox != NULL && mailbox[0] != '\0' ? mailbox : "(no mailbox)",
		sha256 != NULL ? sha256 : "", last_seen);
	if (refusal != REFUSAL_NONE)
		printf(": %s%s%s", refusal_row(refusal)->name, reason[0] != '\0' ? ", " : "",
			reason);
	putchar('\n');
}

static void compare_phone(struct comparison *comparison, json_t *seen)
{
	STACK_OF(X509) *chain = decode_chain(json_object_get(seen, "chain"));
	const char *mailbox = json_string_value(json_object_get(seen, "mailbox"));
	int64_t last_seen = json_integer_value(json_object_get(seen, "last_seen"));
	char old_reason[160], reason[160];
	enum refusal before, after;

	if (sk_X509_num(chain) <= 0 || comparison->at - last_seen > DAYS * DAY_S)
		goto out;
	comparison->seen++;
	if (mailbox == NULL)
		mailbox = "";
	before = judge_chain(&comparison->old, chain, mailbox, comparison->at, old_reason);
	after = judge_chain(&comparison->now, chain, mailbox, comparison->at, reason);
	if (before == REFUSAL_NONE && after != REFUSAL_NONE) {
		comparison->shut_out++;
		print_phone(seen, "would be shut out:", after, reason);
	} else if (before != REFUSAL_NONE && after == REFUSAL_NONE) {
		comparison->let_in++;
		print_phone(seen, "would be let in:", REFUSAL_NONE, "");
	}
out:
	sk_X509_pop_free(chain, X509_free);
}

/* Page by page. 0, or -1 with err filled. */
static int compare_all(struct comparison *comparison, const char *socket, struct error *err)
{
	json_int_t after = 0;

	for (bool is_more = true; is_more;) {
		json_t *answer = ctl_request(
			socket, json_pack("{s:s,s:I}", "request", "seen", "after", after), err);
		json_t *next = json_object_get(answer, "next");
		json_t *seen;
		size_t i;

		if (answer == NULL)
			return -1;
		json_array_foreach(json_object_get(answer, "certificates"), i, seen)
			compare_phone(comparison, seen);
		/* Pages go forward, or the answer makes no sense. */
		is_more = json_is_integer(next) && json_integer_value(next) > after;
		after = json_integer_value(next);
		json_decref(answer);
	}
	return 0;
}

static void ignore_fault(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static int compare(struct comparison *comparison, const struct ca_place *place,
	const struct trust_store *old, const struct trust_store *now, struct error *err)
{
	struct config *config = config_load(place->config, NULL, ignore_fault, NULL);
	int result = -1;

	if (config == NULL)
		return error_set(
			err, "the configuration %s has faults (easproxyctl check)", place->config);
	comparison->at = (int64_t)time(NULL);
	if (judge_begin(&comparison->old, old, &config->trust, err) == 0 &&
		judge_begin(&comparison->now, now, &config->trust, err) == 0)
		result = compare_all(comparison, place->socket, err);
	judge_end(&comparison->old);
	judge_end(&comparison->now);
	config_free(config);
	return result;
}

int ca_phones_compare(
	const struct ca_place *place, const struct trust_store *old, const struct trust_store *now)
{
	struct comparison comparison = {.seen = 0};
	struct error err;

	if (place->socket[0] == '\0')
		error_set(&err, "there is no control socket to ask easproxyd on");
	else if (compare(&comparison, place, old, now, &err) == 0) {
		printf("of %zu phones seen in the last %d days %zu would be shut out and %zu let "
		       "in, "
		       "judged by path and rules; revocation is not part of it\n",
			comparison.seen, DAYS, comparison.shut_out, comparison.let_in);
		return 0;
	}
	printf("which phones would be shut out or let in cannot be told: %s\n", err.text);
	return 0;
}
