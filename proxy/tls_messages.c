#include "proxy/tls_messages.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

static enum tls_step fail(struct tls_fault *fault, int alert, const char *reason)
{
	*fault = (struct tls_fault){.alert = alert, .reason = reason};
	return TLS_STEP_FAULT;
}

static bool is_1_3(const struct tls_records *records)
{
	return tls_suite_at(records->suite)->is_1_3;
}

enum tls_step tls_messages_count_idle(struct tls_records *records, struct tls_fault *fault)
{
	if (++records->idle_records > TLS_IDLE_RECORDS_MAX)
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "too many records without content");
	return TLS_STEP_NOTHING;
}

/* A handshake message as far as it has come. */
struct message {
	struct tls_held held;
	uint32_t passing; /* bytes of it that are still to come, and that nobody needs */
	uint8_t len;
	uint8_t bytes[TLS_MESSAGE_HEAD + 1]; /* a KeyUpdate, or the head of another */
};

static bool is_incomplete(const struct message *message)
{
	return message->len > 0 || message->passing > 0;
}

bool tls_messages_are_incomplete(const struct tls_records *records)
{
	return tls_records_held(records, TLS_HELD_MESSAGE) != NULL;
}

void tls_messages_drop(struct tls_records *records)
{
	tls_records_drop(records, TLS_HELD_MESSAGE);
}

/* Alerts */

/* In OpenSSL's words, which are those of logs without deep sleep, too. */
static const char *alert_reason(uint8_t alert)
{
	const char *reason =
		ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + alert));

	return reason != NULL ? reason : "fatal alert";
}

static enum tls_step take_warning(
	struct tls_records *records, uint8_t alert, struct tls_fault *fault)
{
	if (++records->warnings > TLS_WARNINGS_MAX)
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "too many warn alerts");
	/* We never ask for a renegotiation that could be declined. */
	if (alert == SSL_AD_NO_RENEGOTIATION && !is_1_3(records))
		return fail(fault, SSL_AD_HANDSHAKE_FAILURE, "no renegotiation");
	return tls_messages_count_idle(records, fault);
}

/* RFC 8446 6: there the level means nothing, and all but two are fatal. RFC 5246 7.2. */
static enum tls_step take_alert(
	struct tls_records *records, struct span content, struct tls_fault *fault)
{
	uint8_t level, alert;

	if (content.len != 2)
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "invalid alert");
	level = content.data[0];
	alert = content.data[1];
	if (!is_1_3(records) && level != SSL3_AL_WARNING && level != SSL3_AL_FATAL)
		return fail(fault, SSL_AD_ILLEGAL_PARAMETER, "unknown alert type");
	if (alert == SSL_AD_CLOSE_NOTIFY && (is_1_3(records) || level == SSL3_AL_WARNING)) {
		records->has_ended = true;
		return TLS_STEP_END;
	}
	if (is_1_3(records) ? alert == SSL_AD_USER_CANCELLED : level == SSL3_AL_WARNING)
		return take_warning(records, alert, fault);
	records->is_broken = true;
	return fail(fault, -1, alert_reason(alert));
}

/* Handshake messages */

/* RFC 8446 4.6.3. rest: bytes of the record behind it. */
static int take_key_update(
	struct tls_records *records, struct message *message, size_t rest, struct tls_fault *fault)
{
	uint8_t wish = message->bytes[TLS_MESSAGE_HEAD];

	/* RFC 8446 5.1: no message of the old key may follow it in the same record. */
	if (rest > 0) {
		fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "not on record boundary");
		return -1;
	}
	if (wish > 1) {
		fail(fault, SSL_AD_ILLEGAL_PARAMETER, "bad key update");
		return -1;
	}
	if (tls_records_update_key(records, TLS_IN) != 0) {
		fail(fault, SSL_AD_INTERNAL_ERROR, "OpenSSL could not derive a key");
		return -1;
	}
	message->len = 0;
	records->has_asked = false;
	/* Several wishes that were not answered yet have one answer. */
	if (wish == 1)
		records->owes_update = true;
	return 0;
}

