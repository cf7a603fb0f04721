/*
 * The work of the helpers "eas-signer": the field of `assertion`, signed with a key that no other process has. A
 * question is MESSAGE_LOGIN_JOB, its answer MESSAGE_LOGIN_DONE with the JWT in it. For the identity process,
 * with any login.
 */
#include <string.h>
#include <time.h>

#include "auth/assertion.h"
#include "proxy/identity_work.h"

struct signing {
	const struct config *config;
	struct assertion_signer *signer;
};

/* In the spawner; helpers inherit it. */
static int prepare(void *context, struct error *err)
{
	struct signing *signing = context;

	signing->signer = assertion_signer_new(&signing->config->assertion, err);
	return signing->signer != NULL ? 0 : -1;
}

static void serve(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	const struct signing *signing = context;
	struct message_login_done *done = &answer->u.login_done;
	struct login_secret token;

	(void)question_fd;
	(void)answer_fd;
	done->status = assertion_sign(signing->signer, &question->u.login_job.subject,
		(int64_t)time(NULL), &token, &done->fault);
	if (done->status == LOGIN_GIVEN) {
		done->valid_until = token.valid_until;
		done->secret_len = (uint32_t)token.len;
		memcpy(done->secret, token.bytes, token.len);
	}
	login_secret_wipe(&token);
}

const struct helper_work *signer_work(const struct child *child)
{
	static struct signing signing;
	static struct helper_work work;
	const struct config *config = child->config;

	if (config->assertion.header[0] == '\0')
		return NULL;
	signing = (struct signing){.config = config};
	work = (struct helper_work){
		.part = PART_SIGNER,
		.name = "eas-signer",
		.count = config->upstream.login_helpers,
		.limit_ms = config->upstream.login_time_ms,
		.questions = {MESSAGE_LOGIN_JOB},
		.answer = MESSAGE_LOGIN_DONE,
		.context = &signing,
		.prepare = prepare,
		.serve = serve,
	};
	return &work;
}
