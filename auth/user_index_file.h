/*
 * How a user index is laid out: as auth/sealed_index.h says, with the mailbox as the name, valid-from (8) as
 * the value, and no number of its own. For auth/user_index.c and its tests alone.
 */
#ifndef AUTH_USER_INDEX_FILE_H
#define AUTH_USER_INDEX_FILE_H

#include "auth/sealed_index.h"

enum {
	USER_FILE_VERSION = 2,
	USER_FILE_ENTRY_SIZE = SEALED_INDEX_KEY_SIZE + 8,
};

#endif
