#include "auth/minted_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "auth/binding.h"
#include "auth/minted_extensions.h"
#include "auth/minted_issuer.h"

enum {
	BACKDATE_S = 5 * 60, /* for a mail server whose clock is behind */
	RSA_KEY_LIFE_S = 60 * 60,
	COMMON_NAME_MAX = 64, /* characters: ub-common-name */
	SERIAL_LEN = 20,      /* RFC 5280 4.1.2.2: at most 20 octets, positive */
};

struct minter {
	struct minted_issuer *issuer;
	enum config_key_type key_type;
	int64_t life_s;
	const char *crl_url; /* of the configuration; "": none */
	bool has_sid, is_broken;
	EVP_PKEY *rsa; /* for several users */
	int64_t rsa_since;
};

/* What a certificate says, checked. */
struct minted_names {
	struct span mailbox, principal;
	struct span common_name, sid, crl_url; /* may be empty */
	char made[IDENTITY_ADDRESS_MAX + 1];   /* principal, where it was put together */
};

struct minter *minter_new(const struct config_minted *config, bool *was_refused, struct error *err)
{
	struct minter *minter = calloc(1, sizeof(*minter));

	*was_refused = false;
	if (minter == NULL) {
		error_set(err, "setting up minted certificates: out of memory");
		return NULL;
	}
	minter->key_type = config->key_type;
	minter->life_s = config->life_ms / 1000;
	minter->crl_url = config->crl_url;
	minter->has_sid = config->sid;
	minter->issuer = minted_issuer_open(config, was_refused, err);
	if (minter->issuer == NULL) {
		minter_free(minter);
		return NULL;
	}
	return minter;
}

void minter_free(struct minter *minter)
{
	if (minter == NULL)
		return;
	minted_issuer_close(minter->issuer);
	EVP_PKEY_free(minter->rsa);
	free(minter);
}

bool minter_is_broken(const struct minter *minter)
{
	return minter->is_broken;
}

/* Names */

static size_t count_characters(struct span text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += (text.data[i] & 0xc0) != 0x80;
	return count;
}

static bool is_common_name(struct span name)
{
	return name.len > 0 && count_characters(name) <= COMMON_NAME_MAX;
}

/* A name is taken whole or not at all. */
static struct span choose_common_name(
	const struct minted_names *names, const struct login_subject *subject)
{
	struct span account = span_of_string(subject->account);

	if (is_common_name(names->mailbox))
		return names->mailbox;
	if (is_common_name(names->principal))
		return names->principal;
	return is_common_name(account) ? account : span_of("", 0);
}

/* [MS-ADTS] 5.1.1.1.1: beside the UPN that it was given, an account is known by its name and the DNS
 * name of its domain. */
static struct span choose_principal(struct minted_names *names, const struct login_subject *subject)
{
	int len;

	if (subject->upn[0] != '\0')
		return span_of_string(subject->upn);
	if (subject->account[0] == '\0' || subject->realm[0] == '\0')
		return names->mailbox;
	len = snprintf(names->made, sizeof(names->made), "%s@%s", subject->account, subject->realm);
	if (len < 0 || (size_t)len >= sizeof(names->made))
		return span_of("", 0);
	for (char *c = strchr(names->made, '@'); *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return span_of(names->made, (size_t)len);
}

static enum login_status choose_names(const struct minter *minter,
	const struct login_subject *subject, struct minted_names *names, struct login_fault *fault)
{
	names->mailbox = span_of_string(subject->mailbox);
	if (!address_is_sound(names->mailbox, ADDRESS_ASCII) &&
		!address_is_sound(names->mailbox, ADDRESS_UTF8_LOCAL))
		return login_fault_set(fault, LOGIN_REFUSED, "give the user another address",
			"the mailbox cannot stand in a certificate");
	names->principal = choose_principal(names, subject);
	if (!address_is_sound(names->principal, ADDRESS_UTF8))
		return login_fault_set(fault, LOGIN_REFUSED,
			"give the user a userPrincipalName that looks like an address",
			"the principal name that the directory has cannot stand in a certificate");
	names->sid = span_of_string(minter->has_sid ? subject->sid : "");
	if (names->sid.len > 0 && !binding_is_sid(names->sid))
		return login_fault_set(fault, LOGIN_REFUSED, "see directory/sid-attribute",
			"what the directory has as the user's SID is none");
	names->common_name = choose_common_name(names, subject);
	names->crl_url = span_of_string(minter->crl_url);
	return LOGIN_GIVEN;
}

/* Keys */

/* A key of P-256 is made in a fraction of a millisecond, one of RSA in a hundred of them: a thousand
 * phones that wake at once would wait for minutes. All of these keys live in the same workers and
 * nowhere else, so that one which several users share for an hour gives nobody more than he has who can
 * read one of them. */
static EVP_PKEY *get_rsa_key(struct minter *minter, int64_t now)
{
	bool is_fresh = minter->rsa != NULL && now >= minter->rsa_since &&
			now - minter->rsa_since < RSA_KEY_LIFE_S;

	if (!is_fresh) {
		EVP_PKEY_free(minter->rsa);
		minter->rsa = EVP_RSA_gen(2048);
		minter->rsa_since = now;
	}
	if (minter->rsa != NULL)
		EVP_PKEY_up_ref(minter->rsa);
	return minter->rsa;
}

/* The caller's to free. */
static EVP_PKEY *get_key(struct minter *minter, int64_t now)
{
	return minter->key_type == CONFIG_KEY_RSA ? get_rsa_key(minter, now) : EVP_EC_gen("P-256");
}

/* The certificate */

static int set_serial(X509 *certificate)
{
	unsigned char octets[SERIAL_LEN];
	BIGNUM *number;
	int result = -1;

	if (RAND_bytes(octets, sizeof(octets)) != 1)
		return -1;
	/* 158 random bits: neither negative, nor shorter than the others. */
	octets[0] = (unsigned char)((octets[0] & 0x7f) | 0x40);
	number = BN_bin2bn(octets, sizeof(octets), NULL);
	if (number != NULL &&
		BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL)
		result = 0;
	BN_free(number);
	return result;
}

/* From, until: UNIX seconds; UTCTime up to 2049, GeneralizedTime from then on. */
static int set_times(X509 *certificate, int64_t from, int64_t until)
{
	if (ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)from) == NULL ||
		ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)until) == NULL)
		return -1;
	return 0;
}

