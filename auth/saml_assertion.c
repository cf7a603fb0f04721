#include "auth/saml_assertion.h"

#include <libxml/tree.h>
#include <libxml/xmlsave.h>
#include <limits.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmlsec/crypto.h>
#include <xmlsec/errors.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/templates.h>
#include <xmlsec/xmldsig.h>
#include <xmlsec/xmlsec.h>
#include <xmlsec/xmltree.h>

#include "auth/assertion.h"
#include "auth/unicode.h"
#include "config/moment.h"

static const char saml_namespace[] = "urn:oasis:names:tc:SAML:2.0:assertion";
static const char bearer_method[] = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
static const char authenticated_by[] = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509";
static const char attribute_format[] = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri";

struct saml_signer {
	const struct signing_key *key;
	xmlChar *certificate; /* DER in base64; NULL: none */
};

/* One that is being written. */
struct draft {
	xmlDocPtr document;
	xmlNsPtr prefix;
	xmlNodePtr root;
	bool has_failed; /* memory has run out, or a text is not XML's */
};

/* The library would write to standard error, where nobody looks, and whatever the document holds. */
static void say_nothing(const char *file, int line, const char *function, const char *object,
	const char *subject, int reason, const char *text)
{
	(void)file, (void)line, (void)function, (void)object, (void)subject, (void)reason,
		(void)text;
}

static xmlChar *encode_certificate(X509 *certificate)
{
	unsigned char *der = NULL;
	int len = i2d_X509(certificate, &der);
	xmlChar *text = len > 0 && len < INT_MAX / 2 ? xmlMalloc((size_t)len / 3 * 4 + 5) : NULL;

	if (text != NULL)
		EVP_EncodeBlock(text, der, len);
	OPENSSL_free(der);
	return text;
}

struct saml_signer *saml_signer_new(const struct signing_key *key, struct error *err)
{
	struct saml_signer *signer = calloc(1, sizeof(*signer));

	if (signer == NULL) {
		error_set(err, "preparing to sign SAML assertions: out of memory");
		return NULL;
	}
	signer->key = key;
	if (xmlSecInit() < 0 || xmlSecCryptoInit() < 0) {
		error_set(err, "the XML Security Library cannot be used");
		free(signer);
		return NULL;
	}
	xmlSecErrorsSetCallback(say_nothing);
	if (key->certificate != NULL) {
		signer->certificate = encode_certificate(key->certificate);
		if (signer->certificate == NULL) {
			saml_signer_free(signer);
			error_set(err, "preparing to sign SAML assertions: out of memory");
			return NULL;
		}
	}
	return signer;
}

void saml_signer_free(struct saml_signer *signer)
{
	if (signer == NULL)
		return;
	xmlFree(signer->certificate);
	free(signer);
	xmlSecCryptoShutdown();
	xmlSecShutdown();
}

/* Narrower than XML 1.0 2.2: what does not show has no place in a name. */
static bool is_text(const char *text)
{
	return unicode_is_plain(span_of_string(text), true);
}

/* Appends an element; text NULL: without one. It is written with what XML has special escaped. */
static xmlNodePtr add(struct draft *draft, xmlNodePtr parent, const char *name, const char *text)
{
	xmlNodePtr node = NULL;

	if (parent != NULL && (text == NULL || is_text(text)))
		node = xmlNewTextChild(
			parent, draft->prefix, (const xmlChar *)name, (const xmlChar *)text);
	draft->has_failed |= node == NULL;
	return node;
}

static void set(struct draft *draft, xmlNodePtr node, const char *name, const char *value)
{
	if (node == NULL || !is_text(value) ||
		xmlNewProp(node, (const xmlChar *)name, (const xmlChar *)value) == NULL)
		draft->has_failed = true;
}

static void set_moment(struct draft *draft, xmlNodePtr node, const char *name, int64_t moment)
{
	char text[MOMENT_TEXT_SIZE];

	moment_write(moment, text);
	set(draft, node, name, text);
}

