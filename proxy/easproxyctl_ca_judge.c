#include "proxy/easproxyctl_ca_judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_describe.h"
#include "config/moment.h"
#include "proxy/crl_facts.h"

/* Parts of a bound, and of a CRL's life, beyond which it is worth saying so. */
enum { SIZE_PART = 80, TIME_PART = 50, LIFE_PART = 90 };

struct judgement {
	const struct ca_location *location;
	json_t *object, *problems, *remarks;
};

__attribute__((format(printf, 2, 3))) static void add(json_t *list, const char *format, ...)
{
	char text[768];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* What servers and CRLs say ends up in a message now and then. */
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	json_array_append_new(list, json_string(text));
}

static void put(struct judgement *judgement, const char *name, json_t *value)
{
	json_object_set_new(judgement->object, name, value);
}

static void put_moment(struct judgement *judgement, const char *name, int64_t moment)
{
	char text[MOMENT_TEXT_SIZE];

	moment_write(moment, text);
	put(judgement, name, json_string(text));
}

/* Of the store's certificates, the one that is meant by a key (of certificate and name) or a name. */
static const char *name_of_signer(const struct trust_store *store, const uint8_t key[32])
{
	for (size_t i = 0; i < store->count; i++)
		if (memcmp(store->authorities[i].key, key, 32) == 0)
			return store->authorities[i].issuer;
	return NULL;
}

static bool is_name_known(const struct trust_store *store, const struct name_key *name)
{
	for (size_t i = 0; i < store->count; i++) {
		struct name_key key;
		const X509_NAME *subject = X509_get_subject_name(store->authorities[i].certificate);

		if (name_key_of_name(subject, &key) == 0 && name_key_equal(&key, name))
			return true;
	}
	return false;
}

static bool is_key_known(const struct trust_store *store, const char *key_id)
{
	for (size_t i = 0; i < store->count; i++)
		if (strcmp(store->authorities[i].key_id, key_id) == 0)
			return true;
	return false;
}

static void judge_fetch(struct judgement *judgement, const struct ca_fetched *fetched)
{
	const struct ca_location *location = judgement->location;

	put(judgement, "time_ms", json_integer(fetched->time_ms));
	if (fetched->failure[0] != '\0') {
		add(judgement->problems, "%s", fetched->failure);
		return;
	}
	put(judgement, "size", json_integer((json_int_t)fetched->len));
	if (fetched->len > location->bounds.size_limit / 100 * SIZE_PART)
		add(judgement->remarks, "its size is near to the bound, and CRLs grow");
	if (fetched->time_ms > location->bounds.time_limit_ms / 100 * TIME_PART)
		add(judgement->remarks, "the time it takes is near to the bound");
}

static void judge_times(struct judgement *judgement, const struct revocation_peek *peek)
{
	const struct ca_location *location = judgement->location;
	int64_t now = location->now;
	int64_t life = peek->next_update - peek->this_update;

	put_moment(judgement, "this_update", peek->this_update);
	if (peek->next_publish != 0)
		put_moment(judgement, "next_publish", peek->next_publish);
	if (peek->next_update == 0) {
		add(judgement->problems, "it has no nextUpdate");
		return;
	}
	put_moment(judgement, "next_update", peek->next_update);
	if (peek->next_update < now)
		add(judgement->problems, "its nextUpdate is over%s",
			location->store->authorities[location->authority].grace_s != 0
				? "; only revocationGrace can still make it good"
				: "");
	else if (now - peek->this_update > life / 100 * LIFE_PART)
		add(judgement->remarks, "its nextUpdate is near");
}

static void judge_scope(struct judgement *judgement, const struct revocation_scope *scope)
{
	json_t *words = json_array();

	if (scope->only_user)
		json_array_append_new(words, json_string("phones' certificates alone"));
	if (scope->only_ca)
		json_array_append_new(words, json_string("CAs' certificates alone"));
	if (scope->only_attributes)
		json_array_append_new(words, json_string("attribute certificates alone"));
	if (scope->reasons != REVOCATION_REASONS_ALL)
		json_array_append_new(words, json_string("some reasons alone"));
	if (scope->name_count > 0)
		json_array_append_new(words, json_string("its distribution point alone"));
	if (scope->is_indirect)
		json_array_append_new(words, json_string("certificates of other issuers too"));
	put(judgement, "scope", words);
}

