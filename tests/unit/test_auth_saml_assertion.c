/*
 * SAML assertions: what they say, and that their signatures hold. Verified by libxml2's canonical form and
 * OpenSSL, without the library that has signed.
 */
#include <libxml/c14n.h>
#include <libxml/parser.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "auth/assertion.h"
#include "auth/saml_assertion.h"
#include "config/base64.h"
#include "tests/unit/check.h"

enum { XML_MAX = 16 * 1024, NOW = 1795705400 };

static const struct saml_attribute attributes[] = {
	{"http://schemas.xmlsoap.org/claims/UPN", (char *)"alice@corp.local"},
	{"urn:example:immutable-id", (char *)"q0pTU1c<&>\"'=="},
};

static const struct saml_claims claims = {.issuer = "https://easproxy.contoso.test/saml",
	.subject = "m\xc3\xbcller & s\xc3\xb6hne@contoso.test",
	.name_format = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
	.audience = "https://login.contoso.test/",
	.recipient = "https://login.contoso.test/token?a=1&b=2",
	.attribute_count = 2,
	.attributes = attributes,
	.now = NOW,
	.life_s = 300};

/* A key of that kind and, with it, its certificate. */
static struct signing_key *make_key(enum config_signature algorithm, bool has_certificate)
{
	EVP_PKEY *private =
		algorithm == CONFIG_SIGNATURE_ES256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
	BIO *bio = BIO_new(BIO_s_mem()), *chain = BIO_new(BIO_s_mem());
	X509 *certificate = X509_new();
	char *pem, *chain_pem = NULL;
	long len, chain_len = 0;
	struct signing_key *key;

	PEM_write_bio_PKCS8PrivateKey(bio, private, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(bio, &pem);
	if (has_certificate) {
		X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
		X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
		X509_set_pubkey(certificate, private);
		X509_sign(certificate, private, EVP_sha256());
		PEM_write_bio_X509(chain, certificate);
		chain_len = BIO_get_mem_data(chain, &chain_pem);
	}
	key = signing_key_open(algorithm, span_of(pem, (size_t)len),
		span_of(chain_pem, (size_t)chain_len), "", NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	X509_free(certificate);
	EVP_PKEY_free(private);
	BIO_free(bio);
	BIO_free(chain);
	return key;
}

/* The first element of that name, at any depth, in the order of the document. */
static xmlNodePtr find(xmlNodePtr root, const char *name)
{
	xmlNodePtr node = root;

	while (node != NULL) {
		if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0)
			return node;
		if (node->children != NULL) {
			node = node->children;
			continue;
		}
		while (node != root && node->next == NULL)
			node = node->parent;
		node = node == root ? NULL : node->next;
	}
	return NULL;
}

static void assert_content(xmlNodePtr root, const char *name, const char *content)
{
	xmlNodePtr node = find(root, name);
	xmlChar *text = node != NULL ? xmlNodeGetContent(node) : NULL;

	CU_ASSERT_TRUE(xmlStrEqual(text, (const xmlChar *)content));
	xmlFree(text);
}

static void assert_attribute(
	xmlNodePtr root, const char *name, const char *attribute, const char *content)
{
	xmlNodePtr node = find(root, name);
	xmlChar *text = node != NULL ? xmlGetProp(node, (const xmlChar *)attribute) : NULL;

	CU_ASSERT_TRUE(xmlStrEqual(text, (const xmlChar *)content));
	xmlFree(text);
}

static size_t decoded(xmlNodePtr root, const char *name, uint8_t *octets)
{
	xmlNodePtr node = find(root, name);
	xmlChar *text = node != NULL ? xmlNodeGetContent(node) : NULL;
	size_t len = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_EQUAL(base64_decode(span_of(text, (size_t)xmlStrlen(text)), octets, &len), 0);
	xmlFree(text);
	return len;
}

static int is_below(void *top, xmlNodePtr node, xmlNodePtr parent)
{
	for (; parent != NULL && node != top; node = parent, parent = parent->parent)
		continue;
	return node == top;
}

/* The exclusive canonical form of an element, which the caller frees. */
static xmlChar *canonical(xmlNodePtr top, size_t *len)
{
	xmlOutputBufferPtr buffer = xmlAllocOutputBuffer(NULL);
	xmlChar *copy;

	xmlC14NExecute(top->doc, is_below, top, XML_C14N_EXCLUSIVE_1_0, NULL, 0, buffer);
	*len = xmlOutputBufferGetSize(buffer);
	copy = xmlStrndup(xmlOutputBufferGetContent(buffer), (int)*len);
	xmlOutputBufferClose(buffer);
	return copy;
}

static bool is_signed_info_of(xmlNodePtr signature, EVP_PKEY *key)
{
	uint8_t octets[SIGNATURE_MAX], *der = NULL;
	size_t len = decoded(signature, "SignatureValue", octets), info_len;
	xmlChar *info = canonical(find(signature, "SignedInfo"), &info_len);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool is_good;

	if (EVP_PKEY_is_a(key, "EC")) {
		ECDSA_SIG *numbers = ECDSA_SIG_new();

		CU_ASSERT_EQUAL_FATAL(len, 64);
		ECDSA_SIG_set0(
			numbers, BN_bin2bn(octets, 32, NULL), BN_bin2bn(octets + 32, 32, NULL));
		len = (size_t)i2d_ECDSA_SIG(numbers, &der);
		ECDSA_SIG_free(numbers);
	}
	EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key);
	is_good = EVP_DigestVerify(context, der != NULL ? der : octets, len, info, info_len) == 1;
	EVP_MD_CTX_free(context);
	OPENSSL_free(der);
	xmlFree(info);
	return is_good;
}