static void add_subject(struct draft *draft, const struct saml_claims *claims)
{
	xmlNodePtr subject = add(draft, draft->root, "Subject", NULL);
	xmlNodePtr name = add(draft, subject, "NameID", claims->subject);
	xmlNodePtr confirmation = add(draft, subject, "SubjectConfirmation", NULL);
	xmlNodePtr data = add(draft, confirmation, "SubjectConfirmationData", NULL);

	set(draft, name, "Format", claims->name_format);
	set(draft, confirmation, "Method", bearer_method);
	set_moment(draft, data, "NotOnOrAfter", claims->now + claims->life_s);
	set(draft, data, "Recipient", claims->recipient);
}

static void add_conditions(struct draft *draft, const struct saml_claims *claims)
{
	xmlNodePtr conditions = add(draft, draft->root, "Conditions", NULL);
	xmlNodePtr restriction = add(draft, conditions, "AudienceRestriction", NULL);

	set_moment(draft, conditions, "NotBefore", claims->now - ASSERTION_SKEW_S);
	set_moment(draft, conditions, "NotOnOrAfter", claims->now + claims->life_s);
	add(draft, restriction, "Audience", claims->audience);
}

static void add_statements(struct draft *draft, const struct saml_claims *claims)
{
	xmlNodePtr authentication = add(draft, draft->root, "AuthnStatement", NULL);
	xmlNodePtr context = add(draft, authentication, "AuthnContext", NULL);
	xmlNodePtr attributes = NULL;

	set_moment(draft, authentication, "AuthnInstant", claims->now);
	add(draft, context, "AuthnContextClassRef", authenticated_by);
	if (claims->attribute_count > 0)
		attributes = add(draft, draft->root, "AttributeStatement", NULL);
	for (size_t i = 0; i < claims->attribute_count; i++) {
		xmlNodePtr attribute = add(draft, attributes, "Attribute", NULL);

		set(draft, attribute, "Name", claims->attributes[i].name);
		set(draft, attribute, "NameFormat", attribute_format);
		add(draft, attribute, "AttributeValue", claims->attributes[i].value);
	}
}

/* After the issuer, as the schema has it (SAML Core 2.3.3). */
static xmlNodePtr add_signature(
	struct draft *draft, const struct signing_key *key, xmlNodePtr issuer, const char *id)
{
	xmlSecTransformId method = key->algorithm == CONFIG_SIGNATURE_ES256
					   ? xmlSecTransformEcdsaSha256Id
					   : xmlSecTransformRsaSha256Id;
	xmlNodePtr signature, reference;
	char uri[ASSERTION_ID_SIZE + 2];

	if (draft->has_failed)
		return NULL;
	snprintf(uri, sizeof(uri), "#%s", id);
	signature = xmlSecTmplSignatureCreateNsPref(
		draft->document, xmlSecTransformExclC14NId, method, NULL, (const xmlChar *)"ds");
	if (signature == NULL)
		return NULL;
	xmlAddNextSibling(issuer, signature);
	reference = xmlSecTmplSignatureAddReference(
		signature, xmlSecTransformSha256Id, NULL, (const xmlChar *)uri, NULL);
	if (reference == NULL ||
		xmlSecTmplReferenceAddTransform(reference, xmlSecTransformEnvelopedId) == NULL ||
		xmlSecTmplReferenceAddTransform(reference, xmlSecTransformExclC14NId) == NULL)
		return NULL;
	return signature;
}

static xmlSecKeyPtr make_key(const struct signing_key *key)
{
	xmlSecKeyPtr made = NULL;
	xmlSecKeyDataPtr data;

	if (EVP_PKEY_up_ref(key->key) != 1)
		return NULL;
	data = xmlSecOpenSSLEvpKeyAdopt(key->key);
	if (data == NULL) {
		EVP_PKEY_free(key->key);
		return NULL;
	}
	made = xmlSecKeyCreate();
	if (made == NULL || xmlSecKeySetValue(made, data) < 0) {
		xmlSecKeyDataDestroy(data);
		if (made != NULL)
			xmlSecKeyDestroy(made);
		return NULL;
	}
	return made;
}

