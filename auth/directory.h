/*
 * The directory: which mailbox belongs to something that a certificate is known by. One interface,
 * with a backend for each way: none (the address is the mailbox), a file, LDAP. Runs in the identity
 * process, and in its helper processes where asking may take long.
 */
#ifndef AUTH_DIRECTORY_H
#define AUTH_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/identity_names.h"
#include "config/error.h"
#include "config/model.h"
#include "config/span.h"

enum {
	DIRECTORY_VALUE_MAX = 2 * IDENTITY_NAME_MAX + 20, /* "X509:<I>…<S>…" */
	DIRECTORY_ENTRY_MAX = 159,
	DIRECTORY_USERS_MAX = 383,
	DIRECTORY_ACCOUNT_MAX = 127,
	DIRECTORY_REALM_MAX = 127,
	DIRECTORY_SID_MAX = 79, /* Active Directory's have five sub-authorities */
};

/* One thing to look for. */
struct directory_question {
	uint32_t kind; /* enum config_name_kind */
	/* An address as address_fold() makes it, a SID, or the text of altSecurityIdentities
	 * ("X509:<SKI>…"). */
	char value[DIRECTORY_VALUE_MAX + 1];
};

enum directory_status {
	DIRECTORY_FOUND,
	DIRECTORY_NOT_FOUND,
	DIRECTORY_AMBIGUOUS,  /* more than one entry has it */
	DIRECTORY_DISABLED,   /* the account is switched off */
	DIRECTORY_NO_MAILBOX, /* the entry has no address to deliver to */
	DIRECTORY_UNAVAILABLE,
	DIRECTORY_STATUS_COUNT
};

struct directory_answer {
	uint32_t status;                        /* enum directory_status */
	char mailbox[IDENTITY_ADDRESS_MAX + 1]; /* as address_fold() makes it; "" unless FOUND */
	char entry[DIRECTORY_ENTRY_MAX + 1]; /* which entry, or why there is no answer; printable */
	char users[DIRECTORY_USERS_MAX + 1]; /* by which other names phones may call the owner, with
						blanks between: folded addresses, account names */
	uint64_t groups;                     /* bit n: the owner is in the nth of config->groups */
	/* As the directory has them, for logging in as the owner; "" where it has none, or what it has
	 * does not fit or does not show. */
	char account[DIRECTORY_ACCOUNT_MAX + 1]; /* with its letters as they are written there */
	char upn[IDENTITY_ADDRESS_MAX + 1];
	char realm[DIRECTORY_REALM_MAX +
		   1]; /* the DC components of the entry's name, in capitals */
	char sid[DIRECTORY_SID_MAX + 1];
};

struct directory; /* opaque */

/* NULL with err filled. config is borrowed. For a file: it is read, and its folder kept open, so that
 * the sandbox can be entered afterwards. For LDAP nothing is asked yet. */
struct directory *directory_new(const struct config_directory *config, struct error *err);
void directory_free(struct directory *directory); /* NULL is allowed */

/* Fills answer. LDAP: blocks, within the configured times as far as the library keeps to them. */
void directory_ask(struct directory *directory, const struct directory_question *question,
	struct directory_answer *answer);

/* Whether asking may block: then it belongs into a helper process. */
bool directory_may_block(const struct config_directory *config);

/* Faults of the groups that rules name, and of the file that the configuration names, each as
 * "file:line: …". 0 where there are none, and without a directory; -1. */
int directory_config_check(
	const struct config_directory *config, config_report *report, void *report_context);

/* File: a descriptor that becomes readable when the file may have changed; -1: there is none. */
int directory_watch_fd(const struct directory *directory);

/* File: reads it anew if it has changed. 1: what it says has been taken over; 0: no change; -1: it is
 * faulty or gone (err has the first fault), and what it said before goes on. */
int directory_refresh(struct directory *directory, struct error *err);

/* For the backends. */

struct directory_backend {
	void *(*open)(const struct config_directory *config, struct error *err);
	void (*close)(void *state);
	void (*ask)(void *state, const struct directory_question *question,
		struct directory_answer *answer);
	int (*watch_fd)(const void *state);             /* NULL: nothing to watch */
	int (*refresh)(void *state, struct error *err); /* NULL: nothing to read anew */
};

extern const struct directory_backend directory_none, directory_file, directory_ldap;

/* entry is formatted, cut, and made printable. */
void directory_answer_set(struct directory_answer *answer, enum directory_status status,
	const char *mailbox, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Adds one of them, where there is room: an address, or an account name without "@". Others are left
 * out. */
void directory_answer_add_user(struct directory_answer *answer, struct span name);

#endif
