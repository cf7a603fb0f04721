/*
 * The signatures of a path that OpenSSL has built, in the place of OpenSSL's own look at them: those between
 * authorities of the trust store have been checked when the store was taken over (verify_graph.h) and are
 * not checked again for every phone. For verify_path.c alone.
 */
#ifndef AUTH_VERIFY_SIGNATURES_H
#define AUTH_VERIFY_SIGNATURES_H

#include <openssl/x509_vfy.h>

#include "auth/verify_graph.h"

/* Has a store's paths be judged so. graph is borrowed and must live as long. 0, or -1 when memory runs
 * out. */
int verify_signatures_use(X509_STORE *store, const struct verify_graph *graph);

#endif
