#include "proxy/profile_pkcs12.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* Files for older phones are encrypted with what OpenSSL 3 has put into this provider (RC2). Without it
 * they cannot be read; that is told then. */
static void load_legacy(void)
{
	static bool is_loaded;

	if (!is_loaded)
		OSSL_PROVIDER_try_load(NULL, "legacy", 1);
	is_loaded = true;
	ERR_clear_error();
}

/* The cipher of PBES2 stands in its parameter, RFC 8018 6.2. */
static void describe_encryption(const X509_ALGOR *algorithm, char text[64], bool *is_modern)
{
	const ASN1_OBJECT *object = NULL;
	const void *parameter = NULL;
	PBE2PARAM *pbes2 = NULL;
	int type = 0;

	X509_ALGOR_get0(&object, &type, &parameter, algorithm);
	if (OBJ_obj2nid(object) != NID_pbes2) {
		snprintf(text, 64, "%s", OBJ_nid2ln(OBJ_obj2nid(object)));
		return;
	}
	*is_modern = true;
	if (type == V_ASN1_SEQUENCE)
		pbes2 = ASN1_item_unpack(parameter, ASN1_ITEM_rptr(PBE2PARAM));
	snprintf(text, 64, "PBES2 with %s",
		pbes2 != NULL ? OBJ_nid2sn(OBJ_obj2nid(pbes2->encryption->algorithm)) : "?");
	PBE2PARAM_free(pbes2);
}

static void look_at_bags(PKCS7 *safe, struct profile_pkcs12 *pkcs12)
{
	STACK_OF(PKCS12_SAFEBAG) *bags = PKCS12_unpack_p7data(safe);

	for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
		const PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);
		const X509_ALGOR *algorithm = NULL;

		if (PKCS12_SAFEBAG_get_nid(bag) != NID_pkcs8ShroudedKeyBag)
			continue;
		X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &algorithm, NULL);
		describe_encryption(algorithm, pkcs12->key_encryption, &pkcs12->is_modern);
	}
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
}

static void look_at_safes(const PKCS12 *file, struct profile_pkcs12 *pkcs12)
{
	STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(file);

	for (int i = 0; i < sk_PKCS7_num(safes); i++) {
		PKCS7 *safe = sk_PKCS7_value(safes, i);

		if (PKCS7_type_is_encrypted(safe))
			describe_encryption(safe->d.encrypted->enc_data->algorithm,
				pkcs12->certificate_encryption, &pkcs12->is_modern);
		else if (PKCS7_type_is_data(safe))
			look_at_bags(safe, pkcs12);
	}
	sk_PKCS7_pop_free(safes, PKCS7_free);
}

static void look_at_mac(const PKCS12 *file, struct profile_pkcs12 *pkcs12)
{
	const X509_ALGOR *algorithm = NULL;
	const ASN1_OBJECT *object = NULL;

	PKCS12_get0_mac(NULL, &algorithm, NULL, NULL, file);
	if (algorithm == NULL)
		return;
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	snprintf(pkcs12->mac, sizeof(pkcs12->mac), "%s MAC", OBJ_nid2sn(OBJ_obj2nid(object)));
	pkcs12->is_modern |= OBJ_obj2nid(object) != NID_sha1;
}

static int explain_failure(struct error *err)
{
	unsigned long code = ERR_peek_last_error();
	int reason = ERR_GET_REASON(code);

	if (ERR_GET_LIB(code) == ERR_LIB_PKCS12 && reason == PKCS12_R_MAC_VERIFY_FAILURE)
		error_set(err, "the password is wrong");
	else if (code != 0)
		error_set(err, "its content cannot be read: %s", ERR_reason_error_string(code));
	else
		error_set(err, "its content cannot be read");
	ERR_clear_error();
	return -1;
}

static int take_content(
	PKCS12 *file, const char *password, struct profile_pkcs12 *pkcs12, struct error *err)
{
	if (PKCS12_parse(file, password, &pkcs12->key, &pkcs12->leaf, &pkcs12->chain) != 1)
		return explain_failure(err);
	if (pkcs12->key == NULL)
		return error_set(err, "it has no private key");
	if (pkcs12->leaf == NULL || X509_check_private_key(pkcs12->leaf, pkcs12->key) != 1) {
		ERR_clear_error();
		return error_set(err, "it has no certificate that belongs to its private key");
	}
	X509_check_purpose(pkcs12->leaf, -1, 0); /* has its extensions read */
	return 0;
}

int profile_pkcs12_read(
	struct span der, const char *password, struct profile_pkcs12 *pkcs12, struct error *err)
{
	const unsigned char *at = der.data;
	PKCS12 *file = NULL;
	int status;

	*pkcs12 = (struct profile_pkcs12){.leaf = NULL};
	load_legacy();
	if (der.len <= PROFILE_PKCS12_MAX)
		file = d2i_PKCS12(NULL, &at, (long)der.len);
	if (file == NULL) {
		ERR_clear_error();
		return error_set(err, "it is no PKCS#12 file");
	}
	look_at_mac(file, pkcs12);
	look_at_safes(file, pkcs12);
	status = take_content(file, password, pkcs12, err);
	PKCS12_free(file);
	if (status != 0)
		profile_pkcs12_clear(pkcs12);
	return status;
}

void profile_pkcs12_clear(struct profile_pkcs12 *pkcs12)
{
	X509_free(pkcs12->leaf);
	EVP_PKEY_free(pkcs12->key);
	sk_X509_pop_free(pkcs12->chain, X509_free);
	*pkcs12 = (struct profile_pkcs12){.leaf = NULL};
}

void profile_pkcs12_judge(const struct profile_pkcs12 *pkcs12, const struct profile_report *report)
{
	if (pkcs12->is_modern)
		profile_tell(report, PROFILE_WARNING,
			"the PKCS#12 file is encrypted as older phones cannot read it (key: %s; "
			"certificates: %s; %s): make it with openssl pkcs12 -export -legacy for "
			"them",
			pkcs12->key_encryption[0] != '\0' ? pkcs12->key_encryption : "none",
			pkcs12->certificate_encryption[0] != '\0' ? pkcs12->certificate_encryption
								  : "none",
			pkcs12->mac[0] != '\0' ? pkcs12->mac : "no MAC");
	if (pkcs12->key_encryption[0] == '\0')
		profile_tell(report, PROFILE_WARNING,
			"the private key in the PKCS#12 file is not encrypted: whoever gets the "
			"file has it");
}
