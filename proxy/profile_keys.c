#include "proxy/profile_keys.h"

#include <string.h>

#include "proxy/plist.h"

enum { PLIST_ANY = PROFILE_KIND_ANY };

const struct profile_key profile_keys[] = {
#define PROFILE_KEY(payload, key, kind, need) {payload, key, PLIST_##kind, PROFILE_##need},
#include "proxy/profile_keys.def"
#undef PROFILE_KEY
};
const size_t profile_key_count = sizeof(profile_keys) / sizeof(profile_keys[0]);

const struct profile_key *profile_key_find(const char *payload, const char *key)
{
	for (size_t i = 0; i < profile_key_count; i++) {
		const struct profile_key *row = &profile_keys[i];

		if (strcmp(row->key, key) == 0 &&
			(row->payload[0] == '\0' || strcmp(row->payload, payload) == 0))
			return row;
	}
	return NULL;
}

bool profile_payload_is_known(const char *payload)
{
	for (size_t i = 0; i < profile_key_count; i++)
		if (profile_keys[i].payload[0] != '\0' &&
			strcmp(profile_keys[i].payload, payload) == 0)
			return true;
	return false;
}
