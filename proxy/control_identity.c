#include "proxy/control_identity.h"

#include "proxy/control_explain.h"
#include "proxy/control_logins.h"
#include "proxy/control_upstream_test.h"

static void take(void *owner, const struct message *message)
{
	if (message->type == MESSAGE_MAILBOX_ANSWER) {
		if (!control_upstream_test_identified(owner, &message->u.mailbox_answer))
			control_explain_identified(owner, &message->u.mailbox_answer);
	} else if (message->type == MESSAGE_LOGIN_STATE) {
		control_logins_take(owner, message);
	}
}

/* Who waits for an answer is told when his time is over. */
static void gone(void *owner)
{
	struct control *control = owner;

	peer_channel_detach(&control->identity);
}

void control_identity_init(struct control *control)
{
	peer_channel_init(&control->identity, control, take, gone);
}

void control_identity_attach(struct control *control, int fd)
{
	peer_channel_attach(&control->identity, control->base, fd);
}

bool control_identity_ask(struct control *control, uint64_t id, const struct identity_names *names)
{
	struct message query = {
		.type = MESSAGE_MAILBOX_QUERY, .u.mailbox_query = {.id = id, .names = *names}};

	return peer_channel_send(&control->identity, &query);
}
