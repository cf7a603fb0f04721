/*
 * What the Kerberos library's codes mean: for who gets in, and for whoever is to mend it. One table,
 * auth/ticket_fault.def. In the helper processes that ask KDCs.
 */
#ifndef AUTH_TICKET_FAULT_H
#define AUTH_TICKET_FAULT_H

#include <stdint.h>

#include "auth/login.h"

/* Steps on the way to a user's ticket. */
enum ticket_step {
	TICKET_STEP_OWN = 1,    /* our own login */
	TICKET_STEP_SELF = 2,   /* S4U2Self: a ticket for the user to ourselves */
	TICKET_STEP_ABROAD = 4, /* the same, where the user is of another realm than we */
	TICKET_STEP_PROXY = 8,  /* S4U2Proxy: the user's ticket for the service */
	TICKET_STEP_USER = 6,
	TICKET_STEP_ANY = 15,
};

/* Whom it is about; none is NULL. */
struct ticket_names {
	const char *user, *account, *realm, *service;
};

/* Fills fault from the table. A code that is not in it, or 0, is UNAVAILABLE, in the library's words. */
enum login_status ticket_fault_set(struct login_fault *fault, enum ticket_step step, int32_t code,
	const struct ticket_names *names, const char *words);

#endif
