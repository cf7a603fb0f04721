/* The users of a fleet and their certificates. */
#include <dirent.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certificate.h"
#include "fleet.h"

enum { USERS_MAX = 100000 };

/* Without a name in the certificate, or without one, the user's name and the domain. */
static void user_name_mailbox(struct fleet *fleet, struct user *user)
{
	const char *domain = fleet->options.domain;

	if (domain == NULL && fleet->is_tls)
		identities_mailbox(fleet->identities, fleet->user_count, user->mailbox);
	if (user->mailbox[0] != '\0')
		return;
	if (domain != NULL && strchr(user->name, '@') == NULL)
		snprintf(user->mailbox, sizeof(user->mailbox), "%s@%.150s", user->name, domain);
	else
		snprintf(user->mailbox, sizeof(user->mailbox), "%s", user->name);
}

static int user_add(struct fleet *fleet, const char *name, size_t len, struct error *err)
{
	const char *pki = fleet->options.pki;
	char chain[4096], key[4096];
	struct user *users, *user;

	if (len == 0 || len >= sizeof(user->name) || fleet->user_count == USERS_MAX)
		return error_set(
			err, "%.*s: not a user's name", (int)(len < 128 ? len : 128), name);
	users = reallocarray(fleet->users, fleet->user_count + 1, sizeof(*users));
	if (users == NULL)
		return error_set(err, "out of memory");
	fleet->users = users;
	user = &users[fleet->user_count];
	*user = (struct user){.phones_enrolled = 0};
	memcpy(user->name, name, len);
	if (fleet->is_tls) {
		snprintf(chain, sizeof(chain), "%s/%s.pem", pki, user->name);
		snprintf(key, sizeof(key), "%s/%s.key", pki, user->name);
		if (identities_add(fleet->identities, chain, key, err) != 0)
			return -1;
	}
	user_name_mailbox(fleet, user);
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

/* phone0@DOMAIN, phone1@DOMAIN and so on. */
static int users_mint(struct fleet *fleet, struct error *err)
{
	uint32_t count = fleet->options.mint;
	char issuer[4096], key[4096];
	struct mint_options mint = {.issuer = issuer,
		.issuer_key = key,
		.domain = fleet->options.domain,
		.phones = count};

	snprintf(issuer, sizeof(issuer), "%s/authority/issuing.pem", fleet->options.pki);
	snprintf(key, sizeof(key), "%s/authority/issuing.key", fleet->options.pki);
	if (identities_mint(fleet->identities, &mint, err) != 0)
		return -1;
	fleet->users = calloc(count, sizeof(*fleet->users));
	if (fleet->users == NULL)
		return error_set(err, "out of memory");
	for (; fleet->user_count < count; fleet->user_count++) {
		struct user *user = &fleet->users[fleet->user_count];

		snprintf(user->name, sizeof(user->name), "phone%u", fleet->user_count);
		identities_mailbox(fleet->identities, fleet->user_count, user->mailbox);
	}
	return 0;
}

/* Who the server has to be. */
static int authority_load(struct fleet *fleet, struct error *err)
{
	char path[4096];
	struct config_file ca = {.path = path};

	if (fleet->options.pki == NULL)
		return error_set(
			err, "--pki is missing: the folder of ca.pem, USER.pem and USER.key");
	snprintf(path, sizeof(path), "%s/ca.pem", fleet->options.pki);
	ca.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (ca.fd == -1)
		return error_sys(err, "opening %s", path);
	fleet->world.tls = tls_client_new(&ca, true, err);
	close(ca.fd);
	fleet->identities = identities_new();
	if (fleet->world.tls != NULL && fleet->identities == NULL)
		error_set(err, "out of memory");
	return fleet->world.tls != NULL && fleet->identities != NULL ? 0 : -1;
}

int pki_load(struct fleet *fleet, struct error *err)
{
	const char *names = fleet->options.users;

	if (fleet->is_tls && authority_load(fleet, err) != 0)
		return -1;
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