/* Not under the signature: the receiver decides whose certificate it takes. */
static int add_certificate(xmlNodePtr signature, const xmlChar *certificate)
{
	xmlNodePtr info, data;

	if (certificate == NULL)
		return 0;
	info = xmlNewTextChild(signature, signature->ns, (const xmlChar *)"KeyInfo", NULL);
	data = info != NULL
		       ? xmlNewTextChild(info, signature->ns, (const xmlChar *)"X509Data", NULL)
		       : NULL;
	return data != NULL && xmlNewTextChild(data, signature->ns,
				       (const xmlChar *)"X509Certificate", certificate) != NULL
		       ? 0
		       : -1;
}

static int sign(const struct saml_signer *signer, xmlNodePtr signature)
{
	xmlSecDSigCtxPtr context = xmlSecDSigCtxCreate(NULL);
	int result = -1;

	if (context == NULL)
		return -1;
	context->signKey = make_key(signer->key);
	if (context->signKey != NULL && xmlSecDSigCtxSign(context, signature) == 0 &&
		context->status == xmlSecDSigStatusSucceeded)
		result = add_certificate(signature, signer->certificate);
	xmlSecDSigCtxDestroy(context);
	return result;
}

static int save(const struct draft *draft, char *xml, size_t size, size_t *len, struct error *err)
{
	xmlBufferPtr buffer = xmlBufferCreate();
	int result = -1;

	if (buffer == NULL || xmlNodeDump(buffer, draft->document, draft->root, 0, 0) == -1) {
		error_set(err, "writing a SAML assertion: out of memory");
	} else if ((size_t)xmlBufferLength(buffer) > size) {
		error_set(err, "a SAML assertion is larger than %zu bytes", size);
	} else {
		*len = (size_t)xmlBufferLength(buffer);
		memcpy(xml, xmlBufferContent(buffer), *len);
		result = 0;
	}
	if (buffer != NULL)
		OPENSSL_cleanse((void *)xmlBufferContent(buffer), (size_t)xmlBufferLength(buffer));
	xmlBufferFree(buffer);
	return result;
}

static int draft_open(struct draft *draft)
{
	*draft = (struct draft){.document = xmlNewDoc((const xmlChar *)"1.0")};
	if (draft->document == NULL)
		return -1;
	draft->root = xmlNewDocNode(draft->document, NULL, (const xmlChar *)"Assertion", NULL);
	if (draft->root == NULL)
		return -1;
	xmlDocSetRootElement(draft->document, draft->root);
	draft->prefix =
		xmlNewNs(draft->root, (const xmlChar *)saml_namespace, (const xmlChar *)"saml");
	xmlSetNs(draft->root, draft->prefix);
	return draft->prefix != NULL ? 0 : -1;
}

int saml_assertion_write(const struct saml_signer *signer, const struct saml_claims *claims,
	char *xml, size_t size, size_t *len, struct error *err)
{
	static const xmlChar *ids[] = {(const xmlChar *)"ID", NULL};
	char id[ASSERTION_ID_SIZE + 1] = "_"; /* an NCName has no digit in front */
	xmlNodePtr issuer, signature;
	struct draft draft;
	int result = -1;

	*len = 0;
	if (assertion_make_id(id + 1, err) == -1)
		return -1;
	if (draft_open(&draft) == -1) {
		error_set(err, "writing a SAML assertion: out of memory");
		goto out;
	}
	set(&draft, draft.root, "Version", "2.0");
	set(&draft, draft.root, "ID", id);
	set_moment(&draft, draft.root, "IssueInstant", claims->now);
	issuer = add(&draft, draft.root, "Issuer", claims->issuer);
	add_subject(&draft, claims);
	add_conditions(&draft, claims);
	add_statements(&draft, claims);
	if (draft.has_failed) {
		error_set(err,
			"writing a SAML assertion: a text has characters that do not show, or "
			"memory ran out");
		goto out;
	}
	xmlSecAddIDs(draft.document, draft.root, ids);
	signature = add_signature(&draft, signer->key, issuer, id);
	if (signature == NULL || sign(signer, signature) == -1)
		error_set(err, "signing a SAML assertion with %s failed",
			signing_key_algorithm(signer->key));
	else
		result = save(&draft, xml, size, len, err);
out:
	xmlFreeDoc(draft.document);
	return result;
}
