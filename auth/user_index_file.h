/*
 * How a user index is laid out: a header of 64 octets, then entries of 24, sorted by their key. Numbers are
 * big-endian.
 *
 *	 0  "EASUSRIX"
 *	 8  version (4), width of an entry (4)
 *	16  number of entries (8)
 *	24  SHA-256 of the 24 octets before it and of all entries
 *	56  zeros (8)
 *
 * An entry: the first 16 octets of the mailbox's SHA-256, valid-from (8). No name can be read out of it, and
 * nobody can make up a second mailbox with the key of a first. For auth/user_index.c and its fuzz target
 * alone.
 */
#ifndef AUTH_USER_INDEX_FILE_H
#define AUTH_USER_INDEX_FILE_H

enum {
	USER_FILE_VERSION = 1,
	USER_FILE_VERSION_AT = 8,
	USER_FILE_WIDTH_AT = 12,
	USER_FILE_COUNT_AT = 16,
	USER_FILE_SUM_AT = 24,
	USER_FILE_SUM_SIZE = 32,
	USER_FILE_ZEROS_AT = 56,
	USER_FILE_HEADER_SIZE = 64,
	USER_FILE_KEY_SIZE = 16,
	USER_FILE_ENTRY_SIZE = 24,
	USER_FILE_ENTRY_MAX = 4 * 1024 * 1024,
};

#endif