/* What a message's first four bytes tell of one that is passed over. 0 or -1. */
static int pass_over(struct message *message, uint32_t len, struct tls_fault *fault)
{
	if (len > TLS_MESSAGE_MAX) {
		fail(fault, SSL_AD_ILLEGAL_PARAMETER, "excessive message size");
		return -1;
	}
	message->passing = len;
	message->len = 0;
	return 0;
}

/* A message's head is there. 0; -1: it may not come now. */
static int take_message_head(
	struct tls_records *records, struct message *message, struct tls_fault *fault)
{
	uint8_t type = message->bytes[0];
	uint32_t len = (uint32_t)message->bytes[1] << 16 | (uint32_t)message->bytes[2] << 8 |
		       message->bytes[3];

	if (is_1_3(records)) {
		if (type == SSL3_MT_KEY_UPDATE && len == 1)
			return 0; /* its byte is awaited */
		if (type == SSL3_MT_KEY_UPDATE) {
			fail(fault, SSL_AD_DECODE_ERROR, "bad key update");
			return -1;
		}
		/* We resume nothing. */
		if (type == SSL3_MT_NEWSESSION_TICKET && !records->is_server)
			return pass_over(message, len, fault);
	} else if (type == (records->is_server ? SSL3_MT_CLIENT_HELLO : SSL3_MT_HELLO_REQUEST)) {
		if (!records->is_server && len > 0) {
			fail(fault, SSL_AD_DECODE_ERROR, "length mismatch");
			return -1;
		}
		/* RFC 5246 7.2.2: it is declined, and all goes on. */
		records->owes_warning = true;
		return pass_over(message, len, fault);
	}
	fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "unexpected message");
	return -1;
}

/* Messages may come in pieces, and several in one record. */
static int take_bytes(struct tls_records *records, struct message *message, struct span content,
	struct tls_fault *fault)
{
	size_t at = 0;

	while (at < content.len) {
		size_t rest = content.len - at;

		if (message->passing > 0) {
			size_t passed = rest < message->passing ? rest : message->passing;

			message->passing -= (uint32_t)passed;
			at += passed;
			continue;
		}
		message->bytes[message->len++] = content.data[at++];
		if (message->len == TLS_MESSAGE_HEAD &&
			take_message_head(records, message, fault) != 0)
			return -1;
		if (message->len > TLS_MESSAGE_HEAD &&
			take_key_update(records, message, rest - 1, fault) != 0)
			return -1;
	}
	return 0;
}

/* Keeps only what has begun. */
static int take_handshake(struct tls_records *records, struct span content, struct tls_fault *fault)
{
	struct message *kept = (struct message *)tls_records_held(records, TLS_HELD_MESSAGE);
	struct message message = {.passing = 0};

	if (kept != NULL)
		message = *kept;
	tls_messages_drop(records);
	if (take_bytes(records, &message, content, fault) != 0)
		return -1;
	if (!is_incomplete(&message))
		return 0;
	kept = malloc(sizeof(*kept));
	if (kept == NULL) {
		fail(fault, SSL_AD_INTERNAL_ERROR, "out of memory");
		return -1;
	}
	*kept = message;
	tls_records_hold(records, &kept->held, TLS_HELD_MESSAGE);
	return 0;
}

enum tls_step tls_messages_take(
	struct tls_records *records, uint8_t type, struct span content, struct tls_fault *fault)
{
	/* RFC 8446 5.1. */
	if (is_1_3(records) && type != TLS_HANDSHAKE && tls_messages_are_incomplete(records))
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "record within a handshake message");
	if (type == TLS_ALERT)
		return take_alert(records, content, fault);
	if (type != TLS_HANDSHAKE)
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "unexpected record");
	if (content.len == 0)
		return fail(fault, SSL_AD_UNEXPECTED_MESSAGE, "empty handshake record");
	if (take_handshake(records, content, fault) != 0)
		return TLS_STEP_FAULT;
	return tls_messages_count_idle(records, fault);
}
