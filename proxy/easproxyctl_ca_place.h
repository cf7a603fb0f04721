/*
 * Where easproxyctl ca finds the trust store and the running easproxyd, and how one authority of the
 * store is named on a command line.
 */
#ifndef PROXY_EASPROXYCTL_CA_PLACE_H
#define PROXY_EASPROXYCTL_CA_PLACE_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>

#include "auth/trust_store.h"
#include "config/error.h"

/* What is said where there is no trust store; takes its path. */
#define CA_STORE_MISSING "there is no %s yet; easproxyctl ca add makes it"

struct ca_place {
	const char *config; /* as given, or the default */
	const char *store_given, *socket_given;
	char *store;  /* owned: path of the trust store */
	char *socket; /* owned: path of the control socket; "": easproxyd has none */
};

/* The options -c, -s and --store, for a table of struct option and for getopt_long(). */
#define CA_PLACE_OPTIONS                                                                           \
	{"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},        \
	{                                                                                          \
		"store", required_argument, NULL, 'S'                                              \
	}
#define CA_PLACE_LETTERS "c:s:"

void ca_place_begin(struct ca_place *place);

/* Takes one of these options; false for any other. */
bool ca_place_take(struct ca_place *place, int option, const char *argument);

/* Finds what was not given. 0, or -1 with err filled. */
int ca_place_find(struct ca_place *place, struct error *err);
void ca_place_end(struct ca_place *place);

/* Which of the store an operator means by its number (from 1), its key identifier or SHA-256 (the first 8
 * digits or more), its whole subject or its common name. Its place; -1 with err filled where none or
 * several are meant. */
int ca_place_select(const struct trust_store *store, const char *name, struct error *err);

/* A trust_store_report: a line on standard error. context, which may be NULL, is a size_t that counts
 * those that are no warnings. */
void ca_place_report(void *context, const char *text);

/* Hex of the certificate's SHA-256. */
void ca_place_digest(X509 *certificate, char text[65]);

#endif
