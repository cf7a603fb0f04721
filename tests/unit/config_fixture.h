/*
 * A folder with all that a configuration names, and config_load() of a text in it.
 */
#ifndef TESTS_UNIT_CONFIG_FIXTURE_H
#define TESTS_UNIT_CONFIG_FIXTURE_H

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include "config/model.h"
#include "tests/unit/config_pki.h"

/* In the place of libc's, so that no name server is asked: names resolve, but for those below
 * .invalid (RFC 6761). */
int getaddrinfo(const char *restrict name, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	bool is_address = name == NULL || name[strspn(name, "0123456789abcdef.:")] == '\0';

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (name != NULL && strstr(name, ".invalid") != NULL)
		return EAI_NONAME;
	if (is_address && name != NULL && strpbrk(name, ".:") == NULL)
		is_address = false;
	return real(is_address || strcmp(name, "localhost") == 0 ? name : "192.0.2.1", service,
		hints, found);
}

struct fixture {
	char dir[64];
	char reports[8192]; /* one line each, without the folder's name */
};

static inline void fixture_path(const struct fixture *fixture, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", fixture->dir, name);
}

static inline void fixture_write(
	const struct fixture *fixture, const char *name, const char *text, mode_t mode)
{
	char path[128];

	fixture_path(fixture, name, path);
	write_text(path, text, mode);
}

static inline void fixture_begin(struct fixture *fixture)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	EVP_PKEY *rsa = EVP_RSA_gen(2048);
	X509 *ca = make_certificate(ca_key, "Test CA", NULL, NULL, NULL, 0);
	X509 *leaf =
		make_certificate(key, "mail", ca, ca_key, "DNS:mail.example.com,DNS:*.m.test", 0);
	X509 *expired = make_certificate(key, "mail", ca, ca_key, "DNS:mail.example.com", -9);
	X509 *future = make_certificate(key, "mail", ca, ca_key, "DNS:mail.example.com", 9);
	X509 *rsa_leaf = make_certificate(rsa, "mail", ca, ca_key, "DNS:mail.example.com", 0);
	char path[128];

	*fixture = (struct fixture){.dir = "/tmp/easproxy-config-XXXXXX"};
	if (mkdtemp(fixture->dir) == NULL)
		abort();
	fixture_path(fixture, "mail.pem", path);
	write_certificates(path, leaf, ca);
	fixture_path(fixture, "disorder.pem", path);
	write_certificates(path, leaf, rsa_leaf);
	fixture_path(fixture, "expired.pem", path);
	write_certificates(path, expired, NULL);
	fixture_path(fixture, "future.pem", path);
	write_certificates(path, future, NULL);
	fixture_path(fixture, "rsa.pem", path);
	write_certificates(path, rsa_leaf, NULL);
	fixture_path(fixture, "ca.pem", path);
	write_certificates(path, ca, NULL);
	fixture_path(fixture, "mail.key", path);
	write_key(path, key, NULL);
	fixture_path(fixture, "rsa.key", path);
	write_key(path, rsa, NULL);
	fixture_path(fixture, "locked.key", path);
	write_key(path, key, "secret");
	fixture_path(fixture, "open.key", path);
	write_key(path, key, NULL);
	chmod(path, 0644);
	fixture_path(fixture, "group.key", path);
	write_key(path, key, NULL);
	chmod(path, 0640);
	fixture_write(fixture, "junk.pem", "not PEM\n", 0600);
	fixture_write(fixture, "empty.pem", "", 0600);
	fixture_write(fixture, "trust.json", "{\"certificateAuthorities\": []}\n", 0644);
	fixture_write(fixture, "password", "se%%cret\n", 0600);
	fixture_write(fixture, "quarantine.txt",
		"Gr\xc3\xbc\xc3\x9f"
		"e an %{mailbox}, 100 %%.\r\n",
		0644);
	fixture_write(fixture, "two-lines", "one\ntwo\n", 0600);
	X509_free(ca);
	X509_free(leaf);
	X509_free(expired);
	X509_free(future);
	X509_free(rsa_leaf);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(rsa);
}

static inline void fixture_end(struct fixture *fixture)
{
	DIR *dir = opendir(fixture->dir);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	rmdir(fixture->dir);
}

/* Keeps a report, with the folder taken out wherever it stands. */
static inline void fixture_report(void *context, const char *text)
{
	struct fixture *fixture = context;
	size_t len = strlen(fixture->reports), dir_len = strlen(fixture->dir);

	while (*text != '\0' && len + 2 < sizeof(fixture->reports)) {
		if (strncmp(text, fixture->dir, dir_len) == 0 && text[dir_len] == '/')
			text += dir_len + 1;
		else
			fixture->reports[len++] = *text++;
	}
	fixture->reports[len++] = '\n';
	fixture->reports[len] = '\0';
}

/* The text becomes the file "c" of the folder. */
static inline struct config *fixture_load(
	struct fixture *fixture, const char *text, config_store_check *store_check)
{
	char path[128];

	fixture->reports[0] = '\0';
	fixture_write(fixture, "c", text, 0600);
	fixture_path(fixture, "c", path);
	return config_load(path, store_check, fixture_report, fixture);
}

#endif
