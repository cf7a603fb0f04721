/*
 * How many connections each source address holds: an IPv4 address, or the /64 of an IPv6 one (a
 * phone has a whole /64 to itself). For workers.
 */
#ifndef PROXY_SOURCE_TABLE_H
#define PROXY_SOURCE_TABLE_H

#include <stdint.h>
#include <sys/socket.h>

struct source; /* one address; lives as long as it holds a connection */
struct source_table;

/* NULL when memory runs out. */
struct source_table *source_table_new(void);
void source_table_free(struct source_table *table);

/* Counts one more connection of the address and returns its source, or NULL where it holds limit
 * already or memory runs out. */
struct source *source_take(
	struct source_table *table, const struct sockaddr_storage *address, uint32_t limit);

/* Counts one less. */
void source_give(struct source *source);

#endif
