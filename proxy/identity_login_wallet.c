#include "proxy/identity_login_wallet.h"

#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy/timeval.h"

struct login_wallet {
	struct event_base *base;
	struct helpers *helpers;
	uint32_t limit_ms;
	void (*lost)(void *context);
	void *context;
	/* Contexts are called otherwise outside, by a number of each helper's life: the next helper gives
	 * the same ones to others. */
	uint32_t mask;
};

static struct wallet_job *job_of(struct helper_job *job)
{
	return (struct wallet_job *)((char *)job - offsetof(struct wallet_job, job));
}

/* The end of a job, which the caller may free then. */
static void job_end(struct wallet_job *job, const struct message_login_done *answer)
{
	if (job->timer != NULL)
		event_free(job->timer);
	if (job->fd != -1)
		close(job->fd);
	if (job->token != NULL)
		OPENSSL_cleanse(job->token, job->token_len);
	free(job->token);
	job->timer = NULL;
	job->fd = -1;
	job->token = NULL;
	job->done(job, answer);
}

static void ask(void *context, struct helper_job *helper_job, struct message *question, int *fd)
{
	const struct login_wallet *wallet = context;
	struct timeval limit = timeval_of_ms(wallet->limit_ms);
	struct wallet_job *job = job_of(helper_job);

	/* Whatever it has waited is not the helper's fault, and its end would be that of all tickets. */
	evtimer_add(job->timer, &limit);
	question->type = job->type;
	switch (job->type) {
	case MESSAGE_TICKET_PUT:
		*fd = job->fd;
		job->fd = -1;
		question->u.ticket.key = job->key;
		question->u.ticket.valid_until = job->valid_until;
		break;
	case MESSAGE_LOGIN_PROOF:
		question->u.login_proof.context = job->context ^ wallet->mask;
		question->u.login_proof.len = (uint32_t)job->token_len;
		memcpy(question->u.login_proof.token, job->token, job->token_len);
		break;
	case MESSAGE_LOGIN_FORGET:
		question->u.login_forget.context = job->context ^ wallet->mask;
		break;
	default: question->u.ticket.key = job->key; break;
	}
}

static void answered(
	void *context, struct helper_job *helper_job, const struct message *answer, int fd)
{
	const struct login_wallet *wallet = context;
	struct wallet_job *job = job_of(helper_job);
	struct message_login_done done;

	if (fd != -1)
		close(fd);
	/* One that would be called 0, as if there were nothing to prove, is of no use: once in four billion. */
	if (answer == NULL || (answer->u.login_done.context != 0 &&
				      answer->u.login_done.context == wallet->mask)) {
		job_end(job, NULL);
		return;
	}
	done = answer->u.login_done;
	if (done.context != 0)
		done.context ^= wallet->mask;
	job_end(job, &done);
	OPENSSL_cleanse(&done, sizeof(done));
}

static void draw_mask(struct login_wallet *wallet)
{
	/* Cannot fail, or be short, for so few bytes. */
	if (getrandom(&wallet->mask, sizeof(wallet->mask), 0) != sizeof(wallet->mask))
		abort();
}

static void lost(void *context)
{
	struct login_wallet *wallet = context;

	draw_mask(wallet);
	wallet->lost(wallet->context);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct wallet_job *job = arg;

	(void)fd;
	(void)what;
	helpers_cancel(job->wallet->helpers, &job->job);
	job_end(job, NULL);
}

struct login_wallet *login_wallet_new(struct event_base *base, const struct helper_work *work,
	int spawner, uint32_t limit_ms, void (*lost_them)(void *context), void *context)
{
	static const struct helper_calls calls = {.ask = ask, .answered = answered, .lost = lost};
	struct login_wallet *wallet = calloc(1, sizeof(*wallet));

	if (wallet == NULL)
		return NULL;
	wallet->base = base;
	wallet->limit_ms = limit_ms;
	wallet->lost = lost_them;
	wallet->context = context;
	draw_mask(wallet);
	wallet->helpers = helpers_new(base, work, spawner, &calls, wallet);
	if (wallet->helpers != NULL)
		return wallet;
	free(wallet);
	return NULL;
}

void login_wallet_free(struct login_wallet *wallet)
{
	if (wallet == NULL)
		return;
	helpers_free(wallet->helpers);
	free(wallet);
}

/* With what the message needs filled in. */
static int job_begin(struct login_wallet *wallet, struct wallet_job *job, uint32_t type)
{
	struct timeval limit = timeval_of_ms(wallet->limit_ms);

	job->type = type;
	job->wallet = wallet;
	job->timer = evtimer_new(wallet->base, on_timer, job);
	if (job->timer == NULL) {
		if (job->fd != -1)
			close(job->fd);
		return -1;
	}
	evtimer_add(job->timer, &limit);
	helpers_ask(wallet->helpers, &job->job);
	return 0;
}

int wallet_put(struct login_wallet *wallet, struct wallet_job *job, uint64_t key,
	int64_t valid_until, int fd)
{
	job->key = key;
	job->valid_until = valid_until;
	job->fd = fd;
	job->token = NULL;
	return job_begin(wallet, job, MESSAGE_TICKET_PUT);
}

int wallet_token(struct login_wallet *wallet, struct wallet_job *job, uint64_t key)
{
	job->key = key;
	job->fd = -1;
	job->token = NULL;
	return job_begin(wallet, job, MESSAGE_TOKEN_JOB);
}

int wallet_prove(
	struct login_wallet *wallet, struct wallet_job *job, uint32_t context, struct span token)
{
	if (token.len > LOGIN_PROOF_MAX)
		return -1;
	job->context = context;
	job->fd = -1;
	job->token = malloc(token.len > 0 ? token.len : 1);
	if (job->token == NULL)
		return -1;
	memcpy(job->token, token.data, token.len);
	job->token_len = token.len;
	if (job_begin(wallet, job, MESSAGE_LOGIN_PROOF) == 0)
		return 0;
	free(job->token);
	return -1;
}

int wallet_forget_for(struct login_wallet *wallet, struct wallet_job *job, uint32_t context)
{
	job->context = context;
	job->fd = -1;
	job->token = NULL;
	return job_begin(wallet, job, MESSAGE_LOGIN_FORGET);
}

/* Jobs of our own */

static void free_job(struct wallet_job *job, const struct message_login_done *answer)
{
	(void)answer;
	free(job);
}

static struct wallet_job *job_new(void)
{
	struct wallet_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->done = free_job;
	job->fd = -1;
	return job;
}

void wallet_drop(struct login_wallet *wallet, uint64_t key)
{
	struct wallet_job *job = job_new();

	if (job == NULL)
		return;
	job->key = key;
	if (job_begin(wallet, job, MESSAGE_TICKET_DROP) == -1)
		free(job);
}

void wallet_forget(struct login_wallet *wallet, uint32_t context)
{
	struct wallet_job *job = job_new();

	if (job != NULL && wallet_forget_for(wallet, job, context) == -1)
		free(job);
}
