/*
 * The helpers that get users' tickets from KDCs (auth/ticket_desk.h). They alone have the key tables. A
 * ticket leaves in a sealed memory file, which the identity process passes on and does not look into.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/ticket_desk.h"
#include "config/whole.h"
#include "proxy/identity_work.h"

struct ticket_helper {
	const struct config *config;
	struct ticket_desk *desk;
};

static int prepare(void *context, struct error *err)
{
	struct ticket_helper *helper = context;

	helper->desk = ticket_desk_new(helper->config, err);
	return helper->desk != NULL ? 0 : -1;
}

static int seal(const struct ticket *ticket)
{
	int fd = memfd_create("ticket", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1)
		return -1;
	if (whole_write(fd, ticket->bytes, ticket->len) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
			0)
		return fd;
	close(fd);
	return -1;
}

static void serve(void *context, const struct message *question, int question_fd,
	struct message *answer, int *answer_fd)
{
	const struct ticket_helper *helper = context;
	struct message_login_done *done = &answer->u.login_done;
	struct ticket ticket;

	(void)question_fd;
	done->status = ticket_desk_fetch(helper->desk, &question->u.login_job.subject,
		question->u.login_job.service, &ticket, &done->fault);
	if (done->status != LOGIN_GIVEN)
		return;
	done->valid_until = ticket.valid_until;
	*answer_fd = seal(&ticket);
	if (*answer_fd == -1)
		done->status = login_fault_set(
			&done->fault, LOGIN_UNAVAILABLE, NULL, "there is no memory for a ticket");
	ticket_clear(&ticket);
}

const struct helper_work *ticket_work(const struct child *child)
{
	static struct ticket_helper helper;
	static struct helper_work work;
	const struct config_upstream *upstream = &child->config->upstream;

	if (upstream->login != CONFIG_LOGIN_KERBEROS)
		return NULL;
	helper = (struct ticket_helper){.config = child->config};
	work = (struct helper_work){
		.part = PART_TICKET,
		.name = "eas-ticket",
		.count = upstream->login_helpers,
		.limit_ms = upstream->login_time_ms,
		.questions = {MESSAGE_LOGIN_JOB},
		.answer = MESSAGE_LOGIN_DONE,
		.context = &helper,
		.prepare = prepare,
		.serve = serve,
	};
	return &work;
}
