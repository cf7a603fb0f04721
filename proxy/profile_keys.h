/*
 * The keys of configuration profiles: one table, profile_keys.def. For the files proxy/profile_*.c.
 */
#ifndef PROXY_PROFILE_KEYS_H
#define PROXY_PROFILE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum profile_need { PROFILE_REQUIRED, PROFILE_OPTIONAL, PROFILE_SECRET, PROFILE_OLD };

enum { PROFILE_KIND_ANY = -1 };

struct profile_key {
	const char *payload; /* its type; "": every payload has it */
	const char *key;
	int kind; /* enum plist_kind, or PROFILE_KIND_ANY */
	enum profile_need need;
};

extern const struct profile_key profile_keys[];
extern const size_t profile_key_count;

/* The row of a key in a payload of that type, or NULL. */
const struct profile_key *profile_key_find(const char *payload, const char *key);

/* Whether the table has keys of payloads of that type. */
bool profile_payload_is_known(const char *payload);

#endif
