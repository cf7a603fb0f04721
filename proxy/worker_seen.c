#include "proxy/worker_seen.h"

#include <stdio.h>
#include <string.h>

#include "proxy/worker_control.h"

/* Whole or not at all. */
static bool append_der(struct message *message, X509 *certificate)
{
	uint8_t *at = message->u.seen.chain + message->u.seen.chain_len;
	int len = i2d_X509(certificate, NULL);

	if (len <= 0 || (uint32_t)len > SEEN_CHAIN_MAX - message->u.seen.chain_len ||
		i2d_X509(certificate, &at) != len)
		return false;
	message->u.seen.chain_len += (uint32_t)len;
	return true;
}

/* OpenSSL has the leaf among what was sent on one side of a connection, and not on the other. */
static void fill_chain(struct message *message, X509 *leaf, const STACK_OF(X509) * sent)
{
	int count = sent != NULL ? sk_X509_num(sent) : 0;

	if (!append_der(message, leaf))
		return;
	for (int i = 0; i < count; i++) {
		X509 *certificate = sk_X509_value(sent, i);

		if (X509_cmp(certificate, leaf) != 0 && !append_der(message, certificate))
			return;
	}
}

static void report(struct worker *worker, const uint8_t sha256[32], enum refusal refusal,
	const char *mailbox, X509 *leaf, const STACK_OF(X509) * sent)
{
	struct message message = {.type = MESSAGE_SEEN, .u.seen = {.refusal = (uint32_t)refusal}};

	memcpy(message.u.seen.leaf_sha256, sha256, sizeof(message.u.seen.leaf_sha256));
	snprintf(message.u.seen.mailbox, sizeof(message.u.seen.mailbox), "%s", mailbox);
	fill_chain(&message, leaf, sent);
	if (worker_control_tell(worker, &message))
		seen_note(&worker->seen, sha256, refusal, mailbox, worker_now(worker));
	else
		shared_add(&worker->counters->seen_dropped, 1);
}

/* A message is 12 kB of zeros to begin with: only made where it will be sent. */
void worker_seen(struct worker *worker, const uint8_t sha256[32], enum refusal refusal,
	const char *mailbox, X509 *leaf, const STACK_OF(X509) * sent)
{
	if (worker->control_fd != -1 && leaf != NULL &&
		seen_is_due(&worker->seen, sha256, refusal, mailbox, worker_now(worker)))
		report(worker, sha256, refusal, mailbox, leaf, sent);
}
