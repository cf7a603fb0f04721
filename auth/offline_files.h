/*
 * Certificates and CRLs from files as an operator keeps them: DER or PEM, one in a file or many, a file
 * or a directory of them. For easproxyctl; not for the daemon.
 */
#ifndef AUTH_OFFLINE_FILES_H
#define AUTH_OFFLINE_FILES_H

#include "config/error.h"
#include "config/span.h"

enum offline_kind { OFFLINE_CERTIFICATE, OFFLINE_CRL };

/* One object, as DER, borrowed for the call; name is its file's. 0, or -1 with err filled, which ends
 * the reading. */
typedef int offline_take(void *context, const char *name, struct span der, struct error *err);

/* Called for what is passed over; text is one line. */
typedef void offline_report(void *context, const char *text);

struct offline_reader {
	enum offline_kind kind;
	offline_take *take;
	offline_report *report;
	void *context;
};

/* Takes apart the content of a file: PEM where it has a line "-----BEGIN", else one object in DER; of
 * a PKCS#7 bundle, in either, its certificates. PEM blocks of other kinds (keys, say) are passed over. How many objects were taken, or -1. */
int offline_split(const struct offline_reader *reader, const char *name, struct span content,
	struct error *err);

/* The same with a file, or with all regular files of a directory in the order of their names; files in
 * the directory that have nothing to take are reported and passed over. A file of its own without any is
 * an error. */
int offline_read(const struct offline_reader *reader, const char *path, struct error *err);

/* The content of a regular file of at most size_max bytes: the caller frees data. -1 with err filled. */
int offline_load(const char *path, size_t size_max, uint8_t **data, size_t *len, struct error *err);

#endif
