/*
 * The templates by which somebody is named at another server: bearer/subject and others. Texts with %{mailbox},
 * %{local-part}, %{domain}, %{account}, %{realm}, %{upn}, %{sid} and %%, whose names the configuration has
 * checked. For the processes that log in on somebody's behalf.
 */
#ifndef AUTH_LOGIN_NAME_H
#define AUTH_LOGIN_NAME_H

#include <stddef.h>

#include "auth/login.h"

/* Fills name, NUL-terminated. LOGIN_GIVEN; or LOGIN_REFUSED, where the directory has not told what the
 * template asks for, or it does not fit, and fault is filled. */
enum login_status login_name_fill(const char *template, const struct login_subject *subject,
	char *name, size_t size, struct login_fault *fault);

#endif
