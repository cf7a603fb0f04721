/*
 * easproxyctl profile: configuration profiles for phones, made and checked.
 */
#ifndef PROXY_EASPROXYCTL_PROFILE_H
#define PROXY_EASPROXYCTL_PROFILE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/error.h"
#include "config/model.h"
#include "config/span.h"
#include "proxy/profile_report.h"

int ctl_profile(int argc, char **argv);

/* Between the files easproxyctl_profile*.c. */

enum { PROFILE_EXIT_DONE = 0, PROFILE_EXIT_PROBLEMS = 1, PROFILE_EXIT_USAGE = 2 };

int ctl_profile_make(int argc, char **argv);
int ctl_profile_lint(int argc, char **argv);

/* What was told so far; each is printed on a line of its own. */
struct profile_tally {
	unsigned int problems, warnings;
	FILE *stream;
};

/* A profile_report that prints and counts. */
struct profile_report profile_tally_report(struct profile_tally *tally);

/* By what certificates are judged. */
struct profile_judge {
	const struct config *config; /* NULL: there is none */
	const char *crl;             /* directory of CRLs; NULL: they are not looked at */
	int64_t now;
	struct profile_report report;
};

/* Tells what of a phone's certificate would have easproxyd refuse it: the chain, times, whose mailbox it
 * leads to (mailbox NULL: that is told). */
void profile_judge_identity(
	const struct profile_judge *judge, X509 *leaf, STACK_OF(X509) * chain, const char *mailbox);

/* The same of a certificate of an authority that phones are to trust. content is DER or PEM. 0 with
 * *certificate, which the caller frees, or -1 where it is none (that is told). */
int profile_judge_authority(const struct profile_judge *judge, struct span content,
	const char *name, X509 **certificate);

/* The first line of a file ("-": standard input), or with path NULL what is typed at the terminal. NULL
 * with err filled; freed with profile_password_free(). */
char *profile_password(const char *path, const char *what, struct error *err);
void profile_password_free(char *password);

/* A new file that its owner alone may read, in place of one of that name, or standard output for "-". 0,
 * or -1 with err filled. */
int profile_save(const char *path, struct span content, struct error *err);

/* The JSON of managed configurations for Android. 0, or -1 with err filled. */
struct profile_android {
	const char *mailbox, *host, *alias, *device_id,
		*organization; /* the last two may be NULL */
};
int profile_android(const struct profile_android *android, const char *path, struct error *err);

/* Signs content (CMS, RFC 5652, the content within), with PEM files. *der is the caller's to free with
 * OPENSSL_free(). 0, or -1 with err filled. */
int profile_sign(struct span content, const char *certificate_path, const char *key_path,
	int64_t now, const struct profile_report *report, uint8_t **der, size_t *len,
	struct error *err);

/* What is signed by one of them: 0 with *content, as profile_sign() leaves *der; -1 with err filled where
 * the signature does not hold. */
int profile_unsign(struct span der, int64_t now, const struct profile_report *report,
	uint8_t **content, size_t *len, struct error *err);

#endif
