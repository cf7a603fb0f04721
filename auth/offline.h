/*
 * The judgement of a certificate without a daemon: trust store, CRLs and certificate from files, put to
 * the very code that a worker asks (verify.h, revocation_set.h). For `easproxyctl verify`.
 */
#ifndef AUTH_OFFLINE_H
#define AUTH_OFFLINE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/offline_files.h"
#include "auth/verify.h"

struct offline; /* opaque */

/* report is told of what is passed over. NULL with err filled. */
struct offline *offline_new(offline_report *report, void *context, struct error *err);
void offline_free(struct offline *offline);

/* Authorities from a trust store (JSON), with their terms, or from certificates in a file or directory:
 * self-signed ones are roots, those that may sign CRLs alone do that and no more, and those that may sign
 * neither are passed over. 0, or -1 with err filled. */
int offline_add_authorities(struct offline *offline, const char *path, struct error *err);

/* The same from certificates that are never roots. What may sign neither goes into the store too: a chain
 * with it is then refused for what it is, and not for want of an issuer. */
int offline_add_intermediates(struct offline *offline, const char *path, struct error *err);

/* CRLs and delta CRLs, kept until a certificate is judged: only then is it known for whom they speak. */
int offline_add_crls(struct offline *offline, const char *path, struct error *err);

/* The certificate to be judged: the first one of a file. */
int offline_set_leaf(struct offline *offline, const char *path, struct error *err);

/* The same with one that is at hand, and with those that a phone would send beside it (NULL: none), which
 * are borrowed until it is judged. */
void offline_use_leaf(struct offline *offline, X509 *leaf, STACK_OF(X509) * sent);

/* Judges it at a time (UNIX seconds). With needs_crls every certificate below the root must be covered by
 * the CRLs, but for what a trust store's terms take out (check, exemption); without it revocation is not
 * looked at. Fills verdict and, where revocation refuses, finding. REFUSAL_INTERNAL with err filled when
 * it could not be judged. Once for each struct offline. */
enum refusal offline_judge(struct offline *offline, const struct config_trust *config, int64_t at,
	bool needs_crls, struct verdict *verdict, struct verdict_finding *finding,
	struct error *err);

/* For showing; borrowed. */
const struct trust_store *offline_store(const struct offline *offline);

#endif
