/*
 * A worker's side of logging in on the owners' behalf: questions to the identity process for tokens,
 * certificates and tickets, over the channel of identity_client.h. What is asked for somebody by several
 * at once is asked once. Every question has an end: an answer, the loss of the identity process, or the
 * time that a login may take. For workers.
 */
#ifndef PROXY_LOGIN_CLIENT_H
#define PROXY_LOGIN_CLIENT_H

#include "proxy/login_table.h"
#include "proxy/message.h"
#include "proxy/worker.h"

struct login_client;

struct login_result {
	enum refusal refusal; /* NONE: it went well */
	const char *reason;   /* with a refusal: why, printable; borrowed */
	const char *hint;     /* what an operator can do about it; "" for nothing; borrowed */
	/* Of a token; wiped after the call. */
	struct span token;
	/* UNIX seconds: of the login behind it, and no longer than the mailbox is known to be its account's: the
	 * address may become somebody else's. */
	int64_t valid_until;
	uint32_t context; /* login_client_prove() needs it; 0: nothing is to be proven */
	const struct message_login_answer
		*answer; /* for easproxyctl upstream test; NULL: there was none */
};

/* Who waits for an answer. */
struct login_waiter {
	/* It waits no more. The result ends with the call; what a login keeps is in it by then. */
	void (*answered)(struct login_waiter *waiter, const struct login_result *result);
	LIST_ENTRY(login_waiter) entry;
	struct login_question *question; /* NULL: it does not wait */
};

/* NULL when memory runs out. There is no channel yet. */
struct login_client *login_client_new(struct worker *worker);
void login_client_free(struct login_client *client); /* NULL is allowed; nobody may wait */

/* For identity_client.c: a channel to a new identity process, whose descriptor is borrowed; and its
 * end, at which all who wait are told. */
void login_client_attach(struct login_client *client, int fd);
void login_client_detach(struct login_client *client);
/* LOGIN_ANSWER or LOGIN_PROVEN. */
void login_client_take(struct login_client *client, const struct message *message);

/* Asks for a secret that the login keeps: MINTED, BEARER, ASSERTION. is_fresh: the one that was known is
 * no good. waiter NULL: ahead of time. 0, or -1: nobody can be asked. */
int login_client_want(struct login_client *client, struct login *login, enum login_kind kind,
	bool is_fresh, struct login_waiter *waiter);

/* Asks for a token for one connection (KERBEROS) to the service, an SPN. 0, or -1. */
int login_client_token(struct login_client *client, struct login *login, const char *service,
	bool is_fresh, struct login_waiter *waiter);

/* Asks whether the token that the server has answered with is its own. The context is used up. 0, or -1
 * (it is not then). */
int login_client_prove(struct login_client *client, struct login *login, uint32_t context,
	struct span token, struct login_waiter *waiter);

/* It does not wait any more. Nothing if it does not wait. */
void login_client_leave(struct login_waiter *waiter);

/* No proof will be asked for. */
void login_client_forget(struct login_client *client, uint32_t context);

/* What is known for the mailbox is not to be used any more. */
void login_client_drop(struct login_client *client, const char *mailbox);

#endif