/* XML Signature 3.2: the digest of what it refers to, and the signature over that. Takes the signature out
 * of the document. */
static bool is_signed_by(xmlNodePtr root, EVP_PKEY *key)
{
	uint8_t said[SIGNATURE_MAX], digest[EVP_MAX_MD_SIZE];
	xmlNodePtr signature = find(root, "Signature");
	unsigned int digest_len;
	bool is_good;
	xmlChar *form;
	size_t len;

	if (!is_signed_info_of(signature, key) || decoded(signature, "DigestValue", said) != 32)
		return false;
	xmlUnlinkNode(signature);
	xmlFreeNode(signature);
	form = canonical(root, &len);
	EVP_Digest(form, len, digest, &digest_len, EVP_sha256(), NULL);
	is_good = digest_len == 32 && memcmp(said, digest, 32) == 0;
	xmlFree(form);
	return is_good;
}

static xmlDocPtr parse(const char *xml, size_t len)
{
	xmlDocPtr document = xmlReadMemory(xml, (int)len, NULL, NULL, XML_PARSE_NONET);

	CU_ASSERT_PTR_NOT_NULL_FATAL(document);
	return document;
}

static void check_signed(enum config_signature algorithm, const char *method)
{
	struct signing_key *key = make_key(algorithm, true);
	struct signing_key *other = make_key(algorithm, false);
	struct saml_signer *signer = saml_signer_new(key, NULL);
	struct error err = {""};
	char xml[XML_MAX];
	xmlDocPtr document;
	uint8_t octets[XML_MAX], *der = NULL;
	size_t len;
	int der_len = i2d_X509(key->certificate, &der);

	CU_ASSERT_PTR_NOT_NULL_FATAL(signer);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(
			saml_assertion_write(signer, &claims, xml, sizeof(xml), &len, &err), 0);
		document = parse(xml, len);
		assert_attribute(document->children, "SignatureMethod", "Algorithm", method);
		assert_attribute(document->children, "DigestMethod", "Algorithm",
			"http://www.w3.org/2001/04/xmlenc#sha256");
		assert_attribute(document->children, "CanonicalizationMethod", "Algorithm",
			"http://www.w3.org/2001/10/xml-exc-c14n#");
		CU_ASSERT_EQUAL(
			decoded(document->children, "X509Certificate", octets), (size_t)der_len);
		CU_ASSERT_EQUAL(memcmp(octets, der, (size_t)der_len), 0);
		CU_ASSERT_FALSE(
			is_signed_info_of(find(document->children, "Signature"), other->key));
		CU_ASSERT_TRUE(is_signed_by(document->children, key->key));
		xmlFreeDoc(document);
	}
	/* One letter of it. */
	*(char *)memmem(xml, len, "corp.local", 10) = 'k';
	document = parse(xml, len);
	CU_ASSERT_FALSE(is_signed_by(document->children, key->key));
	xmlFreeDoc(document);
	OPENSSL_free(der);
	saml_signer_free(signer);
	signing_key_close(key);
	signing_key_close(other);
}

