/*
 * Writes an index file, entry by entry, in the layout of revocation_file.h. Holds a buffer and the
 * small tables, never the entries. For the compiler and the merger alone.
 */
#ifndef AUTH_REVOCATION_WRITER_H
#define AUTH_REVOCATION_WRITER_H

#include "auth/revocation_file.h"

struct revocation_writer; /* opaque */

/* Begins an index of serials of at most width octets at offset 0 of fd. NULL with err filled. */
struct revocation_writer *revocation_writer_new(int fd, unsigned int width, struct error *err);

/* Begins the section of an issuer, greater than the one before. All of its serials begin with the
 * same common octets, counted as they stand in the file. One that gets no entry is left out. */
void revocation_writer_section(
	struct revocation_writer *writer, const struct name_key *issuer, unsigned int common);

/* The next entry of the section, greater than the one before. invalidity_date 0: none. */
void revocation_writer_entry(struct revocation_writer *writer, const struct serial *serial,
	struct revocation_meta meta, int64_t invalidity_date);

/* Writes the rest and frees the writer; sets entry_count and mapped_size of facts. A failure of any
 * step before shows here; the file is cut to nothing then. 0, or -1 with err filled. */
int revocation_writer_finish(
	struct revocation_writer *writer, struct revocation_facts *facts, struct error *err);

#endif
