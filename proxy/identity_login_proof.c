/*
 * Mail servers' proofs of their own identity, checked by the process that keeps the tickets, and those
 * that will not come.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/identity_login_room.h"

/* Proofs */

struct proof {
	struct peer_request asked;
	struct wallet_job job;
	struct identity_login *login;
	uint64_t id;
};

static void proof_end(struct proof *proof, bool is_proven, const char *reason)
{
	struct message message = {.type = MESSAGE_LOGIN_PROVEN,
		.u.login_proven = {.id = proof->id, .is_proven = is_proven}};

	snprintf(
		message.u.login_proven.reason, sizeof(message.u.login_proven.reason), "%s", reason);
	if (!is_proven)
		atomic_fetch_add(&login_counts(proof->login, LOGIN_KERBEROS)->unproven, 1);
	peer_request_end(&proof->asked, &message);
	free(proof);
}

static void on_proved(struct wallet_job *job, const struct message_login_done *answer)
{
	struct proof *proof = (struct proof *)((char *)job - offsetof(struct proof, job));

	if (answer == NULL)
		proof_end(proof, false, "the process that could check the proof has died");
	else
		proof_end(proof, answer->status == LOGIN_GIVEN, answer->fault.text);
}

bool login_proof_begin(
	struct identity_login *login, struct peer *peer, const struct message *message)
{
	struct proof *proof = calloc(1, sizeof(*proof));

	if (proof == NULL)
		return false;
	proof->login = login;
	proof->id = message->u.login_proof.id;
	proof->job.done = on_proved;
	peer_request_begin(peer, &proof->asked);
	if (login->wallet == NULL ||
		wallet_prove(login->wallet, &proof->job, message->u.login_proof.context,
			span_of(message->u.login_proof.token, message->u.login_proof.len)) == -1)
		proof_end(proof, false, "nobody here could check it");
	return true;
}

/* Counted as a question is: a worker that says so faster than it is done is not heard meanwhile. */
struct forgetting {
	struct peer_request asked;
	struct wallet_job job;
};

static void on_forgotten(struct wallet_job *job, const struct message_login_done *answer)
{
	struct forgetting *forgetting =
		(struct forgetting *)((char *)job - offsetof(struct forgetting, job));

	(void)answer;
	peer_request_done(&forgetting->asked);
	free(forgetting);
}

bool login_forget_begin(struct identity_login *login, struct peer *peer, uint32_t context)
{
	struct forgetting *forgetting;

	if (login->wallet == NULL)
		return true;
	forgetting = calloc(1, sizeof(*forgetting));
	if (forgetting == NULL)
		return false;
	forgetting->job.done = on_forgotten;
	peer_request_begin(peer, &forgetting->asked);
	if (wallet_forget_for(login->wallet, &forgetting->job, context) == -1)
		on_forgotten(&forgetting->job, NULL);
	return true;
}
