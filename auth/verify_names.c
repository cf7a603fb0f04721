#include "auth/verify_names.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <stdbool.h>
#include <string.h>

#include "config/span.h"

enum {
	/* Comparisons for one chain: far above what a real one takes. */
	COMPARISON_MAX = 1 << 16,
};

static const char *const malformed = "malformed name constraints";
static const char *const excluded = "a name that a CA above excludes";
static const char *const not_permitted = "a name that a CA above does not permit";
static const char *const unsupported =
	"a name that cannot be compared with the name constraints of a CA above";
static const char *const too_many = "too many names and name constraints";

/* One certificate's constraints. */
struct constraints {
	NAME_CONSTRAINTS *standard;                       /* what is left to OpenSSL */
	STACK_OF(GENERAL_SUBTREE) * permitted, *excluded; /* of Principal Names */
	int *budget;
};

static struct span span_of_asn1(const ASN1_STRING *string)
{
	return span_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

static bool is_principal_name(const GENERAL_NAME *name)
{
	return name->type == GEN_OTHERNAME && OBJ_obj2nid(name->d.otherName->type_id) == NID_ms_upn;
}

/* A name that cannot be read has no text. */
static bool other_name_text(const GENERAL_NAME *name, struct span *text)
{
	const ASN1_TYPE *value = name->d.otherName->value;

	if (value == NULL || value->type != V_ASN1_UTF8STRING)
		return false;
	*text = span_of_asn1(value->value.utf8string);
	return memchr(text->data, '\0', text->len) == NULL;
}

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 'a' - 'A') : c;
}

static bool spans_equal(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	return true;
}

static struct span span_from(struct span span, size_t at)
{
	return span_of(span.data + at, span.len - at);
}

/* What stands after the last "@". false without one. */
static bool host_of(struct span name, struct span *host)
{
	for (size_t i = name.len; i > 0; i--)
		if (name.data[i - 1] == '@') {
			*host = span_from(name, i);
			return true;
		}
	return false;
}

static bool is_ascii(struct span span)
{
	for (size_t i = 0; i < span.len; i++)
		if (span.data[i] >= 0x80)
			return false;
	return true;
}

/* Whether a name falls under a constraint, as verify_names.h has them. */
static bool is_under(struct span name, struct span constraint)
{
	struct span host;

	if (constraint.len > 0 && constraint.data[0] == '@')
		constraint = span_from(constraint, 1);
	else if (memchr(constraint.data, '@', constraint.len) != NULL)
		return spans_equal(name, constraint);
	if (constraint.len == 0)
		return true;
	if (!host_of(name, &host))
		return false;
	if (constraint.data[0] != '.')
		return spans_equal(host, constraint);
	return host.len > constraint.len &&
	       spans_equal(span_from(host, host.len - constraint.len), constraint);
}

/* Hosts are compared as they stand, so one with letters beyond ASCII, which has other spellings,
 * cannot be. */
static bool is_comparable(struct span name)
{
	struct span host;

	return host_of(name, &host) && is_ascii(host) && host.len > 0;
}

/* -1: no subtree. 0 or 1: whether one of them holds the name. -2: they cannot be compared. */
static int find_subtree(
	const STACK_OF(GENERAL_SUBTREE) * subtrees, struct span name, int form, int *budget)
{
	int found = -1;

	for (int i = 0; i < sk_GENERAL_SUBTREE_num(subtrees); i++) {
		const GENERAL_SUBTREE *subtree = sk_GENERAL_SUBTREE_value(subtrees, i);
		struct span constraint;

		if (subtree->base->type != form)
			continue;
		/* RFC 5280 4.2.1.10: minimum is 0, maximum absent. */
		if (--*budget < 0 || subtree->minimum != NULL || subtree->maximum != NULL)
			return -2;
		if (form == GEN_EMAIL)
			constraint = span_of_asn1(subtree->base->d.rfc822Name);
		else if (!other_name_text(subtree->base, &constraint))
			return -2;
		if (!is_ascii(constraint))
			return -2;
		if (found != 1)
			found = is_under(name, constraint);
	}
	return found;
}

static const char *check_name(const STACK_OF(GENERAL_SUBTREE) * permitted_trees,
	const STACK_OF(GENERAL_SUBTREE) * excluded_trees, const GENERAL_NAME *name, int form,
	int *budget)
{
	struct span text = span_of("", 0);
	bool is_readable = other_name_text(name, &text) && is_comparable(text);
	int is_permitted = find_subtree(permitted_trees, text, form, budget);
	int is_excluded = find_subtree(excluded_trees, text, form, budget);

	if (*budget < 0)
		return too_many;
	if (is_permitted == -1 && is_excluded == -1)
		return NULL;
	if (!is_readable || is_permitted == -2 || is_excluded == -2)
		return unsupported;
	if (is_excluded == 1)
		return excluded;
	return is_permitted == 0 ? not_permitted : NULL;
}