static void test_it_is_signed_with_rsa(void)
{
	check_signed(CONFIG_SIGNATURE_RS256, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256");
}

static void test_it_is_signed_with_ecdsa(void)
{
	check_signed(CONFIG_SIGNATURE_ES256, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256");
}

/* RFC 7522 3, and the order of SAML's schema. */
static void test_what_it_says(void)
{
	static const char *const order[] = {"Issuer", "Signature", "Subject", "Conditions",
		"AuthnStatement", "AttributeStatement"};
	struct signing_key *key = make_key(CONFIG_SIGNATURE_ES256, false);
	struct saml_signer *signer = saml_signer_new(key, NULL);
	char xml[XML_MAX];
	xmlNodePtr root, child;
	xmlDocPtr document;
	size_t len, count = 0;

	CU_ASSERT_EQUAL_FATAL(
		saml_assertion_write(signer, &claims, xml, sizeof(xml), &len, NULL), 0);
	CU_ASSERT_EQUAL(memcmp(xml, "<saml:Assertion ", 16), 0);
	document = parse(xml, len);
	root = document->children;
	for (child = root->children; child != NULL; child = child->next, count++)
		CU_ASSERT_STRING_EQUAL((const char *)child->name, count < 6 ? order[count] : "");
	CU_ASSERT_EQUAL(count, 6);
	CU_ASSERT_STRING_EQUAL(
		(const char *)root->ns->href, "urn:oasis:names:tc:SAML:2.0:assertion");
	assert_attribute(root, "Assertion", "Version", "2.0");
	assert_attribute(root, "Assertion", "IssueInstant", "2026-11-26T15:03:20Z");
	assert_content(root, "Issuer", claims.issuer);
	assert_content(root, "NameID", claims.subject);
	assert_attribute(root, "NameID", "Format", claims.name_format);
	assert_attribute(
		root, "SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer");
	assert_attribute(root, "SubjectConfirmationData", "Recipient", claims.recipient);
	assert_attribute(root, "SubjectConfirmationData", "NotOnOrAfter", "2026-11-26T15:08:20Z");
	assert_attribute(root, "Conditions", "NotBefore", "2026-11-26T15:02:20Z");
	assert_attribute(root, "Conditions", "NotOnOrAfter", "2026-11-26T15:08:20Z");
	assert_content(root, "Audience", claims.audience);
	assert_attribute(root, "AuthnStatement", "AuthnInstant", "2026-11-26T15:03:20Z");
	assert_content(root, "AuthnContextClassRef", "urn:oasis:names:tc:SAML:2.0:ac:classes:X509");
	assert_attribute(root, "Attribute", "Name", attributes[0].name);
	assert_content(root, "AttributeValue", attributes[0].value);
	child = find(root, "Attribute")->next;
	assert_attribute(child, "Attribute", "Name", attributes[1].name);
	assert_content(child, "AttributeValue", attributes[1].value);
	CU_ASSERT_PTR_NULL(find(root, "KeyInfo"));
	xmlFreeDoc(document);
	saml_signer_free(signer);
	signing_key_close(key);
}

static void test_each_has_an_id_of_its_own(void)
{
	struct signing_key *key = make_key(CONFIG_SIGNATURE_ES256, false);
	struct saml_signer *signer = saml_signer_new(key, NULL);
	char xml[2][XML_MAX], uri[64] = "#";
	xmlChar *ids[2];
	size_t len;

	for (int i = 0; i < 2; i++) {
		xmlDocPtr document;

		CU_ASSERT_EQUAL_FATAL(
			saml_assertion_write(signer, &claims, xml[i], XML_MAX, &len, NULL), 0);
		document = parse(xml[i], len);
		ids[i] = xmlGetProp(document->children, (const xmlChar *)"ID");
		CU_ASSERT_EQUAL(strlen((const char *)ids[i]), ASSERTION_ID_SIZE);
		CU_ASSERT_EQUAL(ids[i][0], '_');
		memcpy(uri + 1, ids[i], ASSERTION_ID_SIZE + 1);
		assert_attribute(document->children, "Reference", "URI", uri);
		xmlFreeDoc(document);
	}
	CU_ASSERT_STRING_NOT_EQUAL((const char *)ids[0], (const char *)ids[1]);
	xmlFree(ids[0]);
	xmlFree(ids[1]);
	saml_signer_free(signer);
	signing_key_close(key);
}

static void test_texts_that_do_not_show_are_not_signed(void)
{
	static const char *const texts[] = {
		"a\001b", "a\nb", "\xff", "a\xed\xa0\x80", "\xef\xbf\xbe", "a\xe2\x80\x8b!"};
	struct signing_key *key = make_key(CONFIG_SIGNATURE_ES256, false);
	struct saml_signer *signer = saml_signer_new(key, NULL);
	char xml[XML_MAX];
	size_t len;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct saml_claims broken = claims;
		struct error err = {""};

		broken.subject = texts[i];
		CU_ASSERT_EQUAL(
			saml_assertion_write(signer, &broken, xml, sizeof(xml), &len, &err), -1);
		CU_ASSERT_EQUAL(len, 0);
		CU_ASSERT_STRING_NOT_EQUAL(err.text, "");
		broken = claims;
		broken.recipient = texts[i];
		CU_ASSERT_EQUAL(
			saml_assertion_write(signer, &broken, xml, sizeof(xml), &len, &err), -1);
	}
	saml_signer_free(signer);
	signing_key_close(key);
}

static void test_what_does_not_fit_is_an_error(void)
{
	struct signing_key *key = make_key(CONFIG_SIGNATURE_ES256, false);
	struct saml_signer *signer = saml_signer_new(key, NULL);
	struct error err;
	char xml[200];
	size_t len;

	CU_ASSERT_EQUAL(saml_assertion_write(signer, &claims, xml, sizeof(xml), &len, &err), -1);
	saml_signer_free(signer);
	signing_key_close(key);
}

static const struct check checks[] = {
	{"it is signed with RSA", test_it_is_signed_with_rsa},
	{"it is signed with ECDSA", test_it_is_signed_with_ecdsa},
	{"what it says", test_what_it_says},
	{"each has an id of its own", test_each_has_an_id_of_its_own},
	{"texts that do not show are not signed", test_texts_that_do_not_show_are_not_signed},
	{"what does not fit is an error", test_what_does_not_fit_is_an_error},
};

int main(void)
{
	return check_run("auth/saml_assertion", checks, sizeof(checks) / sizeof(checks[0]));
}
