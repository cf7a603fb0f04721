/*
 * The work of the helpers "eas-bearer": access tokens for users, for which they show an authorization server
 * assertions signed with a key that no other process has. A question is MESSAGE_LOGIN_JOB, its answer
 * MESSAGE_LOGIN_DONE with the token in it. For the identity process, with login = bearer.
 */
#include <string.h>

#include "auth/bearer.h"
#include "proxy/identity_work.h"

struct fetching {
	const struct config *config;
	struct bearer_desk *desk;
};

/* A little less than the broker waits, so that it hears what has failed and does not have to end the
 * helper. */
static uint32_t fetch_time_ms(const struct config *config)
{
	return config->upstream.login_time_ms - config->upstream.login_time_ms / 10;
}

/* In the spawner, which can still read the system's certificates; helpers inherit it. */
static int prepare(void *context, struct error *err)
{
	struct fetching *fetching = context;

	fetching->desk =
		bearer_desk_new(&fetching->config->bearer, fetch_time_ms(fetching->config), err);
	return fetching->desk != NULL ? 0 : -1;
}

static void serve(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	const struct fetching *fetching = context;
	struct message_login_done *done = &answer->u.login_done;
	struct login_secret token;

	(void)question_fd;
	(void)answer_fd;
	done->status =
		bearer_fetch(fetching->desk, &question->u.login_job.subject, &token, &done->fault);
	if (done->status == LOGIN_GIVEN) {
		done->valid_until = token.valid_until;
		done->secret_len = (uint32_t)token.len;
		memcpy(done->secret, token.bytes, token.len);
	}
	login_secret_wipe(&token);
}

const struct helper_work *bearer_work(const struct child *child)
{
	static struct fetching fetching;
	static struct helper_work work;
	const struct config *config = child->config;

	if (config->upstream.login != CONFIG_LOGIN_BEARER)
		return NULL;
	fetching = (struct fetching){.config = config};
	work = (struct helper_work){
		.part = PART_BEARER,
		.name = "eas-bearer",
		.count = config->upstream.login_helpers,
		.limit_ms = config->upstream.login_time_ms,
		.questions = {MESSAGE_LOGIN_JOB},
		.answer = MESSAGE_LOGIN_DONE,
		.context = &fetching,
		.prepare = prepare,
		.serve = serve,
	};
	return &work;
}
