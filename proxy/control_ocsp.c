#include "proxy/control_ocsp.h"

#include <stdio.h>
#include <string.h>

#include "proxy/control_explain.h"

static void take(void *owner, const struct message *message)
{
	if (message->type == MESSAGE_OCSP_ANSWER)
		control_explain_ocsp(
			owner, message->u.ocsp_answer.leaf_sha256, &message->u.ocsp_answer.result);
}

static void gone(void *owner)
{
	struct control *control = owner;

	peer_channel_detach(&control->ocsp);
	control_explain_ocsp(control, NULL, NULL);
}

void control_ocsp_init(struct control *control)
{
	peer_channel_init(&control->ocsp, control, take, gone);
}

void control_ocsp_attach(struct control *control, int fd)
{
	peer_channel_attach(&control->ocsp, control->base, fd);
}

bool control_ocsp_ask(struct control *control, const uint8_t leaf_sha256[32], uint32_t authority,
	const struct serial *serial, const char *url)
{
	struct message query = {.type = MESSAGE_OCSP_QUERY,
		.u.ocsp_query = {.authority = authority, .serial = *serial}};

	memcpy(query.u.ocsp_query.leaf_sha256, leaf_sha256, sizeof(query.u.ocsp_query.leaf_sha256));
	snprintf(query.u.ocsp_query.url, sizeof(query.u.ocsp_query.url), "%s", url);
	return peer_channel_send(&control->ocsp, &query);
}
