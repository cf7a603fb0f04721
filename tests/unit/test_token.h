/*
 * A token of SoftHSM's in a folder of its own, with two keys, for tests of keys in tokens; and an empty
 * one beside it.
 */
#ifndef TESTS_UNIT_TEST_TOKEN_H
#define TESTS_UNIT_TEST_TOKEN_H

#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test_pki.h"

#define TOKEN_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define TOKEN_PIN    "1234"

struct token {
	char folder[32];
};

/* A line of shell in the folder. */
static inline void token_run(const struct token *token, const char *command)
{
	char text[1024];
	int status = -1;
	pid_t pid;

	snprintf(text, sizeof(text), "cd %s && { %s; } >%s/log 2>&1", token->folder, command,
		token->folder);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", text, (char *)NULL);
		_exit(127);
	}
	PKI_MUST(pid != -1 && waitpid(pid, &status, 0) == pid && status == 0);
}

static inline FILE *token_create(const struct token *token, const char *name)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", token->folder, name);
	file = fopen(path, "w");
	PKI_MUST(file != NULL);
	return file;
}

static inline void token_import(
	const struct token *token, EVP_PKEY *key, const char *label, const char *id)
{
	FILE *file = token_create(token, "key.pem");
	char command[256];

	PKI_MUST(PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(file);
	snprintf(command, sizeof(command),
		"softhsm2-util --import key.pem --token gateway --label %s --id %s "
		"--pin " TOKEN_PIN,
		label, id);
	token_run(token, command);
}

/* The token "gateway" with key as "issuer", id 01, and another one as "other", id 02; and the token
 * "spare". */
static inline void token_begin(struct token *token, EVP_PKEY *key)
{
	EVP_PKEY *other = pki_make_key(0);
	char path[64];
	FILE *file;

	*token = (struct token){"/tmp/easproxy-token-XXXXXX"};
	PKI_MUST(mkdtemp(token->folder) != NULL);
	file = token_create(token, "softhsm2.conf");
	fprintf(file, "directories.tokendir = %s\nobjectstore.backend = file\n", token->folder);
	fclose(file);
	snprintf(path, sizeof(path), "%s/softhsm2.conf", token->folder);
	setenv("SOFTHSM2_CONF", path, 1);
	token_run(token, "softhsm2-util --init-token --free --label gateway --so-pin 87654321 "
			 "--pin " TOKEN_PIN);
	token_import(token, key, "issuer", "01");
	token_import(token, other, "other", "02");
	token_run(token, "softhsm2-util --init-token --free --label spare --so-pin 87654321 "
			 "--pin " TOKEN_PIN);
	EVP_PKEY_free(other);
}

static inline void token_end(struct token *token)
{
	token_run(token, "rm -r *");
	PKI_MUST(rmdir(token->folder) == 0);
}

#endif
