/*
 * Who is to be logged in for a mailbox: what the directory has for its owner, or what upstream/login-user
 * makes of it. No I/O. For identity_login.c and tests.
 */
#ifndef PROXY_IDENTITY_LOGIN_SUBJECT_H
#define PROXY_IDENTITY_LOGIN_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/login.h"
#include "config/model.h"

enum { LOGIN_SUBJECT_HASH_SIZE = 32 };

/* Whether logins of that kind need the directory's answer for an address. */
bool login_subject_needs_directory(const struct config *config, enum login_kind kind);

/* From that answer, or without one (answer NULL). LOGIN_GIVEN with subject filled; else fault says what is
 * missing. */
enum login_status login_subject_fill(const struct config *config, enum login_kind kind,
	const char *mailbox, const struct directory_answer *answer, struct login_subject *subject,
	struct login_fault *fault);

/* A digest of whose login it is, to tell one account from another. */
void login_subject_hash(const struct login_subject *subject, uint8_t hash[LOGIN_SUBJECT_HASH_SIZE]);

/* "account@REALM", or what else there is, for operators. */
void login_subject_name(const struct login_subject *subject, char *name, size_t size);

#endif
