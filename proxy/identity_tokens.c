/*
 * The helper that has users' tickets and makes tokens of them (auth/ticket_wallet.h). It has no key, knows no
 * KDC, and its sandbox lets it reach nobody.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/ticket_wallet.h"
#include "config/whole.h"
#include "proxy/identity_work.h"

struct tokens_helper {
	const struct config_upstream *config;
	struct ticket_wallet *wallet;
};

static int prepare(void *context, struct error *err)
{
	struct tokens_helper *helper = context;

	/* One more than there are users: a ticket is put before another one's is dropped. */
	helper->wallet = ticket_wallet_new(
		(size_t)helper->config->login_cache + 1, helper->config->mutual, err);
	return helper->wallet != NULL ? 0 : -1;
}

/* Out of the memory file. Whether it is a ticket is the wallet's matter. */
static int read_ticket(int fd, struct ticket *ticket)
{
	ssize_t len;

	*ticket = (struct ticket){.bytes = malloc(TICKET_SIZE_MAX), .len = TICKET_SIZE_MAX};
	if (ticket->bytes == NULL)
		return -1;
	len = whole_read_at(fd, ticket->bytes, TICKET_SIZE_MAX, 0);
	if (len == -1) {
		ticket_clear(ticket);
		return -1;
	}
	ticket->len = (size_t)len;
	return 0;
}

static void put(struct ticket_wallet *wallet, uint64_t key, int fd, struct message_login_done *done)
{
	struct ticket ticket;

	if (read_ticket(fd, &ticket) == 0 && ticket_wallet_put(wallet, key, &ticket) == 0)
		done->status = LOGIN_GIVEN;
	else
		done->status = login_fault_set(&done->fault, LOGIN_UNAVAILABLE, NULL,
			"what was to be kept as a ticket is none");
}

static void make_token(struct ticket_wallet *wallet, uint64_t key, struct message_login_done *done)
{
	struct ticket_token token;

	switch (ticket_wallet_token(wallet, key, time(NULL), &token, &done->fault)) {
	case TICKET_TOKEN_MADE:
		done->status = LOGIN_GIVEN;
		done->context = token.context;
		done->valid_until = token.valid_until;
		done->secret_len = (uint32_t)token.len;
		memcpy(done->secret, token.bytes, token.len);
		break;
	case TICKET_TOKEN_NO_TICKET:
		done->status = login_fault_set(&done->fault, LOGIN_UNAVAILABLE, NULL,
			"the user's ticket is not kept any more");
		break;
	case TICKET_TOKEN_FAILED: done->status = LOGIN_UNAVAILABLE; break;
	}
	OPENSSL_cleanse(token.bytes, token.len);
}

static void serve(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	const struct tokens_helper *helper = context;
	struct message_login_done *done = &answer->u.login_done;

	(void)answer_fd;
	done->status = LOGIN_GIVEN;
	switch (question->type) {
	case MESSAGE_TICKET_PUT:
		put(helper->wallet, question->u.ticket.key, question_fd, done);
		break;
	case MESSAGE_TICKET_DROP: ticket_wallet_drop(helper->wallet, question->u.ticket.key); break;
	case MESSAGE_TOKEN_JOB: make_token(helper->wallet, question->u.ticket.key, done); break;
	case MESSAGE_LOGIN_PROOF:
		if (!ticket_wallet_prove(helper->wallet, question->u.login_proof.context,
			    span_of(question->u.login_proof.token, question->u.login_proof.len),
			    &done->fault))
			done->status = LOGIN_REFUSED;
		break;
	default: ticket_wallet_forget(helper->wallet, question->u.login_forget.context); break;
	}
}

const struct helper_work *tokens_work(const struct child *child)
{
	static struct tokens_helper helper;
	static struct helper_work work;
	const struct config_upstream *upstream = &child->config->upstream;

	if (upstream->login != CONFIG_LOGIN_KERBEROS)
		return NULL;
	helper = (struct tokens_helper){.config = upstream};
	work = (struct helper_work){
		.part = PART_TOKENS,
		.name = "eas-tokens",
		.count = 1,
		.limit_ms = upstream->login_time_ms,
		.questions = {MESSAGE_TICKET_PUT, MESSAGE_TICKET_DROP, MESSAGE_TOKEN_JOB,
			MESSAGE_LOGIN_PROOF, MESSAGE_LOGIN_FORGET},
		.answer = MESSAGE_LOGIN_DONE,
		.context = &helper,
		.prepare = prepare,
		.serve = serve,
	};
	return &work;
}