static const char *check_other_names(const struct constraints *constraints, X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	const char *fault = NULL;

	for (int i = 0; fault == NULL && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (--*constraints->budget < 0)
			fault = too_many;
		else if (is_principal_name(name))
			fault = check_name(constraints->permitted, constraints->excluded, name,
				GEN_OTHERNAME, constraints->budget);
		else if (name->type == GEN_OTHERNAME &&
			 OBJ_obj2nid(name->d.otherName->type_id) == NID_id_on_SmtpUTF8Mailbox)
			fault = check_name(constraints->standard->permittedSubtrees,
				constraints->standard->excludedSubtrees, name, GEN_EMAIL,
				constraints->budget);
	}
	GENERAL_NAMES_free(names);
	return fault;
}

static const char *words_of_openssl(int code)
{
	switch (code) {
	case X509_V_OK: return NULL;
	case X509_V_ERR_PERMITTED_VIOLATION: return not_permitted;
	case X509_V_ERR_EXCLUDED_VIOLATION: return excluded;
	default: return unsupported;
	}
}

static const char *check_certificate(const struct constraints *constraints, X509 *certificate)
{
	const char *fault =
		words_of_openssl(NAME_CONSTRAINTS_check(certificate, constraints->standard));

	return fault != NULL ? fault : check_other_names(constraints, certificate);
}

/* Takes the subtrees of Principal Names out of one list, to which OpenSSL would say that it does not
 * support them, and puts them into a new one. NULL when memory runs out. */
static STACK_OF(GENERAL_SUBTREE) * split_subtrees(STACK_OF(GENERAL_SUBTREE) * all)
{
	STACK_OF(GENERAL_SUBTREE) *own = sk_GENERAL_SUBTREE_new_null();

	for (int i = 0; own != NULL && i < sk_GENERAL_SUBTREE_num(all);) {
		GENERAL_SUBTREE *subtree = sk_GENERAL_SUBTREE_value(all, i);

		if (!is_principal_name(subtree->base)) {
			i++;
		} else if (sk_GENERAL_SUBTREE_push(own, subtree) > 0) {
			sk_GENERAL_SUBTREE_delete(all, i);
		} else {
			sk_GENERAL_SUBTREE_free(own);
			return NULL;
		}
	}
	return own;
}

/* Whether the constraints of one certificate hold for those below it. Self-issued ones are passed
 * over, unless it is the leaf (RFC 5280 6.1.3 (b)). */
static const char *check_below(
	const struct constraints *constraints, const STACK_OF(X509) * chain, int above, int *depth)
{
	for (int i = 0; i < above; i++) {
		X509 *certificate = sk_X509_value(chain, i);
		const char *fault;

		if (i > 0 && (X509_get_extension_flags(certificate) & EXFLAG_SI) != 0)
			continue;
		fault = check_certificate(constraints, certificate);
		if (fault != NULL) {
			*depth = i;
			return fault;
		}
	}
	return NULL;
}

static const char *check_constraints_of(
	const STACK_OF(X509) * chain, int above, int *budget, int *depth)
{
	struct constraints constraints = {.budget = budget};
	const char *fault = malformed;
	int critical = -1;

	*depth = above;
	constraints.standard = X509_get_ext_d2i(
		sk_X509_value(chain, above), NID_name_constraints, &critical, NULL);
	if (constraints.standard == NULL)
		return critical == -1 ? NULL : malformed;
	constraints.permitted = split_subtrees(constraints.standard->permittedSubtrees);
	constraints.excluded = split_subtrees(constraints.standard->excludedSubtrees);
	if (constraints.permitted != NULL && constraints.excluded != NULL)
		fault = check_below(&constraints, chain, above, depth);
	if (constraints.permitted != NULL)
		sk_GENERAL_SUBTREE_pop_free(constraints.permitted, GENERAL_SUBTREE_free);
	if (constraints.excluded != NULL)
		sk_GENERAL_SUBTREE_pop_free(constraints.excluded, GENERAL_SUBTREE_free);
	NAME_CONSTRAINTS_free(constraints.standard);
	return fault;
}

const char *verify_names_check(const STACK_OF(X509) * chain, int *depth)
{
	const char *fault = NULL;
	int budget = COMPARISON_MAX;

	for (int i = 1; fault == NULL && i < sk_X509_num(chain); i++)
		fault = check_constraints_of(chain, i, &budget, depth);
	ERR_clear_error();
	return fault;
}
