/*
 * One path from a leaf to a root, built or only judged by OpenSSL, and what a verdict remembers of it.
 * For verify.c alone.
 */
#ifndef AUTH_VERIFY_PATH_H
#define AUTH_VERIFY_PATH_H

#include <openssl/x509.h>
#include <stdint.h>

#include "auth/verify.h"
#include "auth/verify_graph.h"

struct verify_paths; /* OpenSSL's stores and parameters, made once per worker */

/* NULL with err filled. store and its graph are borrowed and must live as long. */
struct verify_paths *verify_paths_new(const struct trust_store *store,
	const struct verify_graph *graph, const struct config_trust *config, struct error *err);
void verify_paths_free(struct verify_paths *paths);

/* The most intermediates of a path. */
int verify_paths_depth(const struct verify_paths *paths);

/* Fills what of verdict is about the path (refusal, reason, links, points, times, rules). Builds a path
 * by way of the trust store's intermediates and of those sent (may be NULL). */
enum refusal verify_path_build(const struct verify_paths *paths, X509 *leaf,
	const STACK_OF(X509) * sent, int64_t now, struct verdict *verdict);

/* The same with the path given: leaf first, a root of the trust store last. */
enum refusal verify_path_judge(const struct verify_paths *paths, STACK_OF(X509) * path, int64_t now,
	struct verdict *verdict);

/* The words are OpenSSL's or ours; the phone has no say in them. */
enum refusal verdict_refuse(struct verdict *verdict, enum refusal refusal, const char *reason);

#endif
