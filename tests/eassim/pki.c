/* The users of a fleet and their certificates. */
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certificate.h"
#include "fleet.h"
#include "mint.h"

enum { USERS_MAX = 100000 };

static int openssl_fail(struct error *err, const char *doing, const char *file)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return error_set(err, "%s %s: %s", doing, file, reason != NULL ? reason : "failed");
}

static SSL_CTX *context_bare(struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context == NULL) {
		error_set(err, "out of memory");
		return NULL;
	}
	/* A phone is one of tens of thousands: no buffers while it sleeps, no sessions. */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return context;
}

static SSL_CTX *context_new(const char *ca, const char *chain, const char *key, struct error *err)
{
	SSL_CTX *context = context_bare(err);

	if (context == NULL)
		return NULL;
	if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
		openssl_fail(err, "reading the server's authority", ca);
	else if (SSL_CTX_use_certificate_chain_file(context, chain) != 1)
		openssl_fail(err, "reading the certificate", chain);
	else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		openssl_fail(err, "reading the private key", key);
	else
		return context;
	SSL_CTX_free(context);
	return NULL;
}

/* Without a name in the certificate, or without one, the user's name and the domain. */
static void user_name_mailbox(struct user *user, const char *domain)
{
	X509 *certificate = user->tls != NULL ? SSL_CTX_get0_certificate(user->tls) : NULL;

	if (domain == NULL && certificate != NULL &&
		certificate_mailbox(certificate, user->mailbox))
		return;
	if (domain != NULL && strchr(user->name, '@') == NULL)
		snprintf(user->mailbox, sizeof(user->mailbox), "%s@%.150s", user->name, domain);
	else
		snprintf(user->mailbox, sizeof(user->mailbox), "%s", user->name);
}

static int user_add(struct fleet *fleet, const char *name, size_t len, struct error *err)
{
	const char *pki = fleet->options.pki;
	char ca[4096], chain[4096], key[4096];
	struct user *users, *user;

	if (len == 0 || len >= sizeof(user->name) || fleet->user_count == USERS_MAX)
		return error_set(
			err, "%.*s: not a user's name", (int)(len < 128 ? len : 128), name);
	users = reallocarray(fleet->users, fleet->user_count + 1, sizeof(*users));
	if (users == NULL)
		return error_set(err, "out of memory");
	fleet->users = users;
	user = &users[fleet->user_count];
	*user = (struct user){.tls = NULL};
	memcpy(user->name, name, len);
	if (fleet->is_tls) {
		snprintf(ca, sizeof(ca), "%s/ca.pem", pki);
		snprintf(chain, sizeof(chain), "%s/%s.pem", pki, user->name);
		snprintf(key, sizeof(key), "%s/%s.key", pki, user->name);
		user->tls = context_new(ca, chain, key, err);
		if (user->tls == NULL)
			return -1;
	}
	user_name_mailbox(user, fleet->options.domain);
	fleet->user_count++;
	return 0;
}

/* The name of USER.key where USER.pem is a certificate with a mailbox; server keys have none. */
static int is_user_key(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot != NULL && dot != entry->d_name && strcmp(dot, ".key") == 0;
}

static bool has_mailbox(const char *pki, const char *name, int len)
{
	char path[4096], mailbox[321];
	FILE *file;
	X509 *certificate = NULL;
	bool is_named;

	snprintf(path, sizeof(path), "%s/%.*s.pem", pki, len, name);
	file = fopen(path, "re");
	if (file != NULL) {
		certificate = PEM_read_X509(file, NULL, NULL, NULL);
		fclose(file);
	}
	is_named = certificate != NULL && certificate_mailbox(certificate, mailbox);
	X509_free(certificate);
	return is_named;
}

static int users_of_directory(struct fleet *fleet, struct error *err)
{
	const char *pki = fleet->options.pki;
	struct dirent **entries;
	int count = scandir(pki, &entries, is_user_key, alphasort), result = 0;

	if (count < 0)
		return error_sys(err, "reading %s", pki);
	for (int i = 0; i < count; i++) {
		size_t len = strlen(entries[i]->d_name) - strlen(".key");

		if (result == 0 && has_mailbox(pki, entries[i]->d_name, (int)len))
			result = user_add(fleet, entries[i]->d_name, len, err);
		free(entries[i]);
	}
	free(entries);
	if (result == 0 && fleet->user_count == 0)
		return error_set(err, "%s has no USER.pem and USER.key", pki);
	return result;
}

/* A certificate that is made here and now. The server's authorities are shared by all. */
static SSL_CTX *context_mint(const struct mint *mint, X509_STORE *authorities, uint32_t number,
	const char *mailbox, struct error *err)
{
	X509 *certificate;
	EVP_PKEY *key;
	SSL_CTX *context = context_bare(err);

	if (context == NULL || mint_certificate(mint, number, mailbox, &certificate, &key, err)) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set1_cert_store(context, authorities);
	if (SSL_CTX_use_certificate(context, certificate) != 1 ||
		SSL_CTX_use_PrivateKey(context, key) != 1 ||
		SSL_CTX_add1_chain_cert(context, mint_issuer(mint)) != 1) {
		openssl_fail(err, "taking the certificate of", mailbox);
		SSL_CTX_free(context);
		context = NULL;
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

static int users_mint_all(
	struct fleet *fleet, const struct mint *mint, X509_STORE *authorities, struct error *err)
{
	uint32_t count = fleet->options.mint;

	fleet->users = calloc(count, sizeof(*fleet->users));
	if (fleet->users == NULL)
		return error_set(err, "out of memory");
	for (uint32_t i = 0; i < count; i++) {
		struct user *user = &fleet->users[i];

		snprintf(user->name, sizeof(user->name), "phone%u", i);
		snprintf(user->mailbox, sizeof(user->mailbox), "%s@%.150s", user->name,
			fleet->options.domain);
		user->tls = context_mint(mint, authorities, i, user->mailbox, err);
		if (user->tls == NULL)
			return -1;
		fleet->user_count++;
	}
	return 0;
}

/* phone0@DOMAIN, phone1@DOMAIN and so on. */
static int users_mint(struct fleet *fleet, struct error *err)
{
	struct mint *mint = mint_open(fleet->options.pki, err);
	X509_STORE *authorities = X509_STORE_new();
	char ca[4096];
	int status = -1;

	snprintf(ca, sizeof(ca), "%s/ca.pem", fleet->options.pki);
	if (mint != NULL && authorities != NULL) {
		if (X509_STORE_load_file(authorities, ca) == 1)
			status = users_mint_all(fleet, mint, authorities, err);
		else
			openssl_fail(err, "reading the server's authority", ca);
	}
	X509_STORE_free(authorities);
	mint_close(mint);
	return status;
}

int pki_load(struct fleet *fleet, struct error *err)
{
	const char *names = fleet->options.users;

	if (fleet->is_tls && fleet->options.pki == NULL)
		return error_set(
			err, "--pki is missing: the folder of ca.pem, USER.pem and USER.key");
	if (fleet->is_tls && fleet->options.mint > 0)
		return users_mint(fleet, err);
	if (names == NULL && fleet->is_tls)
		return users_of_directory(fleet, err);
	if (names == NULL)
		names = "alice,bob,carol";
	while (*names != '\0') {
		size_t len = strcspn(names, ",");

		if (user_add(fleet, names, len, err) != 0)
			return -1;
		names += len + (names[len] == ',');
	}
	return fleet->user_count > 0 ? 0 : error_set(err, "--users is empty");
}
