#include "proxy/easproxyctl_ca_terms.h"

#include <string.h>

#include "auth/trust_document.h"

/* The terms that are one text. */
static const struct {
	int option;
	enum trust_member member;
} texts[] = {
	{CA_TERM_CHECK, TRUST_CHECK},
	{CA_TERM_GRACE, TRUST_GRACE},
	{CA_TERM_EXEMPT_UNTIL, TRUST_EXEMPT_UNTIL},
	{CA_TERM_EXEMPT_REASON, TRUST_EXEMPT_REASON},
	{CA_TERM_CRL_SIZE_LIMIT, TRUST_CRL_SIZE_LIMIT},
	{CA_TERM_CRL_TIME_LIMIT, TRUST_CRL_TIME_LIMIT},
	{CA_TERM_OCSP, TRUST_OCSP},
	{CA_TERM_OCSP_URL, TRUST_OCSP_URL},
};

void ca_terms_begin(struct ca_terms *terms)
{
	*terms = (struct ca_terms){.more = json_array(), .rules = json_array()};
}

void ca_terms_end(struct ca_terms *terms)
{
	json_decref(terms->more);
	json_decref(terms->rules);
}

static void take_crl(struct ca_terms *terms, const char *url)
{
	if (terms->crl_count++ == 0)
		terms->texts[TRUST_CRL] = url;
	else
		json_array_append_new(
			terms->more, json_pack("{s:s}", trust_member_name(TRUST_CRL), url));
}

/* Belongs to the location before it. */
static void take_delta_crl(struct ca_terms *terms, const char *url)
{
	if (terms->crl_count <= 1)
		terms->texts[TRUST_DELTA_CRL] = url;
	else
		json_object_set_new(json_array_get(terms->more, terms->crl_count - 2),
			trust_member_name(TRUST_DELTA_CRL), json_string(url));
}

static void take_names(json_t *rule, const char *names)
{
	for (const char *from = names; *from != '\0';) {
		size_t len = strcspn(from, ",");
		const char *kind = memchr(from, '@', len) != NULL ? "mailboxes" : "domains";
		json_t *list = json_object_get(rule, kind);

		if (list == NULL) {
			list = json_array();
			json_object_set_new(rule, kind, list);
		}
		json_array_append_new(list, json_stringn(from, len));
		from += len + (from[len] == ',' ? 1 : 0);
	}
}

/* "1.2.3=example.com,alice@example.org"; "" for no rules at all. */
static void take_rule(struct ca_terms *terms, const char *text)
{
	const char *equals = strchr(text, '=');
	json_t *rule = json_object();

	terms->has_rules = true;
	if (text[0] == '\0') {
		json_decref(rule);
		return;
	}
	if (equals != NULL)
		json_object_set_new(rule, "policy", json_stringn(text, (size_t)(equals - text)));
	take_names(rule, equals != NULL ? equals + 1 : text);
	json_array_append_new(terms->rules, rule);
}

bool ca_terms_take(struct ca_terms *terms, int option, const char *argument)
{
	if (option < CA_TERM_CRL || option >= CA_TERM_END)
		return false;
	terms->count++;
	switch (option) {
	case CA_TERM_CRL: take_crl(terms, argument); break;
	case CA_TERM_DELTA_CRL: take_delta_crl(terms, argument); break;
	case CA_TERM_RULE: take_rule(terms, argument); break;
	default: break;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].option == option)
			terms->texts[texts[i].member] = argument;
	return true;
}

bool ca_terms_has_crl(const struct ca_terms *terms)
{
	return terms->crl_count > 0 || terms->texts[TRUST_DELTA_CRL] != NULL;
}

static int set_text(json_t *entry, enum trust_member member, const char *text)
{
	json_t *value = text[0] != '\0' ? json_string(text) : NULL;

	if (text[0] != '\0' && value == NULL)
		return -1;
	return trust_document_set(entry, member, value);
}

/* A list, or no member at all where it is empty. */
static int set_list(json_t *entry, enum trust_member member, json_t *list)
{
	return trust_document_set(
		entry, member, json_array_size(list) > 0 ? json_deep_copy(list) : NULL);
}

int ca_terms_apply(const struct ca_terms *terms, json_t *entry)
{
	/* A new location leaves nothing of the old ones. */
	if (terms->crl_count > 0 && (trust_document_set(entry, TRUST_DELTA_CRL, NULL) == -1 ||
					    set_list(entry, TRUST_MORE_CRLS, terms->more) == -1))
		return -1;
	for (enum trust_member i = 0; i < TRUST_MEMBER_COUNT; i++)
		if (terms->texts[i] != NULL && set_text(entry, i, terms->texts[i]) == -1)
			return -1;
	if (terms->texts[TRUST_EXEMPT_UNTIL] != NULL &&
		terms->texts[TRUST_EXEMPT_UNTIL][0] == '\0' &&
		trust_document_set(entry, TRUST_EXEMPT_REASON, NULL) == -1)
		return -1;
	return terms->has_rules ? set_list(entry, TRUST_RULES, terms->rules) : 0;
}