static int set_subject(X509 *certificate, struct span common_name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);

	if (common_name.len > 0 &&
		X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, common_name.data,
			(int)common_name.len, -1, 0) != 1)
		return -1;
	return 0;
}

static int fill(X509 *certificate, EVP_PKEY *key, X509 *issuer, const struct minted_names *names)
{
	if (X509_set_version(certificate, X509_VERSION_3) != 1 || set_serial(certificate) == -1 ||
		X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1 ||
		set_subject(certificate, names->common_name) == -1 ||
		X509_set_pubkey(certificate, key) != 1 ||
		minted_extensions_add_usage(certificate, issuer) == -1 ||
		minted_extensions_add_names(certificate, names->principal, names->mailbox,
			names->common_name.len == 0) == -1)
		return -1;
	if (names->crl_url.len > 0 && minted_extensions_add_crl(certificate, names->crl_url) == -1)
		return -1;
	return names->sid.len == 0 ? 0 : minted_extensions_add_sid(certificate, names->sid);
}

static int write_secret(const struct minted_issuer *issuer, X509 *certificate, EVP_PKEY *key,
	struct login_secret *out)
{
	/* What it lets go of, it wipes. */
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	int result = -1;

	if (bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
		PEM_write_bio_X509(bio, certificate) == 1 &&
		BIO_write(bio, issuer->chain, (int)issuer->chain_len) == (int)issuer->chain_len) {
		len = BIO_get_mem_data(bio, &data);
		if (len > 0 && (size_t)len <= sizeof(out->bytes)) {
			memcpy(out->bytes, data, (size_t)len);
			out->len = (size_t)len;
			result = 0;
		}
	}
	BIO_free(bio);
	return result;
}

static enum login_status issue(struct minter *minter, const struct minted_names *names, int64_t now,
	struct login_secret *out, struct login_fault *fault)
{
	static const char busy_hint[] = "see the memory of this host";
	const struct minted_issuer *issuer = minter->issuer;
	int64_t from = now - BACKDATE_S, until = now + minter->life_s;
	EVP_PKEY *key = get_key(minter, now);
	X509 *certificate = X509_new();
	enum login_status status = LOGIN_GIVEN;
	struct error err;

	if (from < issuer->not_before)
		from = issuer->not_before;
	if (until > issuer->not_after)
		until = issuer->not_after;
	if (key == NULL || certificate == NULL || set_times(certificate, from, until) == -1 ||
		fill(certificate, key, issuer->certificate, names) == -1) {
		status = login_fault_set(fault, LOGIN_UNAVAILABLE, busy_hint,
			"a certificate could not be made: out of memory");
	} else if (minted_issuer_sign(issuer, certificate, &err) == -1) {
		minter->is_broken = issuer->token != NULL;
		status = login_fault_set(fault, LOGIN_UNAVAILABLE, "see whether its token is there",
			"%.190s", err.text);
	} else if (write_secret(issuer, certificate, key, out) == -1) {
		status = login_fault_set(fault, LOGIN_UNAVAILABLE, busy_hint,
			"a certificate could not be written: out of memory");
	} else {
		out->valid_until = until;
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return status;
}

enum login_status minter_mint(struct minter *minter, const struct login_subject *subject,
	int64_t now, struct login_secret *out, struct login_fault *fault)
{
	const struct minted_issuer *issuer = minter->issuer;
	struct minted_names names = {.made = ""};
	enum login_status status;

	out->len = 0;
	if (now >= issuer->not_after)
		return login_fault_set(fault, LOGIN_MISCONFIGURED,
			"renew it, set minted-certificate/issuer, and reload",
			"the issuer of minted certificates, or one above it, has expired");
	if (now < issuer->not_before)
		return login_fault_set(fault, LOGIN_MISCONFIGURED,
			"see whether the clock of this host is right",
			"the issuer of minted certificates, or one above it, is not valid yet");
	status = choose_names(minter, subject, &names, fault);
	return status == LOGIN_GIVEN ? issue(minter, &names, now, out, fault) : status;
}