static void judge_issuer(struct judgement *judgement, const struct revocation_words *words,
	const struct name_key *name)
{
	const struct trust_store *store = judgement->location->store;

	put(judgement, "issuer", json_string(words->issuer));
	put(judgement, "key_identifier", json_string(words->signing_key));
	if (!is_name_known(store, name))
		add(judgement->problems, "its issuer is nobody in the trust store: %s",
			words->issuer);
	if (words->signing_key[0] == '\0')
		add(judgement->remarks,
			"it has no authorityKeyIdentifier, which RFC 5280 5.2.1 asks for");
	else if (!is_key_known(store, words->signing_key))
		add(judgement->problems,
			"its authorityKeyIdentifier is that of nobody in the trust store: %s",
			words->signing_key);
}

static void judge_said(struct judgement *judgement, const struct revocation_peek *peek)
{
	put(judgement, "form", json_string(peek->is_pem ? "PEM" : "DER"));
	if (peek->is_pem)
		add(judgement->remarks, "it is in PEM, where RFC 5280 4.2.1.13 asks for DER");
	if (peek->has_number)
		crl_facts_set_number(judgement->object, "crl_number", peek->crl_number);
	else
		add(judgement->remarks, "it has no number, so that an older one cannot be told");
	if (peek->is_delta)
		crl_facts_set_number(judgement->object, "base_number", peek->base_number);
	judge_times(judgement, peek);
	judge_scope(judgement, &peek->scope);
	if (peek->is_delta && !judgement->location->is_delta)
		add(judgement->problems, "it is a delta CRL, where a whole one belongs");
	if (!peek->is_delta && judgement->location->is_delta)
		add(judgement->problems, "it is a whole CRL, where a delta belongs");
}

static void judge_facts(struct judgement *judgement, const struct revocation_facts *facts)
{
	const char *signer = name_of_signer(judgement->location->store, facts->signer_key);

	put(judgement, "signer", json_string(signer != NULL ? signer : "unknown"));
	put(judgement, "entries", json_integer((json_int_t)facts->entry_count));
}

/* What the revocation process would make of it: signature, signer, key identifiers, critical extensions,
 * entries. NULL where that is nothing. */
static struct revocation_index *compile(
	struct judgement *judgement, struct span crl, const struct revocation_index *base)
{
	const struct ca_location *location = judgement->location;
	const struct revocation_signers signers = {location->store, (int)location->authority};
	struct revocation_index *index = NULL;
	struct revocation_facts facts;
	int fd = memfd_create("easproxyctl-lint", MFD_CLOEXEC);
	struct error err;

	if (fd == -1)
		error_sys(&err, "making a memory file");
	else if ((location->is_delta ? revocation_merge(base, crl, &signers, NULL, location->now,
					       fd, &facts, &err)
				     : revocation_compile(crl, &signers, NULL, location->now, fd,
					       &facts, &err)) == 0)
		index = revocation_index_open(fd, location->url, &err);
	if (index == NULL)
		add(judgement->problems, "%s", err.text);
	else
		judge_facts(judgement, &facts);
	if (fd != -1)
		close(fd);
	return index;
}

static struct revocation_index *judge_crl(
	struct judgement *judgement, struct span crl, const struct revocation_index *base)
{
	struct revocation_words words;
	struct revocation_peek peek;
	struct error err;

	if (revocation_crl_describe(crl, &words, &err) == -1) {
		add(judgement->problems, "%s", err.text);
		return NULL;
	}
	if (!revocation_crl_peek(crl, &peek)) {
		add(judgement->problems, "it is no CRL");
		return NULL;
	}
	judge_issuer(judgement, &words, &peek.scope.issuer);
	judge_said(judgement, &peek);
	if (peek.is_delta != judgement->location->is_delta)
		return NULL;
	if (judgement->location->is_delta && base == NULL) {
		add(judgement->problems, "there is no good CRL that it could be put upon");
		return NULL;
	}
	return compile(judgement, crl, base);
}

json_t *ca_location_judge(const struct ca_location *location, const struct revocation_index *base,
	struct revocation_index **index)
{
	struct judgement judgement = {location, json_object(), json_array(), json_array()};
	struct ca_fetched fetched;

	*index = NULL;
	put(&judgement, "authority", json_integer((json_int_t)location->authority + 1));
	put(&judgement, "subject",
		json_string(location->store->authorities[location->authority].issuer));
	put(&judgement, "kind", json_string(location->is_delta ? "delta" : "crl"));
	put(&judgement, "url", json_string(location->url));
	ca_fetch(location->url, &location->bounds, &fetched);
	judge_fetch(&judgement, &fetched);
	if (fetched.failure[0] == '\0')
		*index = judge_crl(&judgement, span_of(fetched.data, fetched.len), base);
	ca_fetched_clear(&fetched);
	put(&judgement, "ok", json_boolean(json_array_size(judgement.problems) == 0));
	put(&judgement, "problems", judgement.problems);
	put(&judgement, "remarks", judgement.remarks);
	return judgement.object;
}
