/* Packets of a child that has been taken over: what is accepted has ended strings and known enums. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool is_ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool names_are_sound(const struct identity_names *names)
{
	if (names->count > IDENTITY_COUNT_MAX)
		return false;
	for (size_t i = 0; i < names->count; i++)
		if (names->names[i].kind >= IDENTITY_KIND_COUNT ||
			!is_ended(names->text + names->names[i].at,
				sizeof(names->text) - names->names[i].at))
			return false;
	return true;
}

static void facts_are_sound(const struct device_facts *facts)
{
	require(facts->mailbox[0] != '\0' && is_ended(facts->mailbox, sizeof(facts->mailbox)));
	require(facts->id[0] != '\0' && is_ended(facts->id, sizeof(facts->id)));
	require(is_ended(facts->user_agent, sizeof(facts->user_agent)));
	require(is_ended(facts->issuer, sizeof(facts->issuer)));
}

static void accepted_content_is_sound(const struct message *message)
{
	switch (message->type) {
	case MESSAGE_MAILBOX_QUERY:
		require(names_are_sound(&message->u.mailbox_query.names));
		break;
	case MESSAGE_MAILBOX_ANSWER:
		require(message->u.mailbox_answer.refusal < REFUSAL_COUNT);
		require(is_ended(message->u.mailbox_answer.mailbox,
			sizeof(message->u.mailbox_answer.mailbox)));
		break;
	case MESSAGE_RELOADED: require(is_ended(message->u.text, sizeof(message->u.text))); break;
	case MESSAGE_CRL:
		require(is_ended(message->u.crl.error, sizeof(message->u.crl.error)));
		require(message->u.crl.is_delta <= 1 && message->u.crl.is_unchanged <= 1);
		break;
	case MESSAGE_HISTORY:
		require(message->u.history.count <= MESSAGE_HISTORY_RECORDS);
		require(is_ended(message->u.history.mailbox, sizeof(message->u.history.mailbox)));
		for (uint32_t i = 0; i < message->u.history.count; i++)
			require(message->u.history.records[i].refusal < REFUSAL_COUNT);
		break;
	case MESSAGE_TRACED:
		require(message->u.traced.len <= MESSAGE_TRACED_BYTES);
		require((uint64_t)message->u.traced.offset + message->u.traced.len <=
			message->u.traced.total);
		break;
	case MESSAGE_DEVICE_QUERY: facts_are_sound(&message->u.device_query.facts); break;
	case MESSAGE_DEVICE_REPORT: facts_are_sound(&message->u.device_report.facts); break;
	case MESSAGE_DEVICE_ANSWER:
		require(message->u.device_answer.refusal < REFUSAL_COUNT);
		require((unsigned int)message->u.device_answer.grant.state < DEVICE_STATE_COUNT);
		require(is_ended(message->u.device_answer.grant.model, DEVICE_TEXT_MAX + 1));
		break;
	case MESSAGE_DEVICE_ORDER:
		require(message->u.device_order.state < DEVICE_STATE_COUNT);
		require(is_ended(
			message->u.device_order.reason, sizeof(message->u.device_order.reason)));
		break;
	/* Never without the descriptor that it is about. */
	case MESSAGE_DEVICES:
	case MESSAGE_PEER:
	case MESSAGE_LOG: abort();
	default: break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int pair[2] = {-1, -1};
	struct message message;
	int fd;

	if (pair[0] == -1 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == -1)
		abort();
	if (size == 0 || size > 2 * sizeof(message))
		return 0;
	require(send(pair[0], data, size, 0) == (ssize_t)size);
	if (message_receive(pair[1], &message, &fd) == 1)
		accepted_content_is_sound(&message);
	require(fd == -1);
	return 0;
}
