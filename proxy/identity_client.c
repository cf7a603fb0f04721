#include "proxy/identity_client.h"

#include <stdlib.h>

#include "auth/directory.h"
#include "proxy/log.h"
#include "proxy/login_client.h"
#include "proxy/peer_channel.h"
#include "proxy/session.h"

/* A place where a session waits. The serial keeps a late answer from the place's next tenant. */
struct waiting {
	struct session *session; /* NULL: free */
	uint32_t serial;
	uint32_t next_free; /* index + 1 of the next free place; 0: none */
};

struct identity_client {
	struct worker *worker;
	struct peer_channel channel;
	struct waiting *waiting;
	uint32_t capacity;
	uint32_t first_free; /* index + 1; 0: none */
	uint32_t changes;    /* of the directory */
};

static void identity_client_answer(struct identity_client *client, const struct message *message)
{
	uint32_t slot = (uint32_t)message->u.mailbox_answer.id;
	uint32_t serial = (uint32_t)(message->u.mailbox_answer.id >> 32);
	struct session *session;

	if (slot >= client->capacity || client->waiting[slot].session == NULL ||
		client->waiting[slot].serial != serial)
		return; /* the session has gone meanwhile */
	session = client->waiting[slot].session;
	identity_client_forget(client, session);
	session_identified(session, &message->u.mailbox_answer);
}

static void identity_client_change(struct identity_client *client)
{
	client->changes++;
	/* A mailbox may be somebody else's now, or its owner may have got another account. */
	if (client->worker->logins != NULL)
		login_table_end_all(client->worker->logins);
	worker_identity_begin(&client->worker->reidentify);
}

/* Its owner has got another account. */
static void identity_client_drop(struct identity_client *client, const char *mailbox)
{
	struct login *login = client->worker->logins != NULL
				      ? login_table_find(client->worker->logins, mailbox)
				      : NULL;

	if (login != NULL)
		login_end(login);
}

static void take(void *owner, const struct message *message)
{
	struct identity_client *client = owner;

	if (message->type == MESSAGE_MAILBOX_ANSWER)
		identity_client_answer(client, message);
	else if (message->type == MESSAGE_DIRECTORY_CHANGED)
		identity_client_change(client);
	else if (message->type == MESSAGE_LOGIN_DROP)
		identity_client_drop(client, message->u.login_drop.mailbox);
	else if (client->worker->login_client != NULL)
		login_client_take(client->worker->login_client, message);
}

static void gone(void *owner)
{
	struct identity_client *client = owner;

	/* The supervisor starts another one and sends us the channel to it. */
	log_message(CONFIG_LOG_WARNING, "identity", "the identity process has gone");
	if (client->worker->login_client != NULL)
		login_client_detach(client->worker->login_client);
	peer_channel_detach(&client->channel);
}

struct identity_client *identity_client_new(struct worker *worker)
{
	struct identity_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->worker = worker;
	peer_channel_init(&client->channel, client, take, gone);
	return client;
}

void identity_client_attach(struct identity_client *client, int fd)
{
	struct login_client *logins = client->worker->login_client;

	/* Events of the old descriptor go before it is closed. */
	if (logins != NULL)
		login_client_detach(logins);
	if (peer_channel_attach(&client->channel, client->worker->base, fd) == -1)
		return;
	if (logins != NULL)
		login_client_attach(logins, fd);
	/* It has read its file anew, and what has changed since the last process did nobody could tell
	 * us. Other directories' answers end by themselves. */
	if (!directory_may_block(&client->worker->config->directory))
		identity_client_change(client);
}

static int identity_client_grow(struct identity_client *client)
{
	uint32_t capacity = client->capacity > 0 ? client->capacity * 2 : 64;
	struct waiting *grown = realloc(client->waiting, capacity * sizeof(*grown));

	if (grown == NULL)
		return -1;
	for (uint32_t i = client->capacity; i < capacity; i++) {
		grown[i] = (struct waiting){.next_free = client->first_free};
		client->first_free = i + 1;
	}
	client->waiting = grown;
	client->capacity = capacity;
	return 0;
}

int identity_client_ask(
	struct identity_client *client, struct session *session, const struct identity_names *names)
{
	struct message message = {.type = MESSAGE_MAILBOX_QUERY};
	struct waiting *waiting;
	uint32_t slot;

	if (client->channel.fd == -1)
		return -1;
	if (client->first_free == 0 && identity_client_grow(client) != 0)
		return -1;
	slot = client->first_free - 1;
	waiting = &client->waiting[slot];
	message.u.mailbox_query.id = (uint64_t)(waiting->serial + 1) << 32 | slot;
	message.u.mailbox_query.names = *names;
	if (!peer_channel_send(&client->channel, &message))
		return -1;
	client->first_free = waiting->next_free;
	waiting->serial++;
	waiting->session = session;
	session->identity_slot = slot;
	return 0;
}

uint32_t identity_client_changes(const struct identity_client *client)
{
	return client->changes;
}

void identity_client_forget(struct identity_client *client, const struct session *session)
{
	struct waiting *waiting = &client->waiting[session->identity_slot];

	waiting->session = NULL;
	waiting->next_free = client->first_free;
	client->first_free = session->identity_slot + 1;
}
